"""The columns of a board on time, peak memory and the NTIRE score."""

from __future__ import annotations

from srbench.leaderboard.entries import Board, Entry
from srbench.leaderboard.ntire_score import YEAR, score_text
from srbench.leaderboard.rendering import sort_value
from srbench.leaderboard.site.columns import Cell, Column
from srbench.results.latency_records import LatencyRun

__all__ = ["timing_cells", "timing_columns"]

WIDEST = 20  # characters of a machine's name in a heading


def timing_columns(board: Board) -> list[Column]:
    """Return time, memory and score for each machine; time on the first is shown from the start."""
    columns = []
    for index, run in enumerate(board.latency):
        over = _short(run)
        place = f" on {over}" if len(board.latency) > 1 else ""
        columns += [
            Column(f"latency-{index}", "Time (ms)", over, f"time{place}", shown=index == 0),
            Column(f"memory-{index}", "Peak memory (MiB)", over, f"peak memory{place}", shown=False),
        ]
        if any(of.score is not None for entry in board.entries if (of := entry.timings.get(index))):
            columns.append(
                Column(f"score-{index}", f"NTIRE {YEAR} score", over, f"NTIRE {YEAR} score{place}", shown=False)
            )
    return columns


def _short(run: LatencyRun) -> str:
    """Return machine and threads, or type, as the heading of a column; the note below the table has all."""
    name = run.machine if len(run.machine) <= WIDEST else f"{run.machine[: WIDEST - 1].rstrip()}…"
    if run.device != "cpu":
        return f"{name}, {run.dtype}"
    return f"{name}, {run.threads} thread{'s' if run.threads > 1 else ''}"


def timing_cells(board: Board, entry: Entry) -> dict[str, Cell]:
    """Return the cells of a model in these columns."""
    cells: dict[str, Cell] = {}
    for index in range(len(board.latency)):
        of = entry.timings.get(index)
        if of is None:
            cells |= {f"{name}-{index}": Cell("–") for name in ("latency", "memory", "score")}
            continue
        cells |= {
            f"latency-{index}": Cell(of.text, sort_value(of.milliseconds), (of.spread,)),
            f"memory-{index}": Cell(of.memory, sort_value(of.peak_mib)),
            f"score-{index}": Cell("–") if of.score is None else Cell(score_text(of.score), f"{of.score:.6g}"),
        }
    return cells
