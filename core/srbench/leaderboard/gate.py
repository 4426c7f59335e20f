"""Compare results with earlier ones row by row, to find regressions and missing rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from srbench.errors import ConfigError, StoreError
from srbench.leaderboard.boards import summary
from srbench.leaderboard.publish import RESULTS
from srbench.leaderboard.short_names import in_order, style
from srbench.results.records import MetricKind, Record
from srbench.results.store import Cell, RunStore

__all__ = ["Change", "Figures", "Row", "compare_figures", "read_figures", "result_folders"]

Verdict = Literal["regression", "missing", "improvement", "unchanged", "new"]


@dataclass(frozen=True, order=True)
class Row:
    """The identity of a row: a model of a tier on one data set at one scale under one protocol, on a board."""

    board: str
    scale: int
    protocol: str
    dataset: str
    tier: str
    model: str


@dataclass(frozen=True)
class Measured:
    """The means of a row over its seeds, and the images they were measured on."""

    metrics: Mapping[str, float]
    kinds: Mapping[str, MetricKind]
    dataset_hash: str
    protocol_digest: str
    primary: str


@dataclass(frozen=True)
class Figures:
    """All rows of a folder, and why some cells give none."""

    rows: Mapping[Row, Measured]
    failures: Mapping[Row, str]
    damaged: list[str]


@dataclass(frozen=True)
class Change:
    """The change of a row's figure.

    Attributes:
        before: The earlier figure; None for a new row.
        after: The current figure; None for a missing row.
        gain: The improvement, negative for a regression; NaN if there is no difference.
        reason: Why a row is considered missing.
    """

    row: Row
    metric: str
    before: float | None
    after: float | None
    gain: float
    verdict: Verdict
    reason: str = ""


def result_folders(folder: Path) -> dict[str, Path]:
    """Return board name -> run directory for a folder that is a run directory, a board, or contains boards.

    Raises:
        StoreError: There is no such folder.
    """
    if not folder.is_dir():
        raise StoreError(f"there is no folder '{folder}'; give a run's directory, a board, or a folder of boards")
    if (folder / "run.json").exists() or (folder / "cells").is_dir():
        return {"": folder}
    if (folder / RESULTS).is_dir():
        return {"": folder / RESULTS}
    return {
        path.name: path / RESULTS
        for path in sorted(folder.iterdir())
        if path.name[0] != "." and (path / RESULTS).is_dir()
    }


def read_figures(folder: Path) -> Figures:
    """Read all rows of a folder (`result_folders`); several seeds of a training give one row with their mean.

    Raises:
        StoreError: There is no such folder, or results in it were written by a later version.
    """
    groups: dict[Row, list[Record]] = {}
    failures: dict[Row, str] = {}
    damaged: list[str] = []
    for board, path in result_folders(folder).items():
        cells, broken = RunStore(path).read()
        damaged += [f"{board}/{name}".lstrip("/") + f": {reason}" for name, reason in broken.items()]
        for cell in cells:
            row = _row(board, cell)
            if cell.record.status == "ok" and cell.record.metrics:
                groups.setdefault(row, []).append(cell.record)
            else:
                failures[row] = summary(cell.record.error)
    return Figures({row: _joined(records) for row, records in groups.items()}, failures, damaged)


def compare_figures(
    before: Figures, after: Figures, *, max_drop: float, metric: str | None = None, allow_missing: bool = False
) -> list[Change]:
    """Return the change of each row, sorted by row.

    Args:
        before: The earlier figures.
        after: The current figures.
        max_drop: Largest allowed decline of a figure, in the metric's unit.
        metric: The metric to compare; by default, the one that ranks the row.
        allow_missing: Whether rows may be missing.

    Raises:
        ConfigError: `max_drop` is not a number of at least 0, or no row has the metric.
    """
    if not (math.isfinite(max_drop) and max_drop >= 0):
        raise ConfigError(f"--max-drop is {max_drop}; it takes a number from 0, in the metric's unit, such as 0.02")
    there = {name for figures in (before, after) for one in figures.rows.values() for name in one.metrics}
    if metric is not None and metric not in there:
        raise ConfigError(f"no row has the metric '{metric}'; there are {', '.join(sorted(there)) or 'none'}")
    changes = []
    for row in sorted({*before.rows, *after.rows}):
        old, new = before.rows.get(row), after.rows.get(row)
        name = metric or (old or new).primary  # type: ignore[union-attr]
        if name not in (old.metrics if old is not None else {}):
            if new is not None and name in new.metrics:
                changes.append(Change(row, name, None, new.metrics[name], math.nan, "new"))
            continue
        assert old is not None  # narrowed above
        reason = _incomparable(row, old, new, after, name)
        if reason or new is None:
            verdict: Verdict = "unchanged" if allow_missing else "missing"
            changes.append(Change(row, name, old.metrics[name], None, math.nan, verdict, reason))
            continue
        gain = _gain(old.metrics[name], new.metrics[name], style(name, new.kinds.get(name)).sign)
        verdict = "regression" if not gain >= -max_drop else "improvement" if gain > 0 else "unchanged"
        changes.append(Change(row, name, old.metrics[name], new.metrics[name], gain, verdict))
    return changes


def _row(board: str, cell: Cell) -> Row:
    record = cell.record
    return Row(board, record.scale, record.protocol, record.dataset, record.tier, record.model)


def _joined(records: list[Record]) -> Measured:
    first = records[0]
    names = [name for name in first.metrics if all(name in record.metrics for record in records)]
    means = {name: float(np.mean([record.metrics[name] for record in records])) for name in names}
    primary = next(iter(in_order(means, records)), "")
    return Measured(means, first.metric_kinds, first.dataset_hash, first.protocol_digest, primary)


def _incomparable(row: Row, old: Measured, new: Measured | None, after: Figures, metric: str) -> str:
    """Return why a row cannot be compared; empty if it can."""
    if new is None:
        return f"it failed: {after.failures[row]}" if row in after.failures else "it is gone"
    if new.dataset_hash != old.dataset_hash:
        return "it was measured on other images"
    if new.protocol_digest != old.protocol_digest:
        return "the protocol of this name is another"
    return "" if metric in new.metrics else f"it has no {metric}"


def _gain(old: float, new: float, sign: int) -> float:
    """Return the improvement of a figure to nine decimals, since the last digits of sums depend on the processor."""
    if old == new or (math.isnan(old) and math.isnan(new)):
        return 0.0
    if math.isnan(old):
        return math.inf
    return round(sign * (new - old), 9)
