"""How published weights are described: a file for each scale, and rules that map its keys to ours. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from srbench.plugin import PerScaleWeights, WeightSource

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Rules", "State", "from_zero", "renamed", "weight_files"]

State = dict[str, "Tensor"]
Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]


def renamed(rules: Rules, state: State) -> State:
    """Apply every rule, a pattern and what to put in its place, to every key, in their order."""
    converted = {}
    for key, tensor in state.items():
        for pattern, new in rules:
            key = re.sub(pattern, new, key)
        converted[key] = tensor
    return converted


def from_zero(match: re.Match[str]) -> str:
    """Return where a block is whose number, the pattern's one group, is counted from 1."""
    return f"body.{int(match[1]) - 1}."


def weight_files(
    model: str,
    repository: str,
    commit: str,
    path: str | Mapping[int, str],
    licence: str,
    paper: str,
    rules: Rules,
    files: tuple[tuple[int, int, str], ...],
    key: str | None = None,
) -> PerScaleWeights:
    """Describe a file per scale.

    Args:
        model: Canonical name of the model, its tag included.
        repository: `owner/name` of the public repository.
        commit: The commit, 40 hexadecimal digits.
        path: The files' path in the repository, in which `{}` is the scale; or the path for each scale.
        licence: The licence that the repository states, or "none stated".
        paper: The paper, as authors would cite it in a table.
        rules: How the files' keys map to ours.
        files: Scale, size in bytes and sha256 of each.
        key: Which of several state dicts in a file it is.
    """
    return PerScaleWeights(
        tuple(
            WeightSource(
                model=model,
                repository=repository,
                commit=commit,
                path=path.format(scale) if isinstance(path, str) else path[scale],
                sha256=sha256,
                size=size,
                licence=licence,
                paper=paper,
                scales=(scale,),
                key=key,
                convert=partial(renamed, rules),
            )
            for scale, size, sha256 in files
        )
    )
