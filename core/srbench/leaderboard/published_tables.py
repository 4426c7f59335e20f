"""Published figures beside measured ones, and what models were trained on, as cells of tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from srbench.leaderboard.entries import Board, Entry
from srbench.leaderboard.trained_on import trained_on
from srbench.results.published_figures import Difference, Published, differences

__all__ = ["PublishedRow", "csv_cells", "mark_published", "published_rows", "signed_difference"]

_TITLES = {"psnr": "PSNR", "ssim": "SSIM"}


def mark_published(boards: Iterable[Board], published: Published) -> None:
    """Note on each entry what it was trained on, and the published figures of what it was measured on.

    A board that is ranked by luma has figures of luma, one ranked by RGB those of RGB.
    """
    for board in boards:
        colors = "rgb" if board.metrics and board.metrics[0].endswith("_rgb") else "y"
        for entry in board.entries:
            entry.trained_on = trained_on(entry.record, published)
            figures = [
                figure
                for figure in published.figures_of(entry.record.model, board.scale)
                if figure.colors == colors and entry.record.training is None
            ]
            for label, record in entry.records.items():
                if record.subset is None:
                    means = {metric: value.interval.mean for (of, metric), value in entry.values.items() if of == label}
                    found = differences(figures, record.dataset, record.protocol, means)
                    if found:
                        entry.published[label] = found


def signed_difference(difference: Difference) -> str:
    """Return measured minus published, with one decimal more than is printed."""
    return f"{difference.value:+.{difference.places}f}"


@dataclass(frozen=True)
class PublishedRow:
    """A published figure of a board's model, as tables show it."""

    label: str
    dataset: str
    metric: str
    printed: str
    measured: str
    difference: str
    verdict: str
    source: str
    protocol: str
    agrees: bool


def published_rows(board: Board) -> list[PublishedRow]:
    """Return all published figures of a board's models beside the measured ones, in the order of the board."""
    return [
        PublishedRow(
            label=entry.label,
            dataset=dataset.label,
            metric=_TITLES[one.metric],
            printed=one.printed,
            measured=f"{one.measured:.{one.places}f}",
            difference=signed_difference(one),
            verdict=one.verdict,
            source=one.figure.source,
            protocol=one.figure.protocol,
            agrees=one.agrees,
        )
        for entry in board.entries
        for dataset in board.datasets
        for one in entry.published.get(dataset.label, [])
    ]


def csv_cells(entry: Entry, label: str) -> dict[str, object]:
    """Return the columns of `leaderboard.csv` on training and published figures for a model and a data set."""
    cells: dict[str, object] = {}
    if (trained := entry.trained_on) is not None:
        cells |= {
            "trained_on": trained.data,
            "trained_iterations": trained.iterations,
            "trained_batch": trained.batch or None,
            "trained_patch": trained.patch or None,
            "trained_source": trained.source or None,
            "trained_note": trained.note or None,
        }
    found = entry.published.get(label, [])
    for metric in _TITLES:
        of = [one for one in found if one.metric == metric]
        if of:
            cells |= {f"published_{metric}": float(of[0].printed), f"{metric}_minus_published": of[0].value}
    if found:
        causes = dict.fromkeys(one.cause for one in found if not one.agrees)
        cells |= {
            "published_in": found[0].figure.source,
            "published_protocol": found[0].figure.protocol,
            "published_agrees": "; ".join(causes) or "agrees",
        }
    return cells
