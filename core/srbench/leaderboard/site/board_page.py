"""The page of a board."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from srbench.leaderboard.chart import series_of
from srbench.leaderboard.curves import board_curves
from srbench.leaderboard.entries import Board
from srbench.leaderboard.pictures import crop_strips
from srbench.leaderboard.rendering import environment
from srbench.leaderboard.site.marks import OTHER_CODE
from srbench.leaderboard.site.places import BoardPlace
from srbench.leaderboard.site.planned import Planned
from srbench.leaderboard.site.plots import plots
from srbench.leaderboard.site.suites import Suite
from srbench.leaderboard.site.table import Table
from srbench.leaderboard.statistics import FEW_IMAGES
from srbench.leaderboard.timings import timing_note

__all__ = ["PACKAGE", "board_text"]

PACKAGE = "srbench.leaderboard.site"
MANY = 6  # most names listed in a sentence; the rest is counted


def board_text(
    place: BoardPlace,
    suite: Suite,
    board: Board,
    table: Table,
    missing: Planned,
    siblings: Sequence[BoardPlace],
    address: Callable[[bytes], str],
) -> str:
    """Return the page of a board.

    Args:
        place: The place of the page.
        suite: The suite of the board.
        board: The board.
        table: Its table.
        missing: Planned models and data sets that were not measured.
        siblings: All boards of the suite, including this one.
        address: Returns the URL of a PNG file with some content, relative to this page.
    """
    results = suite.results
    assert results is not None
    ids = {f"{section.tag} {row.model}": row.id for section in table.sections for row in section.rows}
    drawn = plots(board, ids)
    series = series_of(board)
    labels = [dataset.label for dataset in board.datasets]
    failures = [
        failure
        for failure in results.failed
        if failure.damaged or (failure.scale, failure.protocol) == (board.scale, board.protocol)
    ]
    return (
        environment(PACKAGE)
        .get_template("board.html.j2")
        .render(
            up="../",
            page="board",
            place=place,
            suite=suite,
            results=results,
            board=board,
            table=table,
            missing=missing,
            siblings=siblings,
            explanation=results.info.explanations.get(board.digest, "") if results.info else "",
            plots=drawn,
            axes=list({plot.axis.name: plot.axis for plot in drawn}.values()),
            series=series,
            curves=board_curves(board, series),
            strips=crop_strips(board, address),
            reported=[one for one in results.reported if one.scale == board.scale],
            failures=failures,
            few=any(dataset.images < FEW_IMAGES for dataset in board.datasets),
            timing_notes=[timing_note(run) for run in board.latency],
            other_code=any(mark.text == OTHER_CODE for row in table.rows for mark in row.marks),
            single=len(labels) == 1,
            labels=labels,
            MANY=MANY,
            few_images=FEW_IMAGES,
            # Needed by the notes on reading.
            firsts=board.first.title,
            lower=", ".join(dict.fromkeys(how.title for how in board.styles.values() if how.sign < 0)),
            boards=[{"costs": any(column.key == "macs" for column in table.columns)}],
        )
    )
