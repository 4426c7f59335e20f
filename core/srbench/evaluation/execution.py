"""Run a network with inference options: tiles, self-ensemble, another dtype, compilation."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srbench.errors import ConfigError
from srbench.evaluation.options import ALIGNMENT, TILE_ROUNDING, InferenceOptions, TilingWarning

__all__ = ["Configured", "TileError", "configured", "overlap_of", "self_ensemble", "tile_error", "tiled"]

DEFAULT_OVERLAP = 16  # if a network declares no receptive field

_TORCH_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

Run = Callable[[Tensor], Tensor]


class Configured(nn.Module):
    """A network run with inference options; its output is the SR image `(N, 3, s*h, s*w)` in float32.

    Args:
        model: Maps `(N, C, h, w)` and a scale to outputs of which `model.image(outputs)` is the SR image. It is
            copied if the options change it, and used directly otherwise.
        options: The options.
        device: Where it will run.

    Raises:
        ConfigError: The device cannot compute in the dtype.
    """

    def __init__(self, model: nn.Module, options: InferenceOptions, device: torch.device) -> None:
        super().__init__()
        self.options = options
        self.dtype = _TORCH_DTYPES[options.dtype]
        # A baseline without parameters keeps its own arithmetic.
        if not any(True for _ in model.parameters()):
            self.dtype = torch.float32
        if self.dtype != torch.float32:
            _check_dtype(self.dtype, options.dtype, device)
        self.overlap = overlap_of(model, options)
        if self.dtype != torch.float32 or options.channels_last or options.compile:
            model = copy.deepcopy(model).to(device)
            if self.dtype != torch.float32:
                model = model.to(self.dtype)
            if options.channels_last:
                model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model
        self.accepts_luma = getattr(model, "accepts_luma", False)
        self.model_name = getattr(model, "model_name", None)
        self._compiled: Callable[..., object] | None = None
        if options.compile:
            # Test images differ in size: without `dynamic` each size would be compiled separately.
            self._compiled = torch.compile(model, dynamic=True)

    def forward(self, lr: Tensor, scale: int) -> Tensor:
        """Return SR images `(N, C, s*h, s*w)` of LR images `(N, C, h, w)` in 0..1."""
        run: Run = lambda batch: self._network(batch, scale)  # noqa: E731 - it is wrapped below
        if self.options.tile is not None:
            whole, tile = run, self.options.tile
            run = lambda batch: tiled(whole, batch, scale, tile, self.overlap)  # noqa: E731
        return self_ensemble(run, lr) if self.options.self_ensemble else run(lr)

    def warm_up(self, lr: Tensor, scale: int) -> None:
        """Compile the network, if requested, before anything is timed.

        Args:
            lr: An LR image `(1, C, h, w)`.
            scale: The scale.
        """
        if self._compiled is not None:
            # If height and width are equal, the compiler assumes that they always are, and compiles the next image
            # again.
            height, width = lr.shape[-2:]
            self(lr[..., : height - ALIGNMENT if height == width > 3 * ALIGNMENT else height, :].contiguous(), scale)

    def image(self, outputs: Tensor) -> Tensor:
        """Return the outputs, which already are the SR image."""
        return outputs

    def _network(self, batch: Tensor, scale: int) -> Tensor:
        batch = batch.to(self.dtype)
        if self.options.channels_last:
            batch = batch.contiguous(memory_format=torch.channels_last)
        try:
            outputs = self.model(batch, scale) if self._compiled is None else self._compiled(batch, scale)
        except RuntimeError as error:
            raise self._explained(error) from error
        image: Tensor = self.model.image(outputs)  # type: ignore[operator]
        return image.float()

    def _explained(self, error: RuntimeError) -> Exception:
        """Explain an error that is caused by an option and not by the network."""
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if self._compiled is not None and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            return ConfigError(
                f"torch.compile cannot compile this network here ({reason}); leave the option compile out, or install "
                "what it asks for (on a CPU a C++ compiler)"
            )
        if self.dtype != torch.float32 and any(word in reason for word in ("type", "Half", "not implemented")):
            return ConfigError(
                f"this network cannot run in {self.options.dtype} ({reason}); give fp32, or another device"
            )
        return error


def configured(model: nn.Module, options: InferenceOptions, device: torch.device) -> nn.Module:
    """Return the network itself for default options, else a `Configured` one."""
    return model if not options.chosen else Configured(model, options, device)


def _check_dtype(dtype: torch.dtype, name: str, device: torch.device) -> None:
    """Raise `ConfigError` unless the device computes in the dtype natively, without emulation."""
    if dtype == torch.float16 and device.type == "cpu":
        # Most CPUs have no fp16 arithmetic, and torch then takes a hundred times as long.
        raise ConfigError("fp16 is for GPUs, and this is a CPU; give bf16, or fp32")
    try:
        probe = torch.ones(1, 1, 4, 4, device=device, dtype=dtype)
        done = bool(torch.isfinite(torch.nn.functional.conv2d(probe, probe[..., :3, :3], padding=1)).all())
    except (RuntimeError, NotImplementedError):
        done = False
    if not done:
        raise ConfigError(f"{device.type} does not compute in {name} with torch {torch.__version__}; give fp32")


def overlap_of(model: nn.Module, options: InferenceOptions) -> int:
    """Return how many LR pixels tiles overlap on each side: as given, or the network's receptive field."""
    if options.tile_overlap is not None:
        return options.tile_overlap
    field = getattr(model, "receptive_field", None)
    return DEFAULT_OVERLAP if field is None else int(field)


