"""Learning curves: validations over the iterations of trainings, as coordinates for inline SVG and as a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from srbench.leaderboard.chart import Axes, Tick, ticks
from srbench.leaderboard.entries import Board, Entry
from srbench.leaderboard.rendering import number
from srbench.leaderboard.short_names import Style
from srbench.results.records import Validation

__all__ = ["LARGEST", "Curve", "CurveChart", "CurvePicture", "board_curves", "curve_of", "curve_pictures"]

LARGEST = 1e6  # value that is drawn: more than any metric has, while axes still have ticks
WIDE, NARROW = (1080, 400), (344, 320)
# Values before this fraction of the training do not extend the vertical axis: they are far below all others.
_START = 0.1
_LEAST_SPAN = 4  # of the vertical axis, in units of the last decimal shown
_MOST_COLUMNS = 8
_MOST_POINTS = 400  # of a drawn curve
_DASHES = 3  # in the style sheets


@dataclass(frozen=True)
class Curve:
    """The validations of one model, over its trainings with different seeds.

    Attributes:
        name: The model as labelled on its board.
        model: Its canonical name.
        source: The validation images and the protocol, in words.
        metric: The validated metric and the scale, such as `psnr_y x2`.
        style: The metric's style.
        points: Iteration -> a mean over the images for each training; only iterations that all trainings have.
        series: Number of its color.
        dash: Number of its dashes, which tell models of one color apart.
    """

    name: str
    model: str
    source: str
    metric: str
    style: Style
    points: Mapping[int, Sequence[float]]
    series: int = 0
    dash: int = 0

    @property
    def trainings(self) -> int:
        """Return the number of trainings."""
        return len(next(iter(self.points.values())))

    @property
    def last(self) -> float:
        """Return the mean over the trainings after the last iteration."""
        return fmean(self.points[max(self.points)])

    def mean_at(self, iteration: int) -> str:
        """Return the mean after an iteration for a table."""
        values = self.points.get(iteration)
        return "–" if values is None else number(fmean(values), self.style.fine)

    def range_at(self, iteration: int) -> str:
        """Return the range over several trainings after an iteration; empty for one training."""
        values = self.points.get(iteration, ())
        fine = self.style.fine
        return f"{number(min(values), fine)} to {number(max(values), fine)}" if len(values) > 1 else ""


@dataclass(frozen=True)
class Drawn:
    """One curve in a chart: its line, and the band between the lowest and the highest training."""

    curve: Curve
    line: str
    band: str


@dataclass(frozen=True)
class CurveChart(Axes):
    """One chart of curves; if it is `clipped`, early values lie at the lower edge."""

    lines: list[Drawn]
    clipped: bool


@dataclass(frozen=True)
class CurvePicture:
    """The curves on one set of validation images: a chart for wide and one for narrow screens, and the table.

    Attributes:
        source: The validation images and the protocol, in words.
        title: What the curves show.
        wide: The chart for wide screens.
        narrow: The chart for narrow screens.
        curves: Best last value first.
        columns: Iterations of the table.
    """

    source: str
    title: str
    wide: CurveChart
    narrow: CurveChart
    curves: list[Curve]
    columns: list[int]

    @property
    def trainings(self) -> str:
        """Return how many trainings each model has, in words."""
        counts = sorted({curve.trainings for curve in self.curves})
        if counts == [1]:
            return "One training of each model." if len(self.curves) > 1 else "One training."
        listed = " or ".join(map(str, counts))
        return f"Mean of {listed} trainings{' of each model' if len(self.curves) > 1 else ''}; the band is their range."


def curve_of(entry: Entry, board: Board) -> Curve | None:
    """Return the curve of a board's entry in the metric that ranks there; None without validations in it."""
    metric, several = f"{board.metrics[0]} x{board.scale}", list(entry.validations.values())
    if not several or any(metric not in one.metrics or _source(one) != _source(several[0]) for one in several):
        return None
    known = [dict(zip(one.iterations, one.metrics[metric], strict=True)) for one in several]
    shared = sorted(set.intersection(*(set(one) for one in known)))
    # Equal images have an infinite PSNR, and anything may be in a record of someone else.
    values = {at: [one[at] for one in known] for at in shared}
    points = {at: means for at, means in values.items() if all(abs(mean) < LARGEST for mean in means)}
    if not points:
        return None
    return Curve(entry.label, entry.record.model, _source(several[0]), metric, board.first, points)


