"""Arrange results for display: boards (one scale, one protocol), tiers within them, and one entry per model.

Figures of different protocols or scales are never in one table, and those of different origin never in one ranking.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from srbench.errors import SRBenchError, StoreError
from srbench.leaderboard.entries import TIERS, Board, DatasetInfo, Entry, Group, Resolution, Value
from srbench.leaderboard.image_values import image_values, stored_columns
from srbench.leaderboard.published_tables import mark_published
from srbench.leaderboard.replicas import joined_record, replicas_by_model
from srbench.leaderboard.reported_rows import ReportedTable, reported_tables
from srbench.leaderboard.short_names import Style, in_order, short_names, style
from srbench.leaderboard.states import State, read_states
from srbench.leaderboard.statistics import Interval, mean_intervals
from srbench.leaderboard.tiers import by_mean, ranked_group
from srbench.leaderboard.timings import timings_of
from srbench.results.latency_records import LatencyRun, read_latency
from srbench.results.leak_records import LeakRecord, read_leaks
from srbench.results.published_figures import Published
from srbench.results.records import Record, RunInfo
from srbench.results.store import Cell, RunStore

__all__ = [
    "TIERS",
    "Board",
    "DatasetInfo",
    "Entry",
    "Failure",
    "Group",
    "Resolution",
    "Results",
    "Value",
    "read_results",
]


@dataclass(frozen=True)
class Failure:
    """A cell without figures, and the reason in one line.

    It is `damaged` if its files are, rather than its measurement having failed; `planned` if it was not tried yet.
    """

    cell: str
    reason: str
    dataset: str = ""
    scale: int | None = None
    protocol: str = ""
    damaged: bool = False
    planned: bool = False


NOT_YET = "planned, and not measured yet"


@dataclass(frozen=True)
class Results:
    """A run directory, read and ranked."""

    info: RunInfo | None
    boards: list[Board]
    failures: list[Failure]

    @property
    def title(self) -> str:
        """The title of tables and pages: the suite's title or name, with its budget and images."""
        if self.info is None:
            return "Results"
        title = self.info.title or self.info.suite
        limits = [f"budget {self.info.budget}"] if self.info.budget else []
        limits += [f"only the images {self.info.images}"] if self.info.images else []
        return f"{title} ({', '.join(limits)})" if limits else title

    @property
    def failed(self) -> list[Failure]:
        """The failures of cells that were tried; those of planned cells are left out."""
        return [failure for failure in self.failures if not failure.planned]

    @property
    def reported(self) -> list[ReportedTable]:
        """The papers' figures that the suite shows, by scale."""
        return [] if self.info is None else reported_tables(self.info.reported)

    @property
    def records(self) -> list[Record]:
        """Return the records behind all figures."""
        return [record for board in self.boards for entry in board.entries for record in entry.records.values()]


def read_results(run_dir: str | Path, published: Published | None = None) -> Results:
    """Read a run directory and rank its results.

    A failed or damaged cell becomes a `Failure`, and does not prevent the rest from being shown.

    Args:
        run_dir: A directory that `srbench run` wrote, or a packed board.
        published: What is published of the weights that were measured.

    Raises:
        StoreError: There is no run in the directory, nothing in it is finished, it was written by a later version, or
            its list of replays cannot be read.
    """
    store = RunStore(run_dir)
    cells, damaged = store.read()
    failures = _damaged(store, damaged)
    if not cells and not failures:
        raise StoreError(
            f"'{run_dir}' holds no finished results; `srbench run --suite NAME --out {run_dir}` makes some."
        )
    good: dict[tuple[int, str, str], list[Cell]] = {}
    for cell in cells:
        problem = _problem(cell)
        if problem is None:
            record = cell.record
            good.setdefault((record.scale, record.protocol, record.protocol_digest), []).append(cell)
        else:
            failures.append(problem)
    info = store.info()
    order = _suite_datasets(info)
    boards = [_board(*key, good[key], failures, order, info) for key in sorted(good)]
    _mark_leaks(boards, read_leaks(run_dir))
    mark_published(boards, published or Published())
    _mark_timings(boards, read_latency(run_dir))
    states: Mapping[str, State] = read_states(run_dir, cells)
    for board in boards:
        for entry in board.entries:
            entry.states = states
    failures += _not_measured(info, [cell for several in good.values() for cell in several], failures)
    return Results(info, boards, sorted(failures, key=lambda failure: (failure.cell, failure.dataset)))