def tiled(run: Run, lr: Tensor, scale: int, tile: int, overlap: int) -> Tensor:
    """Run a network on overlapping tiles of an image, crop the overlaps from the outputs and join the rest.

    Tiles begin on a grid of 8 pixels. If they overlap by the network's receptive field, the result equals that for
    the whole image up to rounding, since only tiles at the border pad the image.

    Args:
        run: Maps `(N, C, h, w)` to `(N, C, s*h, s*w)`.
        lr: `(N, C, h, w)`; if not larger than a tile, it is run whole.
        scale: s.
        tile: Side of the squares in LR pixels, a multiple of 8.
        overlap: LR pixels that tiles extend beyond their square on each side, within the image.

    Raises:
        ConfigError: The network's output for a tile is not `scale` times its size.
    """
    height, width = lr.shape[-2:]
    if height <= tile and width <= tile:
        return run(lr)
    joined: Tensor | None = None
    for top, bottom, first, last in _spans(height, tile, overlap):
        for left, right, start, end in _spans(width, tile, overlap):
            part = run(lr[..., first:last, start:end].contiguous())
            if part.shape[-2:] != (scale * (last - first), scale * (end - start)):
                raise ConfigError(
                    f"the network makes {part.shape[-1]}x{part.shape[-2]} pixels of a tile of {end - start}x"
                    f"{last - first}, not {scale} times as many; run it without tiles"
                )
            if joined is None:
                joined = part.new_empty(*part.shape[:-2], scale * height, scale * width)
            joined[..., scale * top : scale * bottom, scale * left : scale * right] = part[
                ...,
                scale * (top - first) : scale * (bottom - first),
                scale * (left - start) : scale * (right - start),
            ]
    assert joined is not None  # there is at least one tile
    return joined


