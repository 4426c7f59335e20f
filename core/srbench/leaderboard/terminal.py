"""The ranking as tables in the terminal."""

from __future__ import annotations

import math

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from srbench.leaderboard.boards import Board, Entry, Group, Results
from srbench.leaderboard.naming import style

__all__ = ["print_results"]


def print_results(results: Results, console: Console | None = None) -> None:
    """Print one table per board and tier, then what was not measured."""
    console = console or Console()
    for board in results.boards:
        for group in [*board.groups, *([] if board.groups else [Group("baseline", "Without parameters", [], math.nan)])]:
            console.print(_table(board, group))
            if not math.isnan(group.resolution):
                first = style(board.metrics[0])
                text = f"Equal ranks are ties. Resolution of these images: about {group.resolution:.{first.fine}f} {first.unit}"
                console.print(Text(text.rstrip() + ".", style="dim"))
    for failure in results.failures:
        where = f" on {failure.dataset} (x{failure.scale}, {failure.protocol})" if failure.dataset else ""
        console.print(Text(f"failed: {failure.cell}{where}: {failure.reason}", style="red"))


def _table(board: Board, group: Group) -> Table:
    title = Text(f"x{board.scale}, protocol {board.protocol}: {group.title.lower()}", style="bold")
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("rank", justify="right")
    table.add_column("model", overflow="fold", ratio=1)
    table.add_column("parameters", justify="right", no_wrap=True)
    for dataset in board.datasets:
        for metric in board.metrics:
            table.add_column(Text(f"{style(metric).title}\n{dataset.label}"), justify="right", no_wrap=True)
    table.add_column("to best\n[95%]".replace("[", "\\["), justify="right")
    for entry in [*group.entries, *board.baselines]:
        table.add_row(*_cells(board, entry), style="dim" if entry.is_baseline else "")
    return table


def _cells(board: Board, entry: Entry) -> list[Text]:
    cells = ["–" if entry.rank is None else str(entry.rank), entry.label]
    cells.append("–" if entry.record.params_unique is None else f"{entry.record.params_unique:,}")
    for dataset in board.datasets:
        for metric in board.metrics:
            value = entry.values.get((dataset.label, metric))
            cells.append("–" if value is None else f"{value.interval.mean:.{style(metric).decimals}f}")
    decimals = style(board.metrics[0]).fine
    if entry.standing is None:
        cells.append("–")
    elif (best := entry.standing.to_best).low == best.high == 0 and entry.rank == 1:
        cells.append("best")
    else:
        cells.append(f"{best.mean:.{decimals}f}\n[{best.low:.{decimals}f}, {best.high:.{decimals}f}]")
    # Text, not str: a name's brackets are not markup.
    return [Text(cell) for cell in cells]
