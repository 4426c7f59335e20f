"""Pictures of what a model costs against its quality, as numbers that the template draws as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from srbench.leaderboard.boards import Board, Entry, Group
from srbench.leaderboard.costs import in_units, shown_cost

__all__ = ["SIZE", "WORK", "Axis", "Chart", "chart", "worth_drawing"]

CHARACTER = 6.7  # width of a character of a label in units of the picture, on the generous side
LINE = 14.0  # height of a label
LEAST_SPAN = 10  # of the axis, in units of the last decimal shown
MOST_LABELS = 60
RADIUS = 6.0
# A line of a model without parameters is drawn if it is within so many times the models' own range of quality.
# Farther off, it would press them all together.
NEAR = 0.6
# Costs are worth a picture where the largest is so many times the smallest.
LEAST_RATIO = 1.05
# What it costs a label to cover a unit of area of each, in the units of `_place`: a hidden model is worst.
OVER_MARK, OVER_TEXT, OVER_LINE = 8.0, 3.0, 1.5
SERIES = 6  # colours and shapes in the style sheet

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Axis:
    """What a model costs: a logarithmic horizontal axis.

    Attributes:
        name: What it counts, e.g. `MACs`.
        heading: Of the pictures.
        title: Written below the axis.
        few: How fewer of it are called: `that many parameters`.
        cost: Returns the cost of a model; None where it is not known.
        text: Writes a cost, with its unit.
    """

    name: str
    heading: str
    title: str
    few: str
    cost: Callable[[Entry], int | None]
    text: Callable[[float], str]


def _work(entry: Entry) -> int | None:
    cost = shown_cost(entry)
    return cost.macs if cost.executed is None else cost.executed


SIZE = Axis(
    "parameters",
    "Size against quality",
    "parameters, each tensor once (logarithmic)",
    "that many parameters",
    lambda entry: entry.record.params_unique or None,
    lambda value: f"{value:,.0f} parameters",
)
WORK = Axis(
    "MACs",
    "Work against quality",
    "MACs of a 1280x720 image (logarithmic)",
    "so much work; work is what masks leave, where that was counted",
    _work,
    lambda value: f"{in_units(value)} MACs",
)


@dataclass(frozen=True)
class Tick:
    """A position on an axis and what is written there."""

    at: float
    text: str


@dataclass(frozen=True)
class Label:
    """A text, its anchor, and whether a thin line must lead back to its point."""

    x: float
    y: float
    anchor: str
    leader: bool


@dataclass(frozen=True)
class Point:
    """One model: its place, the ends of its bar, its colour and shape, and its texts."""

    x: float
    y: float
    low: float | None
    high: float | None
    series: int
    name: str
    tooltip: str
    label: Label


@dataclass(frozen=True)
class Line:
    """A model without parameters, as a horizontal line; only named, at the foot or the top, if `outside` the axis."""

    y: float
    name: str
    outside: bool


@dataclass(frozen=True)
class Chart:
    """One picture in units of its view box."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    points: list[Point]
    lines: list[Line]
    front: str
    x_title: str
    y_title: str


def series_of(board: Board) -> dict[str, int]:
    """Return sharing method -> number of its colour and shape; models without a method are called `plain`."""
    names = sorted({entry.record.method or "plain" for group in board.groups for entry in group.entries})
    return {name: index % SERIES for index, name in enumerate(names)}


def worth_drawing(board: Board, axis: Axis) -> bool:
    """Say whether any tier has models whose costs differ."""
    costs = [[axis.cost(entry) or 0 for entry in group.entries] for group in board.groups]
    return any(max(known) >= LEAST_RATIO * min(known) for some in costs if len(known := [c for c in some if c]) > 1)


def chart(board: Board, group: Group, label: str, *, width: int, height: int, axis: Axis = SIZE) -> Chart | None:
    """Lay out the picture of one tier on one data set; None where no model has both figures.

    Bars are the paired 95% interval of the difference to the tier's first model: how well the models can be told
    apart, not how much the images differ.
    """
    metric = board.metrics[0]
    how = board.first
    # Up is better whichever way the figures run: all below is drawn with this sign, and written without it.
    sign = how.sign
    shown: list[tuple[Entry, float, float]] = []
    for entry in group.entries:
        value = entry.values.get((label, metric))
        cost = axis.cost(entry)
        if value and math.isfinite(value.interval.mean) and cost:
            shown.append((entry, float(cost), sign * value.interval.mean))
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
        (entry.label, sign * entry.values[label, metric].interval.mean)
        for entry in board.baselines
        if (label, metric) in entry.values and math.isfinite(entry.values[label, metric].interval.mean)
    ]
    # A line far below would press all models together at the top: it is then only named, at the foot.
    inside = [level for _, level in levels if y_low - NEAR * span <= level <= y_high + NEAR * span]
    y_low, y_high = min([y_low, *inside]), max([y_high, *inside])
    # One point, or several that are nearly equal, are not to look far apart: an axis spans at least this much.
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
    taken = [(_around(x, y), OVER_MARK) for x, y in places]
    for (x, _), bar in zip(places, bars, strict=True):
        if bar:
            taken.append(((x - 2, to_y(bar[1]), x + 2, to_y(bar[0])), OVER_LINE))
    for (x, above), (_, below) in pairwise(front):
        taken.append(((x - 1, min(above, below), x + 1, max(above, below)), OVER_LINE))
    taken += [
        ((left, line.y - LINE - 2, left + len(line.name) * CHARACTER + 8, line.y + 2), OVER_TEXT) for line in lines
    ]
    names = _brief([entry for entry, _, _ in shown])
    # Placing a label looks at all others; where there are very many, only the first ones of the table have room.
    names = names[:MOST_LABELS] + [""] * (len(names) - MOST_LABELS)
    labels = _place(names[:MOST_LABELS], places, taken, (left, top, right, bottom))
    labels += [Label(round(x, 2), round(y, 2), "start", leader=False) for x, y in places[MOST_LABELS:]]
    points = [
        Point(
            x=round(x, 2),
            y=round(y, 2),
            low=round(to_y(bar[0]), 2) if bar else None,
            high=round(to_y(bar[1]), 2) if bar else None,
            series=series[entry.record.method or "plain"],
            name=name,
            tooltip=(f"{entry.record.model}: {axis.text(x_value)}, {sign * y_value:.{how.fine}f} {how.unit}".rstrip()),
            label=label,
        )
        for (entry, x_value, y_value), bar, (x, y), name, label in zip(shown, bars, places, names, labels, strict=True)
    ]
    return Chart(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=[Tick(round(to_x(value), 2), _count(value)) for value in _log_ticks(x_low, x_high, width)],
        y_ticks=[Tick(round(to_y(value), 2), text) for value, text in _ticks(y_low, y_high, 5, sign)],
        points=points,
        lines=lines,
        front="M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in [*front, (right, front[-1][1])]),
        x_title=axis.title,
        y_title=(f"{how.title} in {how.unit}" if how.unit else how.title) + (", best at the top" if sign < 0 else ""),
    )


