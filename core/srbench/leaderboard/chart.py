"""Charts of quality against cost, as coordinates that the template draws as inline SVG."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from srbench.leaderboard.boards import Board, Entry, Group
from srbench.leaderboard.chart_labels import (
    CHARACTER,
    LINE,
    OVER_LINE,
    OVER_MARK,
    OVER_TEXT,
    Label,
    around,
    place_labels,
)
from srbench.leaderboard.costs import in_units, shown_cost
from srbench.leaderboard.statistics import Interval

__all__ = ["MEAN", "SIZE", "WORK", "Axes", "Axis", "Chart", "Tick", "chart", "series_of", "ticks", "worth_drawing"]

LEAST_SPAN = 10  # of the axis, in units of the last decimal shown
# The line of a model without parameters is drawn if it is within this many times the quality range of the models.
# Farther away, it would squeeze them together.
NEAR = 0.6
# A chart is drawn if the largest cost is at least this many times the smallest.
LEAST_RATIO = 1.05
MEAN = ""  # in place of a data set's label: the mean over all of them
SERIES = 6  # colours and shapes in the style sheet


@dataclass(frozen=True)
class Axis:
    """A logarithmic horizontal axis for a cost.

    Attributes:
        name: The quantity, e.g. `MACs`.
        heading: Heading of the charts.
        title: Label below the axis.
        few: Completes "best model with" in the legend: `at most that many parameters`.
        cost: Returns the cost of a model, None if unknown.
        text: Formats a cost with its unit.
    """

    name: str
    heading: str
    title: str
    few: str
    cost: Callable[[Entry], float | None]
    text: Callable[[float], str]


def _work(entry: Entry) -> int | None:
    cost = shown_cost(entry)
    return cost.macs if cost.executed is None else cost.executed


SIZE = Axis(
    "parameters",
    "Size against quality",
    "parameters, each tensor once (logarithmic)",
    "at most that many parameters",
    lambda entry: entry.record.params_unique or None,
    lambda value: f"{value:,.0f} parameters",
)
WORK = Axis(
    "MACs",
    "Work against quality",
    "MACs of a 1280x720 image (logarithmic)",
    "at most that many MACs; for networks with masks, the MACs that they execute where those were counted",
    _work,
    lambda value: f"{in_units(value)} MACs",
)


@dataclass(frozen=True)
class Tick:
    """A position on an axis and its label."""

    at: float
    text: str


@dataclass(frozen=True)
class Point:
    """One model: its position, the ends of its error bar, its color and shape, and its texts.

    Attributes:
        label: None if there is no room for one; the tooltip names every model.
        row: Identifier of the model's row in a table beside the chart; empty if there is no row to link to.
    """

    x: float
    y: float
    low: float | None
    high: float | None
    series: int
    name: str
    tooltip: str
    label: Label | None
    row: str = ""


@dataclass(frozen=True)
class Line:
    """A model without parameters, as a horizontal line; if `outside` the axis, only its label is shown at the edge."""

    y: float
    name: str
    outside: bool


@dataclass(frozen=True)
class Axes:
    """The axes of a chart, in units of its view box."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    x_title: str
    y_title: str


@dataclass(frozen=True)
class Chart(Axes):
    """One chart of models."""

    points: list[Point]
    lines: list[Line]
    front: str


def series_of(board: Board) -> dict[str, int]:
    """Return sharing method -> number of its color and shape; models without a method are `plain`."""
    names = sorted({entry.record.method or "plain" for group in board.groups for entry in group.entries})
    return {name: index % SERIES for index, name in enumerate(names)}


def worth_drawing(board: Board, axis: Axis) -> bool:
    """Return whether any tier has models with different costs."""
    costs = [[axis.cost(entry) or 0 for entry in group.entries] for group in board.groups]
    return any(max(known) >= LEAST_RATIO * min(known) for some in costs if len(known := [c for c in some if c]) > 1)


