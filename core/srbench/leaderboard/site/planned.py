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
        models: Missing models, by canonical name, or as spelled in the suite if the run did not record its plan.
        datasets: Data sets without any figure.
    """

    models: list[str]
    datasets: list[str]


@dataclass(frozen=True)
class _Model:
    """A model, and the parts of its name."""

    name: str
    parts: tuple[str, str | None, str | None] | None
    args: Mapping[str, str]

    def includes(self, written: _Model) -> bool:
        """Return whether a name, which may leave out arguments, is this model's."""
        if self.name == written.name:
            return True
        return written.parts is not None and self.parts == written.parts and written.args.items() <= self.args.items()


def planned(board: Board, info: RunInfo | None) -> Planned:
    """Compare a board with the plan of its run, and with its suite, which may have more than was planned."""
    if info is None:
        return Planned([], [])
    known = [_recorded(entry.record) for entry in board.entries]
    plan = {} if info.planned is None else info.planned.models
    missing: list[str] = []
    for model in (
        *(_written(name) for name, scales in plan.items() if board.scale in scales),
        *(_written(name) for name in _models(info.definition, board.scale)),
    ):
        if not any(one.includes(model) for one in known):
            known.append(model)
            missing.append(model.name)
    have = {dataset.name for dataset in board.datasets}
    return Planned(missing, [name for name in _datasets(info.definition) if name not in have])


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


def _recorded(record: Record) -> _Model:
    return _Model(record.model, (record.backbone, record.method, record.tag), record.args)


def _written(name: str) -> _Model:
    parts = _NAME.fullmatch(name)
    if parts is None:
        return _Model(name, None, {})
    args = dict(part.strip().partition("=")[::2] for part in (parts["args"] or "").split(",") if "=" in part)
    return _Model(name, (parts["backbone"], parts["method"], parts["tag"]), args)