def _not_measured(info: RunInfo | None, cells: Iterable[Cell], failures: Iterable[Failure]) -> list[Failure]:
    """Return the planned cells that have neither figures nor a recorded failure."""
    if info is None or info.planned is None:
        return []
    known = {(r.model, r.scale, r.dataset_hash, r.protocol) for r in (cell.record for cell in cells)}
    said = {(one.cell, one.scale, one.dataset, one.protocol) for one in failures}
    return [
        Failure(model, NOT_YET, data.name, scale, protocol, planned=True)
        for model, scales in info.planned.models.items()
        for scale in scales
        for data in info.planned.datasets
        for protocol in info.planned.protocols
        if (model, scale, data.sha256, protocol) not in known and (model, scale, data.name, protocol) not in said
    ]


def _mark_leaks(boards: Iterable[Board], leaks: Mapping[tuple[str, str], LeakRecord]) -> None:
    """Record on each entry which of its test images are known to be in its training data."""
    for board in boards:
        for entry in board.entries:
            for label, record in entry.records.items():
                known = leaks.get((record.training.data_hash, record.dataset_hash)) if record.training else None
                if known is not None and known.leaks:
                    entry.leaks[label] = known


def _mark_timings(boards: Iterable[Board], runs: Iterable[LatencyRun]) -> None:
    """Note on each board how long its models take, on which machines, and on each entry its own times."""
    known = list(runs)
    for board in boards:
        board.latency.extend(run for run in known if run.scale == board.scale)
        records = {entry.record.model: entry.record for entry in board.entries}
        for index, times in enumerate(timings_of(board.latency, records, board.scale)):
            for entry in board.entries:
                if entry.record.model in times:
                    entry.timings[index] = times[entry.record.model]


def _suite_datasets(info: RunInfo | None) -> list[str]:
    """Return the names of the suite's data sets in its order, as far as the run has them; of a path, the last part."""
    named = [] if info is None else info.definition.get("datasets", [])
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    return [Path(name).stem if name.endswith(".txt") else Path(name).name for name in names]


def _damaged(store: RunStore, found: Mapping[str, str]) -> list[Failure]:
    return [
        Failure(
            name,
            "its files are damaged or incomplete "
            f"({reason.replace(str(store.cells_path / name), name)}); run the suite again to measure it",
            damaged=True,
        )
        for name, reason in sorted(found.items())
    ]


def _problem(cell: Cell) -> Failure | None:
    """Return why a cell has no figures to show, or None if it has."""
    record = cell.record

    def failure(reason: str, *, damaged: bool = False) -> Failure:
        return Failure(record.model, reason, record.dataset, record.scale, record.protocol, damaged)

    if record.status == "failed":
        return failure(summary(record.error))
    if not record.metrics:
        return failure("its record has the status ok but no metrics", damaged=True)
    try:
        columns, images = stored_columns(cell)
    except SRBenchError as error:
        return failure(str(error).replace(str(cell.directory), cell.directory.name), damaged=True)
    missing = sorted(set(record.metrics) - set(columns))
    if images and missing:
        return failure(f"its per-image table has no column {', '.join(missing)}", damaged=True)
    return None


def summary(error: str | None) -> str:
    """Return the line of a traceback with the error."""
    lines = [line.rstrip() for line in (error or "").splitlines() if line.strip()]
    if not lines:
        return "no reason was recorded"
    if not lines[0].startswith("Traceback"):
        return lines[0].strip()
    # A message may itself have several lines: the exception's first is the last one that is not indented and names it.
    named = [line for line in lines[1:] if not line[0].isspace() and ":" in line and " " not in line.split(":")[0]]
    # Our own errors are sentences by themselves.
    return re.sub(r"^srbench\.errors\.\w+: ", "", (named or lines)[-1].strip())


