"""Which state dicts a weights file holds: training programs store several, such as `params` and `params_ema`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

from srbench.errors import WeightsError
from srbench.models.weight_files import StateDict, _allowed_globals, _is_safetensors, _tensors, load_state

__all__ = ["state_dicts"]


def state_dicts(path: Path) -> dict[str, StateDict]:
    """Return every state dict of a file by its key; the one that `load_state` takes by default comes first.

    Args:
        path: safetensors, or a torch file under the allow-list. A file that is one state dict itself has the key "".

    Raises:
        WeightsError: As for `load_state`.
    """
    import torch

    default = load_state(path)  # refuses what must not be read, or cannot be
    if _is_safetensors(path):
        return {"": default}
    with torch.serialization.safe_globals(_allowed_globals()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = torch.load(path, map_location="cpu", weights_only=True)
    found: dict[str, StateDict] = {}
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Mapping):
            continue
        try:
            found[key] = _tensors(content, path, key)
        except WeightsError:
            continue  # a mapping of other things: an optimizer's state, options
    if not found:
        return {"": default}
    first = [key for key in ("params_ema", "params", "state_dict", "model", "net") if key in found]
    return {key: found[key] for key in (*first, *(key for key in found if key not in first))}
