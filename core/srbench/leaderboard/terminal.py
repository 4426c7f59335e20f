"""The ranking as tables in the terminal."""

from __future__ import annotations

import math

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from srbench.leaderboard.boards import Board, Entry, Group, Results
from srbench.leaderboard.costs import has_costs, shown_cost
from srbench.leaderboard.notes import leak_note, marked_label, rank_note, resolution_notes
from srbench.untrusted import escaped

__all__ = ["print_results"]


def print_results(results: Results, console: Console | None = None) -> None:
    """Print one table per board and tier, then the missing cells."""
    if console is None:
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = 160
    for board in results.boards:
        # Narrow terminals only get the mean of the metric that ranks: a wider table would be unreadable.
        wide = console.width >= 78 + 14 * len(board.datasets) * len(board.metrics)
        for group in board.groups or [Group("baseline", "Without parameters", [])]:
            console.print(_table(board, group, wide=wide))
            for note in (
                rank_note(group),
                *resolution_notes(group, board.first),
                group.seed_note,
                leak_note(group.entries),
            ):
                if note:
                    console.print(_text(note, style="dim"))
    for reported in results.reported:
        for paper in reported.papers:
            count = len(reported.rows)
            console.print(_text(f"x{reported.scale}: {count} reported figures on the page; {paper}.", style="dim"))
    for failure in results.failures:
        where = f" on {failure.dataset} (x{failure.scale}, {failure.protocol})" if failure.dataset else ""
        state = "not measured" if failure.planned else "failed"
        console.print(_text(f"{state}: {failure.cell}{where}: {failure.reason}", style="red"))


def _text(text: str, style: str = "") -> Text:
    """Return a record's text without markup and control characters."""
    return Text("\n".join(map(escaped, text.split("\n"))), style=style)


def _table(board: Board, group: Group, *, wide: bool) -> Table:
    title = _text(f"x{board.scale}, protocol {board.protocol}: {group.title.lower()}", style="bold")
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1), pad_edge=False)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("95%", justify="center", no_wrap=True)
    table.add_column("model", overflow="fold", min_width=18)
    table.add_column("parameters", justify="right", no_wrap=True)
    if wide and has_costs([board]):
        table.add_column("MACs", justify="right", no_wrap=True)
    if wide and len(board.datasets) > 1:
        table.add_column(_text(f"{board.first.heading}\nmean"), justify="right", no_wrap=True)
    if wide:
        for dataset in board.datasets:
            for metric in board.metrics:
                table.add_column(_text(f"{board.style(metric).heading}\n{dataset.label}"), justify="right")
    else:
        name = board.first.heading + (", mean" if len(board.datasets) > 1 else "")
        table.add_column(_text(name), justify="right", no_wrap=True)
    table.add_column("to first", justify="right", no_wrap=True)
    for entry in [*group.entries, *board.baselines]:
        # Text, not str: a name's brackets are not markup.
        table.add_row(*map(_text, _cells(board, entry, wide=wide)), style="dim" if entry.is_baseline else "")
    return table


def _cells(board: Board, entry: Entry, *, wide: bool) -> list[str]:
    cells = ["–" if entry.rank is None else str(entry.rank)]
    cells += ["–" if entry.standing is None else entry.standing.interval, marked_label(entry)]
    cells.append("–" if entry.record.params_unique is None else f"{entry.record.params_unique:,}")
    first = board.first
    if wide and has_costs([board]):
        cells.append("\n".join(shown_cost(entry).texts))
    if wide and len(board.datasets) > 1:
        cells.append("–" if math.isnan(entry.overall) else f"{entry.overall:.{first.fine}f}")
    if wide:
        for dataset in board.datasets:
            for metric in board.metrics:
                value = entry.values.get((dataset.label, metric))
                missing = "–" if dataset.label in entry.records else "not\nmeasured"
                cells.append(missing if value is None else f"{value.interval.mean:.{board.style(metric).decimals}f}")
    else:
        cells.append("–" if math.isnan(entry.overall) else f"{entry.overall:.{first.decimals}f}")
    if entry.standing is None:
        cells.append("–")
    elif entry.is_first:
        cells.append("first")
    elif math.isnan((best := entry.standing.to_best).low):
        cells.append(f"{best.mean:+.{first.fine}f}")
    else:
        cells.append(f"{best.mean:+.{first.fine}f} ± {best.half_width:.{first.fine}f}")
    return cells
