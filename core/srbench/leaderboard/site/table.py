"""The table of a board: its columns, and one row per model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from srbench.leaderboard.costs import has_costs, shown_cost
from srbench.leaderboard.entries import Board, Entry, Group, Value
from srbench.leaderboard.rendering import interval_text, number, signed, sort_value
from srbench.leaderboard.short_names import Style
from srbench.leaderboard.site.columns import Cell, Column
from srbench.leaderboard.site.marks import Mark, marks
from srbench.leaderboard.site.places import model_page
from srbench.leaderboard.site.planned import Planned
from srbench.leaderboard.site.published_columns import published_cells, published_columns, training_cell
from srbench.leaderboard.site.suites import Suite
from srbench.leaderboard.site.ties import tie_groups
from srbench.leaderboard.site.timing_columns import timing_cells, timing_columns
from srbench.leaderboard.states import SUBMITTED, State

__all__ = ["Row", "Section", "Table", "board_table"]

NOT_MEASURED, FAILED = "not measured", "failed"
FEW_METRICS = 6  # if there are more figures of single data sets, only the first two metrics are shown initially


@dataclass(frozen=True)
class Row:
    """One model, with its cells in the order of the columns.

    Attributes:
        id: Identifier of the row in the page.
        entry: None for a planned model that was not measured.
        page: The model's page.
        open: Ends of the rank interval, and the number of ranks; None for a row without a rank.
        tie: Letter of its tie group.
    """

    id: str
    entry: Entry | None
    label: str
    model: str
    page: str
    marks: list[Mark]
    state: State
    cells: list[Cell]
    open: tuple[int, int, int] | None = None
    tie: str = ""


@dataclass(frozen=True)
class Section:
    """The rows of one tier."""

    title: str
    tag: str
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """The columns and the rows, in sections."""

    columns: list[Column]
    sections: list[Section]

    @property
    def rows(self) -> list[Row]:
        """Return the rows of all sections."""
        return [row for section in self.sections for row in section.rows]


def board_table(board: Board, suite: Suite, missing: Planned) -> Table:
    """Return the table of a board, with a row for each model, including planned models that are missing."""
    deployed = any(entry.record.params_deployed not in (None, entry.record.params_unique) for entry in board.entries)
    columns = _columns(board, missing, deployed=deployed)
    failures = (
        {
            (failure.cell, failure.dataset)
            for failure in suite.results.failed
            if (failure.scale, failure.protocol) == (board.scale, board.protocol)
        }
        if suite.results is not None
        else set()
    )
    maker = _Rows(board, suite, columns, failures)
    sections = [
        Section(group.title, group.tier, [maker.row(entry, group, tie) for entry, tie in tie_groups(group)])
        for group in board.groups
    ]
    if board.baselines:
        sections.append(Section("Without parameters", "not ranked", [maker.row(e, None, "") for e in board.baselines]))
    if missing.models:
        sections.append(Section("Planned, not measured", "no figures", [maker.missing(m) for m in missing.models]))
    return Table(columns, sections)


def _columns(board: Board, missing: Planned, *, deployed: bool) -> list[Column]:
    first = board.first
    unit = f" ({first.unit})" if first.unit else ""
    columns = [
        Column("rank", "Rank", spoken="rank"),
        Column("model", "Model", spoken="model", number=False),
        Column("open", "Rank interval", over="95%", spoken="rank interval", number=False),
        Column("tie", "Tie group", spoken="tie group", number=False),
    ]
    if len(board.datasets) > 1:
        columns.append(
            Column("mean", f"Mean {first.heading}{unit}", "all data sets", "mean over the data sets", down=_down(first))
        )
    columns += [
        Column("to-first", f"To first{unit}", "95% interval", "difference to the first", down=_down(first)),
        Column("state", "State", spoken="state", number=False),
        Column("method", "Sharing", spoken="sharing method", number=False),
        Column("params", "Parameters", spoken="parameters"),
    ]
    if deployed:
        columns.append(Column("deployed", "Deployed", "parameters", "deployed parameters", shown=False))
    if has_costs([board]):
        columns.append(Column("macs", "MACs", "1280×720", "multiply-accumulates"))
    columns += timing_columns(board)
    if any(entry.trained_on for entry in board.entries):
        columns.append(Column("trained-on", "Trained on", spoken="training set", number=False))
    many = len(board.datasets) * len(board.metrics) > FEW_METRICS
    for dataset in board.datasets:
        for index, metric in enumerate(board.metrics):
            how = board.style(metric)
            columns.append(
                Column(
                    f"{metric}@{dataset.label}",
                    how.heading + (f" ({how.unit})" if how.unit else ""),
                    dataset.label,
                    f"{how.title} on {dataset.label}",
                    down=_down(how),
                    shown=index < 2 or not many,
                    dataset=dataset.label,
                )
            )
    for name in missing.datasets:
        columns.append(Column(f"missing@{name}", first.heading, name, f"{name}, {NOT_MEASURED}", shown=False))
    columns += published_columns(board)
    columns.append(Column("checks", "Checks passed", spoken="checks passed", down=True, shown=False))
    return columns


def _down(how: Style) -> bool:
    return how.higher_is_better


@dataclass
class _Rows:
    """Factory of numbered rows."""

    board: Board
    suite: Suite
    columns: list[Column]
    failures: set[tuple[str, str]]
    count: int = 0

    def row(self, entry: Entry, group: Group | None, tie: str) -> Row:
        cells = {
            **self._whole(entry, tie),
            **self._figures(entry),
            **published_cells(self.board, entry),
            **timing_cells(self.board, entry),
        }
        standing = entry.standing
        self.count += 1
        return Row(
            id=f"r{self.count}",
            entry=entry,
            label=entry.label,
            model=entry.record.model,
            page=model_page(entry.record.model),
            marks=marks(entry, self.suite.other_code),
            state=entry.state,
            cells=[cells.get(column.key, Cell(NOT_MEASURED, kind="missing")) for column in self.columns],
            open=(standing.best, standing.worst, len(group.ranked)) if standing and group else None,
            tie=tie,
        )

    def missing(self, model: str) -> Row:
        self.count += 1
        failed = any(cell == model for cell, _ in self.failures)
        text = FAILED if failed else NOT_MEASURED
        figures = [Cell(text if "@" in column.key else "–", kind="missing") for column in self.columns]
        figures[1] = Cell(model, model, kind="model")
        return Row(f"r{self.count}", None, model, model, "", [], SUBMITTED, figures)

    def _whole(self, entry: Entry, tie: str) -> dict[str, Cell]:
        record, standing, first = entry.record, entry.standing, self.board.first
        cost = shown_cost(entry)
        passed, run = entry.checks
        state = entry.state
        cells = {
            "rank": Cell("–" if entry.rank is None else str(entry.rank), str(entry.rank or ""), kind="rank"),
            "model": Cell(entry.label, entry.label, kind="model"),
            "open": Cell(standing.interval, str(standing.best), kind="open") if standing else Cell("–", kind="open"),
            "tie": Cell(tie or "–", tie, kind="tie"),
            "mean": Cell(number(entry.overall, first.fine), sort_value(entry.overall)),
            "to-first": Cell("–"),
            "state": Cell(state.name, state.name, (state.detail,) if state.detail else (), "state"),
            "method": Cell(
                "–" if entry.is_baseline else record.method or "plain", record.method or "plain", (), "method"
            ),
            "params": _count(record.params_unique),
            "deployed": _count(record.params_deployed),
            "trained-on": training_cell(entry),
            "macs": Cell(cost.texts[0], str(cost.macs if cost.macs is not None else ""), tuple(cost.texts[1:])),
            "checks": Cell(
                f"{passed} of {run}" if run else "–", str(passed) if run else "", (), "warn" * (passed < run)
            ),
        }
        if standing:
            mean = sort_value(standing.to_best.mean)
            cells["to-first"] = (
                Cell("first", mean)
                if entry.is_first
                else Cell(
                    signed(standing.to_best.mean, first.fine), mean, (interval_text(standing.to_best, first.fine),)
                )
            )
        return cells

    def _figures(self, entry: Entry) -> dict[str, Cell]:
        cells = {}
        for dataset in self.board.datasets:
            for metric in self.board.metrics:
                value = entry.values.get((dataset.label, metric))
                if value is not None:
                    cells[f"{metric}@{dataset.label}"] = _figure(entry, value, self.board.style(metric))
                elif (entry.record.model, dataset.name) in self.failures:
                    cells[f"{metric}@{dataset.label}"] = Cell(FAILED, kind="missing")
        return cells


def _count(value: int | None) -> Cell:
    return Cell("–") if value is None else Cell(f"{value:,}", str(value))


def _figure(entry: Entry, value: Value, how: Style) -> Cell:
    subs: tuple[str, ...] = ()
    if value.to_best and entry.rank is not None and not entry.is_first:
        text = signed(value.to_best.mean, how.fine)
        if not math.isnan(value.to_best.low):
            text += f" ± {number(value.to_best.half_width, how.fine)}"
        subs = (text,)
    return Cell(number(value.interval.mean, how.decimals), sort_value(value.interval.mean), subs)
