"""ONNX export, verified with onnxruntime before the file is kept."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from srbench.errors import ConfigError, PluginError, SRBenchError
from srbench.images.color import rgb_to_y
from srbench.models.backbone import Backbone
from srbench.models.image_batch import image_batch
from srbench.models.surgery import fold
from srbench.registry import get_dataset
from srbench.storage import sha256_bytes, write_atomic

__all__ = ["CHECKED", "TOLERANCE", "Export", "export_onnx"]

# LR sizes for verification, all different from the export size.
CHECKED = ((24, 40), (48, 32), (13, 17))
_EXPORTED = (32, 48)
TOLERANCE = 1e-4  # of the range 0..1: the two runtimes sum in different orders


@dataclass(frozen=True)
class Export:
    """Result of an export.

    Attributes:
        path: The file.
        sha256: Hash of it.
        size: Its size in bytes.
        opset: Version of ONNX's operators.
        operators: Operator -> how often it occurs.
        largest: LR height and width -> largest difference to torch, in parts of the range 0..1.
        channels: Of input and output: 3 for RGB, 1 for luma.
        versions: Of torch, onnx and onnxruntime.
    """

    path: Path
    sha256: str
    size: int
    opset: int
    operators: dict[str, int]
    largest: dict[tuple[int, int], float]
    channels: int
    versions: dict[str, str]


class _Image(nn.Module):
    """A network for one scale that returns only its SR image."""

    def __init__(self, model: Backbone, scale: int) -> None:
        super().__init__()
        self.model = model
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        """Return the SR image `(N, 3, s*h, s*w)`, without other outputs."""
        return self.model.image(self.model(lr, self.scale))


def export_onnx(model: Backbone, scale: int, path: Path) -> Export:
    """Write a network as ONNX: folded, for one scale, with dynamic batch size, height and width.

    Input `lr` is RGB `(N, 3, h, w)` in 0..1, output `sr` is `(N, 3, s*h, s*w)`, not clamped. A network for luma
    (`accepts_luma`) takes and returns luma, `(N, 1, h, w)` in 16/255..235/255. The file is written only if
    onnxruntime agrees with torch on photographs of three other sizes than the export size.

    Raises:
        PluginError: The extra `onnx` is not installed.
        ConfigError: The network lacks the scale, cannot be exported, or differs in onnxruntime.
        StoreError: The file cannot be written.
    """
    onnx, onnxruntime = _libraries()
    network = _Image(fold(model, scale), scale).eval()
    channels = 1 if getattr(model, "accepts_luma", False) else 3
    content = _exported(network, model, channels)
    proto = onnx.load_from_string(content)
    try:
        largest = _compared(onnxruntime, content, network, scale, channels)
    except SRBenchError:
        raise
    except Exception as error:  # onnxruntime has no common base of its errors
        raise ConfigError(
            f"'{_name(model)}' was exported, and onnxruntime {onnxruntime.__version__} cannot run the file at other "
            f"sizes ({_reason(error)}); nothing was written. Something in the network takes its size from the image, "
            "such as a pooling, and the export has fixed it"
        ) from error
    for (height, width), difference in largest.items():
        if not difference <= TOLERANCE:
            raise ConfigError(
                f"onnxruntime differs from torch by {difference:.1e} of the range on an LR image of {width}x{height}, "
                f"more than {TOLERANCE:.0e}; nothing was written. The network does something that its export does not "
                "keep"
            )
    write_atomic(path, content)
    operators: dict[str, int] = {}
    for node in [*proto.graph.node, *(node for function in proto.functions for node in function.node)]:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    return Export(
        path,
        sha256_bytes(content),
        len(content),
        next(int(item.version) for item in proto.opset_import if item.domain in ("", "ai.onnx")),
        dict(sorted(operators.items())),
        largest,
        channels,
        {"torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
    )


def _libraries() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise PluginError(
            f'exporting to ONNX needs the extra onnx: pip install "sr-bench[onnx]" (importing it failed: {error})'
        ) from error
    return onnx, onnxruntime


def _exported(network: _Image, model: Backbone, channels: int) -> bytes:
    """Return the file's content."""
    lr = _photograph(channels, *_EXPORTED).expand(2, -1, -1, -1).contiguous()
    sizes = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height", min=2), 3: torch.export.Dim("width", min=2)}
    try:
        with _quietly(), torch.no_grad():
            program = torch.onnx.export(
                network, (lr,), dynamo=True, input_names=["lr"], output_names=["sr"], dynamic_shapes=(sizes,),
                verbose=False,
            )  # fmt: skip
            assert program is not None
            return bytes(program.model_proto.SerializeToString())
    except Exception as error:  # the exporter runs the network's own code, which can raise any exception
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise ConfigError(
            f"'{_name(model)}' cannot be exported to ONNX by torch {torch.__version__}: it depends on more than sizes "
            f"({_reason(cause)})"
        ) from error


def _name(model: Backbone) -> str:
    return str(getattr(model, "model_name", None) or type(model).__name__)


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Suppress the exporter's progress messages."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _compared(
    onnxruntime: Any, content: bytes, network: _Image, scale: int, channels: int
) -> dict[tuple[int, int], float]:
    """Return for each size to check the largest difference between the two runtimes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    largest = {}
    for height, width in CHECKED:
        lr = _photograph(channels, height, width)
        with torch.inference_mode():
            expected = network(lr).numpy()
        (found,) = session.run(["sr"], {"lr": lr.numpy()})
        same = found.shape == expected.shape == (1, channels, scale * height, scale * width)
        largest[height, width] = float(np.abs(found - expected).max()) if same else float("inf")
    return largest


def _photograph(channels: int, height: int, width: int) -> Tensor:
    """Return a part of a photograph, `(1, channels, height, width)`: RGB in 0..1, or luma.

    On noise some networks amplify rounding errors so much that both runtimes differ from each other and from float64.
    """
    image = get_dataset("embedded-test").hr("astronaut")[40 : 40 + height, 180 : 180 + width]
    return image_batch(rgb_to_y(image) if channels == 1 else image)
