"""Describe published weights: one file per scale, and rules that map its keys to ours. Needs no torch."""

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
    """Apply every rule, a pattern and its replacement, to every key, in order."""
    converted = {}
    for key, tensor in state.items():
        for pattern, new in rules:
            key = re.sub(pattern, new, key)
        converted[key] = tensor
    return converted


def from_zero(match: re.Match[str]) -> str:
    """Return the path of a block whose number, the only group of the pattern, is counted from 1."""
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
    """Describe weights with one file per scale.

    Args:
        model: Canonical name of the model, including its tag.
        repository: `owner/name` of the public repository.
        commit: The commit, 40 hexadecimal digits.
        path: Path of the files in the repository, with `{}` for the scale, or a path for each scale.
        licence: The licence stated by the repository, or "none stated".
        paper: Short citation of the paper, as used in tables.
        rules: Mapping from the files' keys to ours.
        files: Scale, size in bytes and SHA-256 of each file.
        key: Key of the state dict, if a file holds several.
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