def _source(one: Validation) -> str:
    images = f"{one.images} image{'' if one.images == 1 else 's'}"
    # The name of a part of a data set says how many images it has.
    return f"{one.data if one.data.endswith('images)') else f'{one.data}, {images}'}, protocol {one.protocol}"


def board_curves(board: Board, series: Mapping[str, int]) -> list[CurvePicture]:
    """Return the learning curves of a board, a picture for each set of validation images.

    Args:
        board: The board.
        series: Sharing method -> number of its color.
    """
    used: Counter[int] = Counter()
    found = []
    for entry in board.entries:
        curve = curve_of(entry, board)
        if curve is not None:
            color = series.get(entry.record.method or "plain", 0)
            found.append(replace(curve, series=color, dash=used[color] % _DASHES))
            used[color] += 1
    return curve_pictures(found)


def curve_pictures(curves: Iterable[Curve]) -> list[CurvePicture]:
    """Return pictures of curves, one for each set of validation images and metric."""
    alike: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        alike.setdefault((curve.source, curve.metric), []).append(curve)
    pictures = []
    for (source, metric), several in alike.items():
        several.sort(key=lambda curve: (-curve.style.sign * curve.last, curve.model))
        style, scale = several[0].style, metric.rpartition(" x")[2]
        pictures.append(
            CurvePicture(
                source,
                f"Validation {style.title} over the iterations, ×{scale}",
                _chart(several, *WIDE),
                _chart(several, *NARROW),
                several,
                _columns(several),
            )
        )
    return pictures


def _columns(curves: Sequence[Curve]) -> list[int]:
    """Return at most so many iterations for the table, evenly spaced, with the last one."""
    known = sorted({at for curve in curves for at in curve.points})
    step = max(1, math.ceil(len(known) / _MOST_COLUMNS))
    return known[::-1][::step][::-1]


def _chart(curves: Sequence[Curve], width: int, height: int) -> CurveChart:
    left, right, top, bottom = 68.0, width - 30.0, 14.0, height - 44.0
    style = curves[0].style
    sign = style.sign
    last = max(max(curve.points) for curve in curves)
    late = [
        sign * value
        for curve in curves
        for at, values in curve.points.items()
        if at >= _START * last or len(curve.points) == 1
        for value in values
    ]
    low, high = min(late), max(late)
    spare = max((_LEAST_SPAN * 10.0**-style.decimals - (high - low)) / 2, 0.0) + 0.06 * (high - low)
    low, high = low - spare, high + spare

    def place(at: int, value: float) -> str:
        # Earlier values lie at the edge instead of below it.
        y = bottom - (max(sign * value, low) - low) / (high - low) * (bottom - top)
        return f"{left + at / last * (right - left):.2f} {y:.2f}"

    def drawn(curve: Curve) -> Drawn:
        known = sorted(curve.points)
        known = sorted({*known[:: math.ceil(len(known) / _MOST_POINTS)], known[-1]})
        line = "M" + "L".join(place(at, fmean(curve.points[at])) for at in known)
        if len(known) == 1:
            line += "h.01"  # a dot, with round ends
        band = ""
        if curve.trainings > 1 and len(known) > 1:
            above = [place(at, max(curve.points[at])) for at in known]
            below = [place(at, min(curve.points[at])) for at in reversed(known)]
            band = "M" + "L".join([*above, *below]) + "Z"
        return Drawn(curve, line, band)

    return CurveChart(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=[
            Tick(round(left + at / last * (right - left), 2), f"{at:,.0f}")
            for at, _ in ticks(0, last, max(2, width // 160))
            if at == round(at)
        ],
        y_ticks=[
            Tick(round(bottom - (at - low) / (high - low) * (bottom - top), 2), text)
            for at, text in ticks(low, high, 5, sign)
        ],
        lines=[drawn(curve) for curve in curves],
        clipped=any(sign * value < low for curve in curves for values in curve.points.values() for value in values),
        x_title="iterations",
        y_title=f"{style.title} in {style.unit}" if style.unit else style.title,
    )
