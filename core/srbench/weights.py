"""Weights: where tagged ones come from, and how files of them are read and written.

Importing this module needs no torch. Pickles are read under torch's allow-list, which runs no code; our own files are
safetensors that hold each tensor once.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from srbench.backbone import Backbone

__all__ = ["WeightSource", "all_sources", "file_scales", "load_into", "load_state", "save_state", "state_digest"]

StateDict = dict[str, "Tensor"]
_NESTED_KEYS = ("params_ema", "params", "state_dict", "model", "net")


@dataclass(frozen=True)
class WeightSource:
    """Say where published weights are and how they are read.

    Attributes:
        model: Canonical name of the model, its tag included.
        repository: `owner/name` of the public repository.
        commit: The commit, 40 hexadecimal digits.
        path: The file's path in the repository.
        sha256: Hash of the file.
        size: Its size in bytes.
        licence: The licence that the repository states, or "none stated".
        paper: The paper, as authors would cite it in a table.
        scales: The scales that the weights are for.
        convert: Maps the file's state dict to that of our model; None where the keys agree.
    """

    model: str
    repository: str
    commit: str
    path: str
    sha256: str
    size: int
    licence: str
    paper: str
    scales: tuple[int, ...]
    convert: Callable[[StateDict], StateDict] | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]

    @property
    def url(self) -> str:
        """Where the file can be downloaded."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"

    def file(self) -> Path:
        """Return the file from the cache, downloading it when it is not there.

        Raises:
            NetworkError: It is not in the cache and cannot be downloaded.
        """
        from srbench.cache import Cache

        return Cache().fetch(self.url, self.sha256, self.name, self.size)

    def load_into(self, model: Backbone) -> None:
        """Load the weights into a model created for `scales`.

        Raises:
            NetworkError: The file cannot be had.
            WeightsError: The file does not fit the model.
        """
        state = load_state(self.file())
        if self.convert is not None:
            state = self.convert(state)
        _load_checked(model, state, f"{self.repository}: {self.name}")


def all_sources() -> list[WeightSource]:
    """Return the weight sources of all installed plugins that can be loaded, without importing torch."""
    from srbench.errors import SRBenchError
    from srbench.registry import WEIGHTS

    sources = []
    for name in WEIGHTS.names():
        try:
            sources.append(WEIGHTS.get(name))
        except SRBenchError:
            continue  # a broken plugin is reported by `srbench plugins doctor`, and hides no other
    return sources


