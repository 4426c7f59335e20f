"""The columns of a board on training and published figures; those of figures are not shown from the start."""

from __future__ import annotations

from srbench.leaderboard.entries import Board, Entry
from srbench.leaderboard.published_tables import signed_difference
from srbench.leaderboard.rendering import MINUS, sort_value
from srbench.leaderboard.site.columns import Cell, Column
from srbench.results.published_figures import Difference

__all__ = ["published_cells", "published_columns", "training_cell"]


def published_columns(board: Board) -> list[Column]:
    """Return two columns for each data set on which anything is published of the board's models."""
    columns = []
    for dataset in board.datasets:
        if any(dataset.label in entry.published for entry in board.entries):
            over, spoken = f"{dataset.label}, published", f"on {dataset.label}"
            columns += [
                Column(
                    f"published-{dataset.label}", "PSNR (dB)", over, f"published PSNR {spoken}", down=True, shown=False
                ),
                Column(
                    f"difference-{dataset.label}",
                    "Difference (dB)",
                    over,
                    f"difference to the published PSNR {spoken}",
                    down=True,
                    shown=False,
                ),
            ]
    return columns


def published_cells(board: Board, entry: Entry) -> dict[str, Cell]:
    """Return the cells of a model in these columns."""
    cells: dict[str, Cell] = {}
    for dataset in board.datasets:
        found = {one.metric: one for one in reversed(entry.published.get(dataset.label, []))}
        psnr, ssim = found.get("psnr"), found.get("ssim")
        published = Cell("–")
        difference = Cell("–")
        if first := psnr or ssim:
            lines = [("", psnr), ("SSIM ", ssim)]
            texts = [f"{title}{one.printed}" for title, one in lines if one]
            differs = [f"{title}{_shown(one)}" for title, one in lines if one]
            causes = dict.fromkeys(one.cause for _, one in lines if one and one.cause)
            published = Cell(texts[0], sort_value(float(first.printed)), tuple(texts[1:]))
            difference = Cell(
                differs[0], sort_value(first.value), (*differs[1:], *causes), "difference" if causes else ""
            )
        cells |= {f"published-{dataset.label}": published, f"difference-{dataset.label}": difference}
    return cells


def training_cell(entry: Entry) -> Cell:
    """Return what a model was trained on, and for how long."""
    trained = entry.trained_on
    if trained is None:
        return Cell("–", kind="words")
    return Cell(trained.data, trained.data, (trained.brief,) if trained.brief else (), "words")


def _shown(one: Difference) -> str:
    return signed_difference(one).replace("-", MINUS)
