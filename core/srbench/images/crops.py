"""Which part of an image a page shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["crop_box"]


def crop_box(hr: NDArray[np.uint8], size: int, scale: int) -> tuple[int, int, int, int]:
    """Return the square of an HR image with the most gradient energy: top, left, bottom, right.

    It depends on the HR image alone, so that every model is shown at the same place. Of equal squares the first in
    reading order wins.

    Args:
        hr: uint8 `(H, W, 3)`.
        size: Side of the square in pixels; smaller images give what they have.
        scale: The up-sampling factor: the square covers whole LR pixels.
    """
    height, width = (max(min(size, side) // scale, 1) * scale for side in hr.shape[:2])
    grey = hr.astype(np.float64).mean(axis=2)
    energy = np.zeros_like(grey)
    energy[:, 1:] += np.diff(grey, axis=1) ** 2
    energy[1:, :] += np.diff(grey, axis=0) ** 2
    # Sums over every window from a summed-area table.
    table = np.zeros((grey.shape[0] + 1, grey.shape[1] + 1))
    table[1:, 1:] = energy.cumsum(axis=0).cumsum(axis=1)
    sums = table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]
    grid = sums[::scale, ::scale]
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    top, left = int(row) * scale, int(column) * scale
    return top, left, top + height, left + width