def load_state(path: Path | str) -> StateDict:
    """Read the tensors of a checkpoint: safetensors, or a torch file under the allow-list.

    A state dict nested under `params_ema`, `params`, `state_dict`, `model` or `net` is found there.

    Raises:
        WeightsError: The file is missing, damaged, holds no tensors, or would run code when read.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no weights file at '{path}'; give the path of a .safetensors or .pth file")
    if _is_safetensors(path):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"'{path}' is a damaged safetensors file ({error}); copy or download it again") from None
    try:
        with torch.serialization.safe_globals(_allowed_globals()):
            obj = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error)
        if "Unsupported" in reason or "GLOBAL" in reason or "not an allowed" in reason:
            wanted = _first_line(reason)
            raise WeightsError(
                f"'{path}' was refused: reading it would run code of its own ({wanted}); "
                "save the weights as a plain state dict or as safetensors"
            ) from None
        raise WeightsError(f"'{path}' is not a checkpoint that torch can read: {_first_line(reason)}") from None
    except (
        RuntimeError,
        EOFError,
        zipfile.BadZipFile,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        UnicodeDecodeError,
    ) as error:
        raise WeightsError(
            f"'{path}' is damaged or no checkpoint: {_first_line(str(error))}; copy or download it again"
        ) from None
    return _tensors(obj, path)


def file_scales(path: Path | str) -> tuple[int, ...] | None:
    """Return the scales that a file of `save_state` names in its header; None for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["srbench"])
        return tuple(int(scale) for scale in about["scales"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None


def _first_line(text: str) -> str:
    wanted = (
        [line.strip() for line in text.splitlines() if "GLOBAL" in line or "Unsupported" in line]
        or text.splitlines()
        or [text]
    )
    return wanted[0].strip().rstrip(".")[:200]


def _allowed_globals() -> list[Any]:
    # Training scripts store a validation score beside the weights as a numpy scalar: data, not code.
    import numpy as np

    scalar_dtypes = [type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "b1")]
    return [
        np.dtype,
        *scalar_dtypes,
        (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
        np.float64(0).__reduce__()[0],
    ]


def _is_safetensors(path: Path) -> bool:
    # The header is a JSON object whose length stands in the first 8 bytes.
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            return 2 <= length <= path.stat().st_size and file.read(1) == b"{"
    except OSError:
        return False


def _tensors(obj: Any, path: Path) -> StateDict:
    import torch

    for _ in range(3):
        if not isinstance(obj, Mapping):
            break
        tensors = {str(key): value for key, value in obj.items() if isinstance(value, torch.Tensor)}
        inner = next((obj[key] for key in _NESTED_KEYS if isinstance(obj.get(key), Mapping)), None)
        if tensors and inner is None:
            return tensors
        obj = inner
    raise WeightsError(f"'{path}' holds no state dict; a checkpoint is a mapping from parameter names to tensors")


def load_into(model: Backbone, path: Path | str) -> None:
    """Load a checkpoint into a model; every key and shape must agree.

    A file written by `save_state` for another model is refused by name before its keys are compared.

    Raises:
        WeightsError: Keys are missing or unexpected, or shapes differ; all are listed.
    """
    _load_checked(model, load_state(path), f"'{path}'")


def _load_checked(model: Backbone, state: StateDict, origin: str) -> None:
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    shapes = [
        f"{key}: {tuple(state[key].shape)} in the file, {tuple(own[key].shape)} in the model"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if missing or unexpected or shapes:
        parts = [
            f"{what}: {', '.join(keys)}"
            for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
            if keys
        ]
        name = model.model_name if model.model_name is not None else type(model).__name__
        scales = ", ".join(f"x{s}" for s in model.scales)
        raise WeightsError(
            f"the weights {origin} do not fit the model '{name}' ({scales}); {'; '.join(parts)}. "
            "Check the model's name, its method's arguments and its scale"
        )
    model.load_state_dict(state)


def unique_state(model: Backbone) -> StateDict:
    """Return the model's tensors, each once, contiguous and on the CPU.

    Raises:
        WeightsError: Two keys hold one tensor: the backbone registered a shared layer twice.
    """
    seen: dict[tuple[int, int, tuple[int, ...]], str] = {}
    state: StateDict = {}
    for key, tensor in model.state_dict().items():
        place = (tensor.data_ptr(), tensor.storage_offset(), tuple(tensor.shape))
        if tensor.numel() and place in seen:
            raise WeightsError(
                f"'{key}' and '{seen[place]}' of {type(model).__name__} hold one tensor; tie layers with "
                "srbench.surgery.tie, "
                "which keeps it once"
            )
        seen[place] = key
        state[key] = tensor.detach().to("cpu").contiguous()
    return state


def save_state(model: Backbone, path: Path | str) -> str:
    """Write a model's weights as safetensors, atomically, and return the file's sha256.

    The header names the model and its scales.

    Raises:
        StoreError: The file cannot be written.
    """
    from safetensors.torch import save

    from srbench.storage import write_atomic

    about = {
        "format": "srbench-1",
        "model": str(model.model_name) if model.model_name is not None else type(model).__name__,
        "scales": list(model.scales),
    }
    # One entry: safetensors writes several in an order that changes from call to call, and equal weights are to be
    # equal files.
    metadata = {"srbench": json.dumps(about, sort_keys=True)}
    data = save(unique_state(model), metadata=metadata)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(Path(path), data)
    return hashlib.sha256(data).hexdigest()


def state_digest(model: Backbone) -> str:
    """Return a sha256 of the weights' content: keys, shapes, types and values, whatever file they came from."""
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        tensor = tensor.detach().to("cpu").contiguous()
        digest.update(f"{key}:{tuple(tensor.shape)}:{tensor.dtype}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
