"""Weight files: reading, checking against a model, and writing.

Importing this module needs no torch. Pickles are read with torch's allow-list, which runs no code. Our own files are
safetensors with each tensor stored once.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import WeightsError
from srbench.untrusted import CHECKPOINT_LIMIT, TEXT_LIMIT, check_archive, check_regular, parse_json, user_path

if TYPE_CHECKING:
    from torch import Tensor

    from srbench.models.backbone import Backbone

__all__ = ["SavedFor", "load_into", "load_state", "save_state", "saved_for"]

StateDict = dict[str, "Tensor"]
_NESTED_KEYS = ("params_ema", "params", "state_dict", "model", "net")


def listed(scales: tuple[int, ...]) -> str:
    """Format scales for messages."""
    return ", ".join(str(scale) for scale in scales)


def load_state(path: Path | str, key: str | None = None) -> StateDict:
    """Read the tensors of a checkpoint: safetensors, or a torch file under the allow-list.

    The state dict may be nested under `params_ema`, `params`, `state_dict`, `model` or `net`.

    Args:
        path: The file.
        key: Key of the state dict to read from a torch file; None takes the first of those above.

    Raises:
        WeightsError: The file is missing, damaged, holds no tensors, or would run code when read.
    """
    import warnings

    import torch

    path = _existing(path)
    if _is_safetensors(path):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return _checked(load_file(path), path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"'{path}' is a damaged safetensors file ({error}); copy or download it again") from None
    try:
        check_archive(path, WeightsError)
        with torch.serialization.safe_globals(_allowed_globals()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is then refused in a sentence
            obj = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except PermissionError as error:
        raise WeightsError(f"'{path}' cannot be read: {error.strerror}") from None
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from None
    except Exception as error:  # on bytes that are not a checkpoint an unpickler can raise any exception
        raise _refusal(path, "") from error
    return _tensors(obj, path, key)


def _existing(path: Path | str) -> Path:
    path = user_path(path, "file of weights", WeightsError)
    if path.is_dir():
        raise WeightsError(f"'{path}' is a folder; give the path of a .safetensors or .pth file in it")
    if not path.exists():
        raise WeightsError(f"no weights file at '{path}'; give the path of a .safetensors or .pth file")
    check_regular(path, CHECKPOINT_LIMIT, "file of weights", WeightsError)
    return path


def _refusal(path: Path, reason: str) -> WeightsError:
    """Return the error for a file that torch's weights-only reader rejects."""
    called = re.search(r"GLOBAL (\S+)", reason)
    if called is not None or "Can only build" in reason or "Trying to call" in reason:
        what = f"call '{called[1]}'" if called is not None else "build Python objects"
        return WeightsError(
            f"'{path}' was refused: reading it would {what}, and a checkpoint may hold tensors and plain values only; "
            "save the weights as a plain state dict or as safetensors"
        )
    if path.stat().st_size == 0:
        return WeightsError(f"'{path}' is empty; copy or download it again")
    with path.open("rb") as file:
        if file.read(2) in (b"\x80\x03", b"\x80\x04", b"\x80\x05"):  # torch.save writes protocol 2
            return WeightsError(
                f"'{path}' was refused: it is a Python pickle that torch.save did not write, and reading it could run "
                "code; save the weights as a plain state dict or as safetensors"
            )
    return WeightsError(
        f"'{path}' is damaged, or no checkpoint of tensors; give a .safetensors or .pth file, or download it again"
    )


