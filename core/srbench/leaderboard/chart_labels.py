"""Placement of a chart's labels, so that none overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
CELL = 40.0  # of the grid for finding what is near a label
# Of many points, those in one square of this side count once, to keep the work linear in a crowd.
MERGED = 4.0
TOUCH = 4.0  # area by which two labels may overlap: their boxes are generous

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """A text, its anchor, and whether a thin line connects it to its point."""

    x: float
    y: float
    anchor: str
    leader: bool


class _Grid:
    """Weighted boxes, indexed by the squares of a grid that they touch."""

    def __init__(self, boxes: Iterable[tuple[Box, float]]) -> None:
        self.squares: dict[tuple[int, int], list[int]] = {}
        self.boxes: list[tuple[Box, float]] = []
        for box, weight in boxes:
            for square in self._touched(box):
                self.squares.setdefault(square, []).append(len(self.boxes))
            self.boxes.append((box, weight))

    @staticmethod
    def _touched(box: Box) -> Iterable[tuple[int, int]]:
        columns = range(int(box[0] // CELL), int(box[2] // CELL) + 1)
        rows = range(int(box[1] // CELL), int(box[3] // CELL) + 1)
        return ((column, row) for column in columns for row in rows)

    def covered(self, box: Box) -> float:
        """Return the weighted area covered by a box."""
        near = {index for square in self._touched(box) for index in self.squares.get(square, ())}
        return sum(self.boxes[index][1] * overlap(box, self.boxes[index][0]) for index in sorted(near))


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
    grid = _Grid(_merged(taken) if many else taken)
    options = {index: _options(names[index], *places[index], grid, frame) for index in chosen}
    labels: dict[int, tuple[Label, Box]] = {}
    for _ in range(4):
        before = dict(labels)
        for index in chosen:
            others = [box for other, (_, box) in labels.items() if other != index]
            labels[index] = _best(options[index], others)
        if labels == before:
            break
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


def _options(text: str, x: float, y: float, grid: _Grid, frame: Box) -> list[tuple[float, Label, Box]]:
    """Return the candidate positions of a label, each with its penalty independent of the other labels."""
    length = len(text) * CHARACTER
    found = []
    for order, (dx, dy, anchor) in enumerate(_CANDIDATES):
        start = x + dx - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
        box = (start, y + dy - LINE * 0.75, start + length, y + dy + LINE * 0.25)
        outside = length * LINE - overlap(box, frame)
        label = Label(round(x + dx, 2), round(y + dy, 2), anchor, leader=abs(dy) > 24)
        found.append((grid.covered(box) + 6 * outside + 2.5 * order, label, box))
    return found


def _best(options: list[tuple[float, Label, Box]], others: list[Box]) -> tuple[Label, Box]:
    costs = [cost + OVER_TEXT * sum(overlap(box, other) for other in others) for cost, _, box in options]
    _, label, box = options[costs.index(min(costs))]
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


_CANDIDATES = _candidates()
