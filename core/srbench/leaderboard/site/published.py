"""Published and measured figures of a model, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from srbench.errors import SRBenchError
from srbench.leaderboard.rendering import number, signed
from srbench.leaderboard.site.model_rows import ModelFacts, ModelFigure, ModelRow
from srbench.results.published_figures import Difference, PublishedFigure
from srbench.results.reported import ReportedFigure, read_reported

__all__ = ["Pair", "packaged_figures", "published_against_measured"]

# What papers print, and the metrics that may be meant by it, luma first.
METRICS = {"psnr": ("psnr_y", "psnr", "psnr_rgb"), "ssim": ("ssim_y", "ssim", "ssim_rgb")}
_OF_COLORS = {"y": ("psnr_y", "ssim_y"), "rgb": ("psnr_rgb", "ssim_rgb")}


@dataclass(frozen=True)
class Pair:
    """A printed figure and a measured figure on the same data set at the same scale.

    Attributes:
        difference: Measured minus printed, with one more decimal than the paper.
        verdict: `agrees`, or why the two differ; empty for a figure that is not of published weights.
    """

    reported: ReportedFigure
    row: ModelRow
    figure: ModelFigure
    printed: str
    measured: str
    difference: str
    verdict: str = ""


def packaged_figures() -> list[ReportedFigure]:
    """Return the figures of all packaged tables."""
    folder = resources.files("srbench.leaderboards") / "reported"
    if not folder.is_dir():
        return []
    names = sorted(file.name.removesuffix(".csv") for file in folder.iterdir() if file.name.endswith(".csv"))
    found = []
    for name in names:
        try:
            found += read_reported(name)
        except SRBenchError:  # another package may contain files that are not tables
            continue
    return found


def published_against_measured(facts: ModelFacts, reported: Iterable[ReportedFigure]) -> list[Pair]:
    """Return each printed figure of a model with each measured one of the same data set, scale and kind."""
    pairs = []
    for printed in _once(reported):
        for row in facts.rows:
            if row.place.scale != printed.scale:
                continue
            for kind, metrics in METRICS.items():
                text = getattr(printed, kind)
                figures = {figure.metric: figure for figure in row.figures if figure.dataset == printed.dataset}
                if isinstance(printed, PublishedFigure):
                    # One that is computed on luma is not compared on a board of RGB.
                    figures = {name: figures[name] for name in _OF_COLORS[printed.colors] if name in figures}
                    if not row.ranked_by.endswith(f"_{printed.colors}"):
                        continue
                figure = next((figures[metric] for metric in metrics if metric in figures), None)
                if text and figure is not None:
                    pairs.append(_pair(printed, row, figure, kind, text))
    return pairs


def _pair(printed: ReportedFigure, row: ModelRow, figure: ModelFigure, kind: str, text: str) -> Pair:
    mean, decimals = figure.interval.mean, len(text.partition(".")[2])
    verdict = ""
    if isinstance(printed, PublishedFigure):
        verdict = Difference(printed, kind, text, row.place.protocol.partition("+")[0], mean).verdict
    return Pair(
        printed, row, figure, text, number(mean, decimals + 1), signed(mean - float(text), decimals + 1), verdict
    )


def _once(reported: Iterable[ReportedFigure]) -> list[ReportedFigure]:
    """Return figures without those that are published of weights too, which say more."""
    figures = list(dict.fromkeys(reported))
    known = {
        (figure.scale, figure.dataset, figure.psnr, figure.ssim)
        for figure in figures
        if isinstance(figure, PublishedFigure)
    }
    return [
        figure
        for figure in figures
        if isinstance(figure, PublishedFigure) or (figure.scale, figure.dataset, figure.psnr, figure.ssim) not in known
    ]
