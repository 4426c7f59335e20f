"""The charts of a board: quality against parameters, work and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from srbench.leaderboard.chart import MEAN, SIZE, WORK, Axis, Chart, chart, worth_drawing
from srbench.leaderboard.entries import Board, Group
from srbench.leaderboard.site.time_axis import latency_axes

__all__ = ["Plot", "plots"]

WIDE, NARROW = (1080, 460), (344, 360)
# For a tier with more models, only the mean over the data sets is drawn, not each data set.
MANY_MODELS = 200


@dataclass(frozen=True)
class Plot:
    """One chart, laid out for wide and for narrow screens.

    Attributes:
        dataset: Label of the data set; empty for the mean over all data sets.
    """

    axis: Axis
    group: Group
    dataset: str
    wide: Chart
    narrow: Chart


def plots(board: Board, rows: Mapping[str, str]) -> list[Plot]:
    """Return the charts of a board.

    Args:
        board: The board.
        rows: Tier and model, joined by a space -> identifier of the row in the table.
    """
    axes = [SIZE, *([WORK] if worth_drawing(board, WORK) else []), *latency_axes(board)]
    labels = [dataset.label for dataset in board.datasets]
    found = []
    for axis in axes:
        for group in board.groups:
            names = [MEAN, *labels] if len(labels) > 1 else labels
            if len(group.entries) > MANY_MODELS:
                names = names[:1]
            ids = {entry.record.model: rows.get(f"{group.tier} {entry.record.model}", "") for entry in group.entries}
            for name in names:
                wide = chart(board, group, name, width=WIDE[0], height=WIDE[1], axis=axis, rows=ids)
                narrow = chart(board, group, name, width=NARROW[0], height=NARROW[1], axis=axis, rows=ids)
                if wide is not None and narrow is not None:
                    found.append(Plot(axis, group, name, wide, narrow))
    return found
