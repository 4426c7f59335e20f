"""Drawing of feature maps; imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from srbench.plugin import FigureSheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Row", "draw"]

_SIDE, _GAP, _LEFT, _TOP, _BETWEEN = 1.2, 0.07, 0.15, 0.98, 0.22  # inches


@dataclass(frozen=True)
class Row:
    """Dense and sparse maps `(h, w)` of one layer for one image, with their channel indices."""

    image: str
    picture: npt.NDArray[np.uint8]
    layer: str
    dense: list[tuple[int, npt.NDArray[np.float32]]]
    sparse: list[tuple[int, npt.NDArray[np.float32]]]


def draw(name: str, about: str, heads: tuple[str, str], rows: Sequence[Row]) -> Figure:
    """Draw one row per image and layer: the image, its dense maps and its sparse maps."""
    columns = [max(len(row.dense) for row in rows), max(len(row.sparse) for row in rows)]
    starts = [_LEFT + _SIDE + _BETWEEN]
    starts.append(starts[0] + columns[0] * (_SIDE + _GAP) + _BETWEEN)
    tall = [_SIDE * row.picture.shape[0] / row.picture.shape[1] for row in rows]
    width = starts[1] + columns[1] * (_SIDE + _GAP) + 0.1
    sheet = FigureSheet(width, _TOP + sum(tall) + 0.42 * len(rows), f"Feature maps of {name}")
    sheet.text(0.12, 0.42, about, color="0.35", size=8)
    sheet.text(0.12, 0.58, "under a map: its channel, and the share of zeros", color="0.35", size=8)
    for start, head, number in zip(starts, heads, columns, strict=True):
        if number:
            sheet.text(start, _TOP - 0.14, head, weight="bold", size=9)
    top = _TOP
    for number, (row, height) in enumerate(zip(rows, tall, strict=True)):
        if number == 0 or rows[number - 1].image != row.image:
            sheet.picture(_LEFT, top + 0.2, _SIDE, height, row.picture)
        sheet.text(starts[0], top + 0.11, row.layer, color="0.35", size=8)
        for start, maps in zip(starts, (row.dense, row.sparse), strict=True):
            for column, (channel, values) in enumerate(maps):
                left = start + column * (_SIDE + _GAP)
                # A quantile, so that a few bright points do not darken the rest.
                brightest = float(np.quantile(values, 0.995)) or float(values.max()) or 1.0
                sheet.picture(left, top + 0.2, _SIDE, height, values, cmap="gray", vmin=0, vmax=brightest)
                text = f"#{channel}: {float((values == 0).mean()):.2f}"
                sheet.text(left + _SIDE / 2, top + 0.2 + height + 0.09, text, ha="center", size=7)
        top += height + 0.42
    return sheet.figure