def _bar(entry: Entry, label: str, metric: str, sign: int) -> tuple[float, float] | None:
    value = entry.values[label, metric]
    if value.to_best is None or math.isnan(value.to_best.low) or value.to_best.low == value.to_best.high:
        return None
    first = value.interval.mean - value.to_best.mean
    low, high = sorted((sign * (first + value.to_best.low), sign * (first + value.to_best.high)))
    return low, high


def _around(x: float, y: float) -> Box:
    return (x - RADIUS - 1, y - RADIUS - 1, x + RADIUS + 1, y + RADIUS + 1)


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _brief(entries: list[Entry]) -> list[str]:
    """Return labels without the tags of weights and a backbone that all share, where they still tell models apart."""
    labels = [entry.label for entry in entries]
    start = f"{entries[0].record.backbone}+"
    if len(labels) > 1 and all(label.startswith(start) for label in labels):
        labels = [label.removeprefix(start) for label in labels]
    bare = [
        label.removesuffix(f".{entry.record.tag}") if entry.record.tag else label
        for label, entry in zip(labels, entries, strict=True)
    ]
    return [short if bare.count(short) == 1 else label for short, label in zip(bare, labels, strict=True)]


def _place(
    names: list[str], places: list[tuple[float, float]], taken: list[tuple[Box, float]], frame: Box
) -> list[Label]:
    """Put each label where it covers least, near its point if it can; later rounds mend what earlier ones spoiled."""
    labels: dict[int, tuple[Label, Box]] = {}
    for _ in range(4):
        for index, (name, (x, y)) in enumerate(zip(names, places, strict=False)):
            others = [(box, OVER_TEXT) for other, (_, box) in labels.items() if other != index]
            labels[index] = _best_place(name, x, y, taken + others, frame)
    return [labels[index][0] for index in range(len(names))]


def _best_place(text: str, x: float, y: float, taken: list[tuple[Box, float]], frame: Box) -> tuple[Label, Box]:
    length = len(text) * CHARACTER
    found: list[tuple[float, int, Label, Box]] = []
    for order, (dx, dy, anchor) in enumerate(_candidates()):
        start = x + dx - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
        box = (start, y + dy - LINE * 0.75, start + length, y + dy + LINE * 0.25)
        outside = length * LINE - _overlap(box, frame)
        cost = sum(weight * _overlap(box, other) for other, weight in taken) + 6 * outside + 2.5 * order
        found.append((cost, order, Label(round(x + dx, 2), round(y + dy, 2), anchor, leader=abs(dy) > 24), box))
    _, _, label, box = min(found, key=lambda item: item[:2])
    return label, box


def _candidates() -> list[tuple[float, float, str]]:
    near = [(11.0, 4.0, "start"), (-11.0, 4.0, "end"), (0.0, -13.0, "middle"), (0.0, 21.0, "middle")]
    corners = [(9.0, -10.0, "start"), (9.0, 17.0, "start"), (-9.0, -10.0, "end"), (-9.0, 17.0, "end")]
    far = [
        (dx, dy, anchor)
        for dy in (-30.0, 38.0, -46.0, 54.0, -62.0, 70.0)
        for dx, anchor in ((10.0, "start"), (-10.0, "end"))
    ]
    return near + corners + far


def _front(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of the steps that join the models that no other beats at a lower cost."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted(places):
        if not corners:
            corners.append((x, y))
        elif y < corners[-1][1]:
            corners += [(x, corners[-1][1]), (x, y)]
    return corners


def _ticks(low: float, high: float, wanted: int, sign: int = 1) -> list[tuple[float, str]]:
    """Return about `wanted` round values between two, written times the sign, with as many decimals as they need."""
    raw = (high - low) / wanted
    power = math.floor(math.log10(raw))
    step = min((factor * 10**power for factor in (1, 2, 2.5, 5, 10)), key=lambda step: abs(step - raw))
    decimals = max(0, -power + (1 if math.isclose(step / 10**power, 2.5) else 0))
    first = math.ceil(low / step)
    return [
        (index * step, f"{sign * index * step:.{decimals}f}") for index in range(first, math.floor(high / step) + 1)
    ]


def _log_ticks(low: float, high: float, width: int) -> list[float]:
    """Return round values of a logarithmic axis given by its ends' logarithms, as many as there is room for."""
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
