"""Papers' figures as they are shown: by scale, one row per model, apart from everything that was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from srbench.results.reported import ReportedFigure

__all__ = ["TITLE", "ReportedRow", "ReportedTable", "reported_tables"]

TITLE = "Reported in papers, not measured here"


@dataclass
class ReportedRow:
    """What a paper prints for one model.

    Attributes:
        first: The first figure; paper, table, model, protocol and sizes are the same in all.
        figures: Data set -> figure.
    """

    first: ReportedFigure
    figures: dict[str, ReportedFigure] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """Return what a reader must know of this row, with the data set where it is of one only."""
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
        datasets: In the order of their first mention; none for a table of sizes only.
        rows: In the order of the papers.
    """

    scale: int
    datasets: list[str]
    rows: list[ReportedRow]

    @property
    def anchor(self) -> str:
        """Return the fragment of a link to this table."""
        return f"reported-x{self.scale}"

    @property
    def papers(self) -> list[str]:
        """Return the papers, each with its tables and with what is known of its protocol."""
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