def _allowed_globals() -> list[Any]:
    # Training scripts store validation scores with the weights as NumPy scalars, which are data, not code.
    import numpy as np

    numbers = [type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "b1")]
    # NumPy's own function can also create scalars of arbitrary objects; ours only creates numbers. It has two names.
    scalars = [(_number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [np.dtype, *numbers, *scalars]


def _number(dtype: Any, data: Any) -> Any:
    import numpy as np

    if not isinstance(dtype, np.dtype) or dtype.kind not in "fiub" or not isinstance(data, bytes):
        raise pickle.UnpicklingError("Can only build numbers")
    return np.frombuffer(data, dtype, count=1)[0]


def _is_safetensors(path: Path) -> bool:
    # The header is a JSON object; the first 8 bytes hold its length.
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            return 2 <= length <= path.stat().st_size and file.read(1) == b"{"
    except OSError:
        return False


def _checked(tensors: StateDict, path: Path) -> StateDict:
    """Refuse tensors that are not plain arrays of values.

    Raises:
        WeightsError: A tensor is quantized, sparse or on the meta device, or claims more values than it stores.
    """
    import torch

    for name, tensor in tensors.items():
        if tensor.is_meta:
            what = "is on the meta device and holds no values"
        elif tensor.is_quantized:
            what = "is quantised; save the weights in floating point"
        elif tensor.layout is not torch.strided:
            what = f"is sparse ({tensor.layout}); save it dense"
        elif tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            what = f"claims {tensor.numel():,} values and stores fewer; save it contiguous"
        else:
            continue
        raise WeightsError(f"the tensor '{name}' in '{path}' {what}")
    return tensors


def _tensors(obj: Any, path: Path, key: str | None) -> StateDict:
    import torch

    if key is not None:
        if not isinstance(obj, Mapping) or not isinstance(obj.get(key), Mapping):
            raise WeightsError(f"'{path}' has no state dict under the key '{key}'; give another key, or none")
        obj = obj[key]
    for _ in range(3):
        if not isinstance(obj, Mapping):
            break
        tensors = {str(key): value for key, value in obj.items() if isinstance(value, torch.Tensor)}
        inner = next((obj[key] for key in _NESTED_KEYS if isinstance(obj.get(key), Mapping)), None)
        if tensors and inner is None:
            return _checked(tensors, path)
        obj = inner
    raise WeightsError(f"'{path}' holds no state dict; a checkpoint is a mapping from parameter names to tensors")


@dataclass(frozen=True)
class SavedFor:
    """Model that a file written by `save_state` belongs to.

    Attributes:
        model: The model's canonical name, without a tag.
        scales: Its scales.
    """

    model: str
    scales: tuple[int, ...]

    def __str__(self) -> str:
        return f"'{self.model}' ({', '.join(f'x{scale}' for scale in self.scales)})"


def saved_for(path: Path | str) -> SavedFor | None:
    """Read which model a file was saved for; None if it does not say, like files from elsewhere.

    Needs no torch.

    Raises:
        WeightsError: The file does not exist or cannot be read.
    """
    path = _existing(path)
    if not _is_safetensors(path):
        return None
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > TEXT_LIMIT:
                return None  # longer than any header of ours; `load_state` reports what is wrong
            header = parse_json(file.read(length))
        about = parse_json(header["__metadata__"]["srbench"])
        if about["model"] is None:
            return None
        return SavedFor(str(about["model"]), tuple(int(scale) for scale in about["scales"]))
    except (ValueError, KeyError, TypeError):
        return None
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read: {error.strerror}") from None


def load_into(model: Backbone, path: Path | str) -> None:
    """Load a checkpoint into a model; every key and shape must match.

    A file that `save_state` wrote for another model or other scales is refused even if its keys match.

    Raises:
        WeightsError: The file is for another model, keys are missing or unexpected, or shapes differ (the first few
            are listed).
    """
    origin, there, here = f"'{path}'", saved_for(path), _describe(model)
    state = load_state(path)
    same = there is None or here is None or (there.model, set(there.scales)) == (here.model, set(here.scales))
    if not same:
        faults = _misfits(model, state)
        raise WeightsError(f"the weights {origin} are for {there}, not for {here}" + (f"; {faults}" if faults else ""))
    load_checked(model, state, origin)


def _describe(model: Backbone) -> SavedFor | None:
    if model.model_name is None:
        return None
    # Tag and initialization do not matter for given weights.
    initial = frozenset() if model.method is None else model.method.initial
    args = tuple((key, value) for key, value in model.model_name.args if key not in initial)
    return SavedFor(str(replace(model.model_name, tag=None, args=args)), tuple(model.scales))


_LISTED = 6


def _misfits(model: Backbone, state: StateDict) -> str:
    """Describe how a state dict does not fit a model; "" if it fits."""
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    unexpected = sorted(key for key in state if key not in own)
    shapes = [
        f"{key} is {_size(state[key])} instead of {_size(own[key])}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    return "; ".join(
        f"{len(found)} {what}: {', '.join(found[:_LISTED])}"
        + (f" and {len(found) - _LISTED} more" if len(found) > _LISTED else "")
        for what, found in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if found
    )


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def load_checked(model: Backbone, state: StateDict, origin: str) -> None:
    faults = _misfits(model, state)
    if faults:
        here = _describe(model) or SavedFor(type(model).__name__, tuple(model.scales))
        raise WeightsError(
            f"the weights {origin} do not fit the model {here}; {faults}; "
            "check the model's name, its method's arguments and its scale"
        )
    model.load_state_dict(state)


def unique_state(model: Backbone) -> StateDict:
    """Return the model's tensors, each once, contiguous and on the CPU.

    Raises:
        WeightsError: Two keys share one tensor: the backbone registered a shared layer twice.
    """
    seen: dict[tuple[int, int, tuple[int, ...]], str] = {}
    state: StateDict = {}
    for key, tensor in model.state_dict().items():
        place = (tensor.data_ptr(), tensor.storage_offset(), tuple(tensor.shape))
        if tensor.numel() and place in seen:
            raise WeightsError(
                f"'{key}' and '{seen[place]}' of {type(model).__name__} hold one tensor; tie layers with "
                "srbench.models.surgery.tie, which keeps it once"
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

    described = _describe(model)
    about = {
        "format": "srbench-1",
        "model": described.model if described is not None else None,
        "scales": list(model.scales),
    }
    # One entry: safetensors writes several in an order that varies from call to call, but equal weights must give
    # equal files.
    metadata = {"srbench": json.dumps(about, sort_keys=True)}
    data = save(unique_state(model), metadata=metadata)
    write_atomic(Path(path), data)
    return hashlib.sha256(data).hexdigest()
