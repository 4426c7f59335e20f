"""Drawing of masks; imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.colors import ListedColormap

from srbench.plugin import FIGURE_COLORS, FigureSheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from srbench_sparse_mask.figures.recording import MaskModule

__all__ = ["Panel", "draw"]

_OFF, _ON = "#E8E8E8", FIGURE_COLORS[0]
_MAP = ListedColormap([_OFF, _ON])
_SIDE, _GAP, _LEFT, _TOP = 1.25, 0.12, 0.15, 0.7  # inches
_LAYER, _COLUMNS = 0.15, 6


@dataclass(frozen=True)
class Panel:
    """The masks of one network: for each image, the picture and its modules."""

    name: str
    about: str
    scale: int
    pictures: list[npt.NDArray[np.uint8]]
    modules: list[list[MaskModule]]


def draw(panels: Sequence[Panel], images: str) -> Figure:
    """Draw the picture, the spatial mask of each module and its channel masks for each network and image."""
    columns = min(max(len(found) for panel in panels for found in panel.modules), _COLUMNS)
    width = _LEFT + (columns + 1) * (_SIDE + _GAP) + 0.1
    named = len(panels) > 1
    height = _TOP + sum(_height(panel) + (0.4 if named else 0) for panel in panels)
    title = f"Sparse masks of {panels[0].name}" if not named else "Sparse masks"
    sheet = FigureSheet(width, height, title)
    about = f"{images}; x{panels[0].scale}" + (f"; {panels[0].about}" if not named else "")
    sheet.text(0.12, 0.42, about, color="0.35", size=8)
    _legend(sheet, width)
    top = _TOP
    for panel in panels:
        if named:
            sheet.text(_LEFT, top + 0.08, panel.name, weight="bold", size=9)
            sheet.text(_LEFT, top + 0.25, panel.about, color="0.35", size=8)
            top += 0.4
        for picture, found in zip(panel.pictures, panel.modules, strict=True):
            top = _image(sheet, top, picture, found)
    return sheet.figure


def _height(panel: Panel) -> float:
    return sum(
        _rows(found) * _row_height(picture, found) for picture, found in zip(panel.pictures, panel.modules, strict=True)
    )


def _rows(found: Sequence[MaskModule]) -> int:
    return -(-len(found) // _COLUMNS)


def _picture_height(picture: npt.NDArray[np.uint8]) -> float:
    return _SIDE * float(picture.shape[0]) / float(picture.shape[1])


def _row_height(picture: npt.NDArray[np.uint8], found: Sequence[MaskModule]) -> float:
    return 0.2 + _picture_height(picture) + 0.22 + max(len(module.layers) for module in found) * _LAYER + 0.3


def _image(sheet: FigureSheet, top: float, picture: npt.NDArray[np.uint8], found: Sequence[MaskModule]) -> float:
    tall = _picture_height(picture)
    step = _row_height(picture, found)
    sheet.picture(_LEFT, top + 0.2, _SIDE, tall, picture)
    whole = float(np.average([module.sparsity for module in found], weights=[_size(module) for module in found]))
    sheet.text(_LEFT + _SIDE / 2, top + 0.2 + tall + 0.1, f"sparsity {whole:.3f}", ha="center", size=8)
    layers_top = top + 0.2 + tall + 0.24
    sheet.text(_LEFT + _SIDE, layers_top + _LAYER / 2, "dense channels", ha="right", color="0.35", size=8)
    for number, module in enumerate(found):
        row, column = divmod(number, _COLUMNS)
        left, at = _LEFT + (column + 1) * (_SIDE + _GAP), top + row * step
        sheet.text(left + _SIDE / 2, at + 0.09, f"module {number + 1}", ha="center", weight="bold", size=8)
        sheet.picture(left, at + 0.2, _SIDE, tall, module.spatial, cmap=_MAP, vmin=0, vmax=1)
        below = at + 0.2 + tall
        on = f"on {module.spatial.mean():.0%}; sparsity {module.sparsity:.2f}"
        sheet.text(left + _SIDE / 2, below + 0.1, on, ha="center", size=7)
        for line, layer in enumerate(module.layers):
            place = below + 0.24 + line * _LAYER
            sheet.picture(left, place, _SIDE - 0.2, _LAYER - 0.03, layer.dense[None], cmap=_MAP, vmin=0, vmax=1)
            sheet.text(left + _SIDE, place + _LAYER / 2 - 0.02, f"{layer.dense.sum()}", ha="right", size=7)
    return top + _rows(found) * step


def _size(module: MaskModule) -> int:
    return sum(len(layer.dense) for layer in module.layers)


def _legend(sheet: FigureSheet, width: float) -> None:
    """Draw the legend of the two colours at the upper right."""
    left = width - 2.5
    for color, text, place in ((_ON, "computed", left), (_OFF, "left out", left + 1.0)):
        axes = sheet.axes(place, 0.12, 0.14, 0.14)
        axes.set(xticks=[], yticks=[], facecolor=color)
        sheet.text(place + 0.2, 0.19, text, size=8)
