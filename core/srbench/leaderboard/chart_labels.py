"""Placement of a chart's labels, so that none overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CHARACTER",
    "LINE",
    "OVER_LINE",
    "OVER_MARK",
    "OVER_TEXT",
    "Box",
    "Label",
    "around",
    "place_labels",
]

CHARACTER = 6.7  # width of a label's character in units of the chart, generously estimated
LINE = 14.0  # height of a label
RADIUS = 6.0
# Penalty for covering a unit of area of each kind: hiding a model is worst.
OVER_MARK, OVER_TEXT, OVER_LINE = 8.0, 3.0, 1.5
# Up to this many points, all are labeled if there is room; beyond that, only the most important.
ALL_LABELLED, LABELLED = 30, 24
# Of many points, those in one square of this side count once, to keep the work linear in a crowd.
MERGED = 4.0
TOUCH = 4.0  # area by which two labels may overlap: their boxes are generous

Box = tuple[float, float, float, float]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Label:
    """A text, its anchor, and whether a thin line connects it to its point."""

    x: float
    y: float
    anchor: str
    leader: bool


@dataclass(frozen=True)
class _Options:
    """The candidate positions of a label, each with its penalty independent of the other labels."""

    labels: list[Label]
    boxes: Array  # of shape (candidates, 4)
    costs: Array

    def best(self, others: Array) -> int:
        """Return the number of the candidate that covers least, given the boxes of the other labels."""
        return int((self.costs + OVER_TEXT * _total(_overlaps(self.boxes, others))).argmin())


def _overlaps(boxes: Array, others: Array) -> Array:
    """Return the area that each box shares with each of the others, of shape (boxes, others)."""
    a, b = boxes[:, None], others[None]
    apart = (a[..., 2] <= b[..., 0]) | (b[..., 2] <= a[..., 0]) | (a[..., 3] <= b[..., 1]) | (b[..., 3] <= a[..., 1])
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    return np.where(apart, 0.0, width * height)


def _total(values: Array) -> Array:
    """Return the sums of rows, added one by one: the order must not depend on their number, as in `np.sum`."""
    return values.cumsum(axis=1)[:, -1] if values.shape[1] else np.zeros(len(values))


def around(x: float, y: float) -> Box:
    """Return the box of a point's marker."""
    return (x - RADIUS - 1, y - RADIUS - 1, x + RADIUS + 1, y + RADIUS + 1)


def overlap(a: Box, b: Box) -> float:
    """Return the area that two boxes share."""
    if a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]:
        return 0.0
    return (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1]))


def place_labels(
    names: Sequence[str],
    places: Sequence[tuple[float, float]],
    taken: Sequence[tuple[Box, float]],
    frame: Box,
    order: Sequence[int],
) -> list[Label | None]:
    """Place each label where it covers least, close to its point if possible, in several rounds of refinement.

    A label that would cover another is left out; of more than `ALL_LABELLED` points, only the first in `order` are
    labeled. The result is deterministic; the work grows linearly with the number of points.

    Args:
        names: The texts.
        places: The points.
        taken: Boxes that labels should not cover, with the penalty for a unit of their area.
        frame: The box that labels should stay within.
        order: Indices of the points, most important first.
    """
    many = len(names) > ALL_LABELLED
    chosen = sorted(order[:LABELLED]) if many else range(len(names))
    weighted = _merged(taken) if many else list(taken)
    boxes = np.array([box for box, _ in weighted]).reshape(-1, 4)
    weights = np.array([weight for _, weight in weighted])
    options = {index: _options(names[index], *places[index], boxes, weights, frame) for index in chosen}
    placed: dict[int, int] = {}
    for _ in range(4):
        before = dict(placed)
        for index in chosen:
            others = [options[other].boxes[number] for other, number in placed.items() if other != index]
            placed[index] = options[index].best(np.array(others).reshape(-1, 4))
        if placed == before:
            break
    labels: dict[int, tuple[Label, Box]] = {}
    for index, number in placed.items():
        left, top, right, bottom = options[index].boxes[number].tolist()
        labels[index] = options[index].labels[number], (left, top, right, bottom)
    kept: dict[int, tuple[Label, Box]] = {}
    for index in order:
        if index in labels and all(overlap(labels[index][1], box) <= TOUCH for _, box in kept.values()):
            kept[index] = labels[index]
    return [kept[index][0] if index in kept else None for index in range(len(names))]


def _merged(boxes: Iterable[tuple[Box, float]]) -> list[tuple[Box, float]]:
    kept: dict[tuple[int, ...], tuple[Box, float]] = {}
    for box, weight in boxes:
        kept.setdefault((*(int(end // MERGED) for end in box), int(weight)), (box, weight))
    return list(kept.values())


def _options(text: str, x: float, y: float, taken: Array, weights: Array, frame: Box) -> _Options:
    """Return the candidate positions of a label.

    Args:
        text: The label.
        x: Of its point.
        y: Of its point.
        taken: Boxes that it should not cover, of shape (boxes, 4).
        weights: The penalty for a unit of their areas, of shape (boxes,).
        frame: The box that it should stay within.
    """
    length = len(text) * CHARACTER
    labels, boxes, extra = [], [], []
    for order, (dx, dy, anchor) in enumerate(_CANDIDATES):
        start = x + dx - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
        box = (start, y + dy - LINE * 0.75, start + length, y + dy + LINE * 0.25)
        labels.append(Label(round(x + dx, 2), round(y + dy, 2), anchor, leader=abs(dy) > 24))
        boxes.append(box)
        extra.append((6 * (length * LINE - overlap(box, frame)), 2.5 * order))
    corners = np.array(boxes)
    outside, late = np.array(extra).T
    # Of many boxes, few are near: the others would only add zeros.
    first, last = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    near = ((taken[:, :2] < last) & (taken[:, 2:] > first)).all(axis=1)
    return _Options(labels, corners, _total(weights[near] * _overlaps(corners, taken[near])) + outside + late)


def _candidates() -> list[tuple[float, float, str]]:
    near = [(11.0, 4.0, "start"), (-11.0, 4.0, "end"), (0.0, -13.0, "middle"), (0.0, 21.0, "middle")]
    corners = [(9.0, -10.0, "start"), (9.0, 17.0, "start"), (-9.0, -10.0, "end"), (-9.0, 17.0, "end")]
    far = [
        (dx, dy, anchor)
        for dy in (-30.0, 38.0, -46.0, 54.0, -62.0, 70.0)
        for dx, anchor in ((10.0, "start"), (-10.0, "end"))
    ]
    return near + corners + far


_CANDIDATES = _candidates()
