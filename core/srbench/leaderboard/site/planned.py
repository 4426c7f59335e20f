"""Models and data sets that a suite plans but that were not measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from srbench.leaderboard.entries import Board
from srbench.results.records import Record, RunInfo

__all__ = ["Planned", "planned"]

# BACKBONE[+METHOD[(key=value,...)]][.TAG]
_NAME = re.compile(r"(?P<backbone>[^+.(]+)(\+(?P<method>[^(.]+))?(\((?P<args>[^)]*)\))?(\.(?P<tag>.+))?")


@dataclass(frozen=True)
class Planned:
    """The planned models and data sets that are missing on a board.

    Attributes:
        models: Missing models, as spelled in the suite.
        datasets: Data sets without any figure.
    """

    models: list[str]
    datasets: list[str]


def planned(board: Board, info: RunInfo | None) -> Planned:
    """Compare a board with its suite."""
    definition = {} if info is None else info.definition
    records = [entry.record for entry in board.entries]
    models = [name for name in _models(definition, board.scale) if not _measured(name, records)]
    have = {dataset.name for dataset in board.datasets}
    return Planned(models, [name for name in _datasets(definition) if name not in have])


def _datasets(definition: Mapping[str, object]) -> Iterable[str]:
    named = definition.get("datasets")
    for name in named if isinstance(named, list) else []:
        if isinstance(name, str):
            yield Path(name).stem if name.endswith(".txt") else Path(name).name


def _models(definition: Mapping[str, object], scale: int) -> Iterable[str]:
    named = definition.get("models")
    for item in named if isinstance(named, list) else []:
        name = item.get("model") if isinstance(item, dict) else item
        only = item.get("scale") if isinstance(item, dict) else None
        if isinstance(name, str) and only in (None, scale, [scale]):
            yield name


def _measured(name: str, records: Iterable[Record]) -> bool:
    """Return whether a record is of the model, whose canonical name has arguments that a suite may leave out."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return any(record.model == name for record in records)
    args = dict(part.strip().partition("=")[::2] for part in (parts["args"] or "").split(",") if "=" in part)
    return any(
        record.model == name
        or (
            (record.backbone, record.method, record.tag) == (parts["backbone"], parts["method"], parts["tag"])
            and args.items() <= record.args.items()
        )
        for record in records
    )