def chart(
    board: Board,
    group: Group,
    label: str,
    *,
    width: int,
    height: int,
    axis: Axis = SIZE,
    rows: Mapping[str, str] | None = None,
) -> Chart | None:
    """Lay out the chart of one tier on one data set; None if no model has both figures.

    Error bars are the paired 95% interval of the difference to the tier's first model: they show how well models can
    be distinguished, not how much the images differ.

    Args:
        board: The board of the tier.
        group: The tier.
        label: The data set, or `MEAN` for the mean over all.
        width: In units of the view box.
        height: In units of the view box.
        axis: The cost.
        rows: Model -> identifier of its row in a table beside the chart.
    """
    metric = board.metrics[0]
    how = board.first
    # Up is always better: everything below is drawn with this sign and labeled without it.
    sign = how.sign
    shown: list[tuple[Entry, float, float]] = []
    for entry in group.entries:
        mean, _ = _figure(entry, label, metric)
        cost = axis.cost(entry)
        if math.isfinite(mean) and cost:
            shown.append((entry, float(cost), sign * mean))
    if not shown:
        return None
    left, right, top, bottom = 68.0, width - 18.0, 18.0, height - 44.0

    log_x = [math.log10(x) for _, x, _ in shown]
    x_low, x_high = min(log_x), max(log_x)
    margin = max(0.09 * (x_high - x_low), 0.12)
    x_low, x_high = x_low - margin, x_high + margin

    bars = [_bar(entry, label, metric, sign) for entry, _, _ in shown]
    ends = [end for bar in bars if bar for end in bar] + [y for _, _, y in shown]
    y_low, y_high = min(ends), max(ends)
    span = max(y_high - y_low, LEAST_SPAN * 10.0**-how.decimals)
    levels = [
        (entry.label, sign * mean)
        for entry in board.baselines
        if math.isfinite(mean := _figure(entry, label, metric)[0])
    ]
    # A line far below would squeeze all models together at the top: then only its label is shown, at the bottom.
    inside = [level for _, level in levels if y_low - NEAR * span <= level <= y_high + NEAR * span]
    y_low, y_high = min([y_low, *inside]), max([y_high, *inside])
    # Nearly equal points should not look far apart: an axis spans at least this much.
    span = max(y_high - y_low, LEAST_SPAN * 10.0**-how.decimals)
    spare = (span - (y_high - y_low)) / 2 + 0.14 * span
    y_low, y_high = y_low - spare, y_high + spare

    def to_x(value: float) -> float:
        return left + (math.log10(value) - x_low) / (x_high - x_low) * (right - left)

    def to_y(value: float) -> float:
        return bottom - (value - y_low) / (y_high - y_low) * (bottom - top)

    lines = []
    for name, level in levels:
        outside = level not in inside
        text = f"{name} {sign * level:.{how.decimals}f} {how.unit}".rstrip()
        if outside:
            text += " ↑ above this axis" if level > y_high else " ↓ below this axis"
        place = to_y(level) if not outside else top + LINE if level > y_high else bottom - 8
        lines.append(Line(round(place, 2), text, outside))
    series = series_of(board)
    places = [(to_x(x), to_y(y)) for _, x, y in shown]
    front = _front(places)
    taken = [(around(x, y), OVER_MARK) for x, y in places]
    for (x, _), bar in zip(places, bars, strict=True):
        if bar:
            taken.append(((x - 2, to_y(bar[1]), x + 2, to_y(bar[0])), OVER_LINE))
    for (x, above), (_, below) in pairwise(front):
        taken.append(((x - 1, min(above, below), x + 1, max(above, below)), OVER_LINE))
    taken += [
        ((left, line.y - LINE - 2, left + len(line.name) * CHARACTER + 8, line.y + 2), OVER_TEXT) for line in lines
    ]
    names = _brief([entry for entry, _, _ in shown])
    corners = set(front)
    # Most important first: the models on the Pareto front, then the best.
    order = sorted(range(len(places)), key=lambda index: (places[index] not in corners, places[index][1], index))
    labels = place_labels(names, places, taken, (left, top, right, bottom), order)
    points = [
        Point(
            x=round(x, 2),
            y=round(y, 2),
            low=round(to_y(bar[0]), 2) if bar else None,
            high=round(to_y(bar[1]), 2) if bar else None,
            series=series[entry.record.method or "plain"],
            name=name,
            tooltip=(f"{entry.record.model}: {axis.text(x_value)}, {sign * y_value:.{how.fine}f} {how.unit}".rstrip()),
            label=placed,
            row=(rows or {}).get(entry.record.model, ""),
        )
        for (entry, x_value, y_value), bar, (x, y), name, placed in zip(shown, bars, places, names, labels, strict=True)
    ]
    return Chart(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=[Tick(round(to_x(value), 2), _count(value)) for value in _log_ticks(x_low, x_high, width)],
        y_ticks=[Tick(round(to_y(value), 2), text) for value, text in ticks(y_low, y_high, 5, sign)],
        points=points,
        lines=lines,
        front="M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in [*front, (right, front[-1][1])]),
        x_title=axis.title,
        y_title=(f"{how.title} in {how.unit}" if how.unit else how.title) + (", best at the top" if sign < 0 else ""),
    )


