"""How the filters of layers are drawn; imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from srbench.plugin import FIGURE_DIVERGING, FigureSheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from srbench_ps.figures.filters import Panel

__all__ = ["draw"]

_CELL, _GAP, _TOP, _BAR = 0.42, 0.34, 0.88, 0.75  # inches
_LETTER = 0.067  # the mean width of a letter at 8 points, in inches


def draw(networks: Sequence[tuple[str, Sequence[Panel]]], paths: Sequence[str], channel: int) -> Figure:
    """Draw one block of kernels per network and scale: a row per layer, a column per output channel.

    Each network has a colour scale of its own, beside its last block.
    """
    panels = [panel for _, own in networks for panel in own]
    columns = max(len(kernels) for panel in panels for kernels in panel.kernels)
    block = columns * _CELL
    label = 0.25 + _LETTER * max(map(len, paths))
    width = label + len(panels) * (block + _GAP) + len(networks) * _BAR - (_GAP - 0.1)
    alone = len(networks) == 1
    title = f"Filters of {networks[0][0]}" if alone else "Filters by depth"
    sheet = FigureSheet(width, _TOP + len(paths) * _CELL + 0.2, title)
    sheet.text(0.12, 0.44, f"W[0:{columns}, {channel}] of each layer", color="0.35", size=8)
    left = label
    for name, own in networks:
        limit = max(float(np.abs(kernels).max()) for panel in own for kernels in panel.kernels)
        image = None
        for panel in own:
            head = f"x{panel.scale}" if alone else f"{name.partition('(')[0]}, x{panel.scale}"
            sheet.text(left + block / 2, _TOP - 0.15, head, ha="center", weight="bold", size=9)
            for row, kernels in enumerate(panel.kernels):
                top = _TOP + row * _CELL
                if left == label:
                    sheet.text(label - 0.08, top + _CELL / 2 - 0.02, paths[row], ha="right", size=8)
                for column, kernel in enumerate(kernels):
                    image = sheet.picture(
                        left + column * _CELL, top, _CELL - 0.04, _CELL - 0.04, kernel,
                        cmap=FIGURE_DIVERGING, vmin=-limit, vmax=limit,
                    )  # fmt: skip
            left += block + _GAP
        sheet.colorbar(image, left - _GAP + 0.1, _TOP, len(paths) * _CELL - 0.04, "weight")
        left += _BAR
    return sheet.figure
