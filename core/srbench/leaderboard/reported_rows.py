"""Arrange papers' figures for display: by scale, one row per model, separate from measured figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from srbench.results.reported import ReportedFigure

__all__ = ["TITLE", "ReportedRow", "ReportedTable", "reported_tables"]

TITLE = "Reported in papers, not measured here"


@dataclass
class ReportedRow:
    """The figures that a paper prints for one model.

    Attributes:
        first: The first figure; paper, table, model, protocol and sizes are equal in all of them.
        figures: Data set -> figure.
    """

    first: ReportedFigure
    figures: dict[str, ReportedFigure] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """The notes on this row, with the data set if a note is about only one."""
        by_note: dict[str, list[str]] = {}
        for dataset, figure in self.figures.items():
            if figure.note:
                by_note.setdefault(figure.note, []).append(dataset)
        return [
            note if len(where) == len(self.figures) else f"{', '.join(where)}: {note}"
            for note, where in by_note.items()
        ]


@dataclass(frozen=True)
class ReportedTable:
    """The figures of one scale.

    Attributes:
        datasets: In the order of their first mention; empty for a table of sizes only.
        rows: In the order of the papers.
    """

    scale: int
    datasets: list[str]
    rows: list[ReportedRow]

    @property
    def anchor(self) -> str:
        """The URL fragment of this table."""
        return f"reported-x{self.scale}"

    @property
    def papers(self) -> list[str]:
        """The papers, each with its tables and what is known about its protocol."""
        found: dict[tuple[str, str], list[str]] = {}
        for row in self.rows:
            tables = found.setdefault((row.first.paper, row.first.protocol), [])
            if row.first.table not in tables:
                tables.append(row.first.table)
        return [f"{paper}, {' and '.join(tables)}; protocol: {how}" for (paper, how), tables in found.items()]


def reported_tables(figures: Iterable[ReportedFigure]) -> list[ReportedTable]:
    """Arrange figures by scale."""
    by_scale: dict[int, dict[tuple[str, ...], ReportedRow]] = {}
    for figure in figures:
        key = (figure.paper, figure.table, figure.row, figure.setting, figure.model, figure.protocol, figure.params)
        row = by_scale.setdefault(figure.scale, {}).setdefault(key, ReportedRow(figure))
        row.figures[figure.dataset] = figure
    tables = []
    for scale, rows in sorted(by_scale.items()):
        datasets = dict.fromkeys(name for row in rows.values() for name in row.figures if name)
        tables.append(ReportedTable(scale, list(datasets), list(rows.values())))
    return tables