def _board(
    scale: int,
    protocol: str,
    digest: str,
    cells: list[Cell],
    failures: list[Failure],
    order: list[str],
    info: RunInfo | None,
) -> Board:
    datasets = _datasets(cells, order)
    labels = {(dataset.name, dataset.hash): dataset.label for dataset in datasets}
    styles = _styles(cells)
    metrics = list(styles)
    entries: dict[tuple[str, str], Entry] = {}
    kept, left_out = replicas_by_model(cells)
    failures += [_left_out(cell.record) for cell in left_out]
    for replicas in kept:
        for identity, several in replicas.items():
            record = joined_record([cell.record for cell in several])
            entry = entries.setdefault((record.model, record.tier), Entry(record))
            _fill(entry, labels[identity], record, several)
    _add_intervals(entries.values())
    names = short_names([entry.record for entry in entries.values()], info)
    added = set() if info is None or info.planned is None else {*info.planned.added}
    for entry in entries.values():
        entry.label = names[entry.record.model]
        entry.added = entry.record.model in added
        means = [
            entry.values[dataset.label, metrics[0]].interval.mean
            for dataset in datasets
            if dataset.label in entry.records
        ]
        entry.overall = float(np.mean(means)) if len(means) == len(datasets) else math.nan
    baselines = sorted((entry for entry in entries.values() if entry.is_baseline), key=by_mean(styles[metrics[0]]))
    groups = []
    for tier, title in TIERS.items():
        members = [entry for entry in entries.values() if entry.record.tier == tier and not entry.is_baseline]
        if members:
            groups.append(ranked_group(tier, title, members, datasets, styles))
    return Board(scale, protocol, digest, datasets, metrics, groups, baselines, styles)


def _left_out(record: Record) -> Failure:
    reason = (
        f"it was measured with other weights than the latest, SHA-256 {(record.weights_sha256 or '')[:8]}"
        if record.training is None
        else f"seed {record.identity[2]} was trained otherwise than the latest"
    )
    reason += "; run the suite again"
    return Failure(record.model, reason, record.dataset, record.scale, record.protocol)


def _fill(entry: Entry, label: str, record: Record, cells: list[Cell]) -> None:
    """Add the figures of one data set to an entry."""
    entry.records[label] = record
    entry.images[label], means = image_values(cells)
    entry.directories[label] = cells[0].directory
    for training in (cell.record.training for cell in cells):
        if training is not None and training.validation is not None:
            entry.validations.setdefault(training.seeds[0] if training.seeds else 0, training.validation)
    for metric in record.metrics:
        entry.values[label, metric] = Value(Interval(record.metrics[metric], math.nan, math.nan), None, math.nan)
        if metric in means:
            entry.trainings[label, metric] = means[metric]


def _add_intervals(entries: Iterable[Entry]) -> None:
    """Fill in the intervals of means: at once for all cells that have as many images and metrics."""
    alike: dict[tuple[int, int], list[tuple[Entry, str]]] = {}
    for entry in entries:
        for label, record in entry.records.items():
            if len(entry.images[label]) and record.metrics:
                alike.setdefault((len(entry.images[label]), len(record.metrics)), []).append((entry, label))
    for (_, metrics), cells in alike.items():
        rows = [(entry, label, metric) for entry, label in cells for metric in entry.records[label].metrics]
        samples = np.stack([entry.images[label][metric] for entry, label, metric in rows])
        intervals = mean_intervals([samples], together=metrics)
        for (entry, label, metric), interval in zip(rows, intervals, strict=True):
            spread = entry.trainings.get((label, metric), ())
            deviation = float(np.std(spread, ddof=1)) if len(spread) > 1 else math.nan
            entry.values[label, metric] = Value(interval, None, deviation)


def _datasets(cells: Iterable[Cell], order: list[str]) -> list[DatasetInfo]:
    """Return the data sets: first those in `order`, then the others by name."""
    found: dict[tuple[str, str], Record] = {}
    for cell in cells:
        found.setdefault((cell.record.dataset, cell.record.dataset_hash), cell.record)
    count = Counter(name for name, _ in found)
    place = {name: index for index, name in enumerate(order)}
    return [
        DatasetInfo(
            label=name if count[name] == 1 else f"{name} [{digest[:6]}]",
            name=name,
            hash=digest,
            images=max(record.images, 0),
            licence=record.licence,
        )
        for (name, digest), record in sorted(
            found.items(), key=lambda item: (place.get(item[0][0], len(place)), *item[0])
        )
    ]


def _styles(cells: list[Cell]) -> dict[str, Style]:
    """Return the style of each metric, the primary metric first."""
    kinds = {name: cell.record.metric_kinds.get(name) for cell in cells for name in cell.record.metrics}
    return {name: style(name, kinds[name]) for name in in_order(kinds, (cell.record for cell in cells))}
