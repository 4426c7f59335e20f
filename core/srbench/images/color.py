"""Luma, as super-resolution papers measure it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.errors import DataError

__all__ = ["BT601_OFFSET", "BT601_WEIGHTS", "ONE_THREAD", "luma_lines", "rgb_to_y"]

BT601_WEIGHTS = (65.481, 128.553, 24.966)
"""What R, G and B in 0..1 add to Y (ITU-R BT.601, studio range)."""

BT601_OFFSET = 16.0
"""Y of black; white is 235."""

# Lines converted together, so that their float64 copy stays in the cache.
_STRIP = 32

# Pixels whose luma one matrix product takes. For larger ones OpenBLAS wakes a thread for each core, which costs more
# than it saves, and a hundred times as much beside a network that keeps the cores busy.
ONE_THREAD = 3072


def rgb_to_y(image: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the BT.601 luma of an RGB image, unrounded.

    Args:
        image: `(H, W, 3)`, values in 0..255, uint8 or float.

    Returns:
        float64 `(H, W)` in 16..235.

    Raises:
        DataError: If the image is not of shape `(H, W, 3)`.

    Source: ITU-R BT.601; the same as Matlab's `rgb2ycbcr` before it rounds.
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise DataError(f"luma is taken of an RGB image of shape (H, W, 3), got shape {image.shape}")
    height, width = image.shape[:2]
    luma = np.empty((height, width))
    for start in range(0, height, _STRIP):
        luma_lines(image[start : start + _STRIP], luma[start : start + _STRIP])
    return luma


def luma_lines(lines: npt.NDArray[Any], out: npt.NDArray[np.float64]) -> None:
    """Write the BT.601 luma of a few lines `(n, W, 3)`, as `rgb_to_y` defines it, to a contiguous array `(n, W)`."""
    weights = np.asarray(BT601_WEIGHTS) / 255.0
    pixels, found = lines.astype(np.float64).reshape(-1, 3), out.reshape(-1)
    for first in range(0, len(pixels), ONE_THREAD):
        few = slice(first, first + ONE_THREAD)
        np.matmul(pixels[few], weights, out=found[few])
    out += BT601_OFFSET