def _spans(size: int, tile: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Return for each tile along a side the start and end of its own pixels, and of its pixels with overlap."""
    return [
        (
            begin,
            min(begin + tile, size),
            max(0, (begin - overlap) // ALIGNMENT * ALIGNMENT),
            min(size, -(-(begin + tile + overlap) // ALIGNMENT) * ALIGNMENT),
        )
        for begin in range(0, size, tile)
    ]


def self_ensemble(run: Run, lr: Tensor) -> Tensor:
    """Average a network's outputs for the eight flips and rotations of an image, each transformed back.

    Args:
        run: Maps `(N, C, h, w)` to `(N, C, s*h, s*w)`, for images of any shape.
        lr: `(N, C, h, w)`.

    Source: R. Timofte et al., "Seven ways to improve example-based single image super resolution", 2016, section 3.6.
    """
    total: Tensor | None = None
    for flipped in (False, True):
        source = lr.flip(-1) if flipped else lr
        for turns in range(4):
            output = run(source.rot90(turns, (-2, -1)).contiguous()).rot90(-turns, (-2, -1))
            output = (output.flip(-1) if flipped else output).double()
            total = output.clone() if total is None else total.add_(output)
    assert total is not None
    return total.div_(8).to(lr.dtype)


@dataclass(frozen=True)
class TileError:
    """The error caused by tiles, measured on a part of one image.

    Attributes:
        overlap: LR pixels by which tiles overlapped.
        bounded: Whether the overlap covers the network's receptive field, so that only rounding can differ.
        declared: Whether the network declares a receptive field.
        largest: Largest absolute difference, as a fraction of the range 0..1.
        mean: Mean absolute difference, in the same unit.
        region: Width and height of the part, in LR pixels.
    """

    overlap: int
    bounded: bool
    declared: bool
    largest: float
    mean: float
    region: tuple[int, int]

    @property
    def declared_too_small(self) -> bool:
        """Whether differences exceed rounding although the overlap covers the declared receptive field."""
        return self.bounded and self.largest > TILE_ROUNDING

    @property
    def exact(self) -> bool:
        """Whether tiles change nothing but rounding; if not, a warning is given."""
        return self.bounded and not self.declared_too_small

    def sentence(self, name: str) -> str:
        """Return the error in words."""
        why = (
            f"an overlap of {self.overlap} LR pixels covers its receptive field"
            if self.bounded
            else f"an overlap of {self.overlap} LR pixels does not cover its receptive field"
            + ("" if self.declared else ", which has no bound or none that is known")
        )
        if self.declared_too_small:
            why += ", as it is declared, and it is declared too small"
        width, height = self.region
        return (
            f"tiles of '{name}': {why}; against the whole of {width}x{height} LR pixels they differ by at most "
            f"{self.largest:.1e} of the range, {self.mean:.1e} in the mean"
        )


def tile_error(model: nn.Module, lr: Tensor, scale: int, options: InferenceOptions) -> TileError | None:
    """Measure the error caused by tiles on the center of an LR image; None if the image fits in one tile.

    The measured part is two tiles with their overlaps wide and high, so no tile covers more than a quarter of it.
    Warns if the overlap does not cover the network's receptive field, or if the network declares none or one that is
    too small.

    Args:
        model: The network, on the image's device, in evaluation mode.
        lr: `(1, C, h, w)` in 0..1.
        scale: The scale.
        options: Options with a tile.
    """
    if options.tile is None or max(lr.shape[-2:]) <= options.tile:
        return None
    overlap = overlap_of(model, options)
    height, width = (min(size, 2 * (options.tile + overlap)) for size in lr.shape[-2:])
    top, left = (lr.shape[-2] - height) // 2, (lr.shape[-1] - width) // 2
    region = lr[..., top : top + height, left : left + width].contiguous()
    field = getattr(model, "receptive_field", None)
    with torch.inference_mode():
        run: Run = lambda batch: model.image(model(batch, scale)).float()  # type: ignore[operator]  # noqa: E731
        difference = (tiled(run, region, scale, options.tile, overlap) - run(region)).abs()
    largest = float(difference.max())
    error = TileError(
        overlap,
        field is not None and overlap >= field,
        field is not None,
        largest if math.isfinite(largest) else math.nan,
        float(difference.mean()),
        (width, height),
    )
    if not error.exact:
        name = str(getattr(model, "model_name", None) or type(model).__name__)
        warnings.warn(error.sentence(name), TilingWarning, stacklevel=2)
    return error