def _bar(entry: Entry, label: str, metric: str, sign: int) -> tuple[float, float] | None:
    mean, to_best = _figure(entry, label, metric)
    if to_best is None or math.isnan(to_best.low) or to_best.low == to_best.high:
        return None
    first = mean - to_best.mean
    low, high = sorted((sign * (first + to_best.low), sign * (first + to_best.high)))
    return low, high


def _figure(entry: Entry, label: str, metric: str) -> tuple[float, Interval | None]:
    """Return a mean (NaN if missing) and its paired difference to the tier's first model."""
    if label == MEAN:
        return entry.overall, entry.standing.to_best if entry.standing else None
    value = entry.values.get((label, metric))
    return (math.nan, None) if value is None else (value.interval.mean, value.to_best)


def _brief(entries: list[Entry]) -> list[str]:
    """Return labels without weight tags and a common backbone, as long as they stay distinct."""
    labels = [entry.label for entry in entries]
    start = f"{entries[0].record.backbone}+"
    if len(labels) > 1 and all(label.startswith(start) for label in labels):
        labels = [label.removeprefix(start) for label in labels]
    bare = [
        label.removesuffix(f".{entry.record.tag}") if entry.record.tag else label
        for label, entry in zip(labels, entries, strict=True)
    ]
    count = Counter(bare)
    return [short if count[short] == 1 else label for short, label in zip(bare, labels, strict=True)]


def _front(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of the steps through the Pareto front: models that none beats at a lower cost."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted(places):
        if not corners:
            corners.append((x, y))
        elif y < corners[-1][1]:
            corners += [(x, corners[-1][1]), (x, y)]
    return corners


def ticks(low: float, high: float, wanted: int, sign: int = 1) -> list[tuple[float, str]]:
    """Return about `wanted` round tick values between two limits, labeled times the sign with just enough decimals."""
    raw = (high - low) / wanted
    power = math.floor(math.log10(raw))
    step = min((factor * 10**power for factor in (1, 2, 2.5, 5, 10)), key=lambda step: abs(step - raw))
    decimals = max(0, -power + (1 if math.isclose(step / 10**power, 2.5) else 0))
    first = math.ceil(low / step)
    return [
        (index * step, f"{sign * index * step:.{decimals}f}") for index in range(first, math.floor(high / step) + 1)
    ]


def _log_ticks(low: float, high: float, width: int) -> list[float]:
    """Return round tick values for a logarithmic axis with these logarithmic limits, as many as fit."""
    room = max(3, width // 95)
    choices = [(1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8), tuple(1 + index / 10 for index in range(90))]
    best: list[float] = []
    for factors in choices:
        powers = range(math.floor(low), math.ceil(high) + 1)
        ticks = [factor * 10.0**power for power in powers for factor in factors]
        ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(ticks) <= room or not best:
            best = ticks
        if len(best) >= 3:
            break
    return best[:: max(1, math.ceil(len(best) / room))]


def _count(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
