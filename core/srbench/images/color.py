"""Luma as used in super-resolution papers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from srbench.errors import DataError

__all__ = [
    "BT601",
    "BT601_OFFSET",
    "BT601_WEIGHTS",
    "FULL_RANGE",
    "ONE_THREAD",
    "LumaFormula",
    "luma_lines",
    "rgb_to_y",
    "round_luma",
]

BT601_WEIGHTS = (65.481, 128.553, 24.966)
"""Contributions of R, G and B in 0..1 to Y (ITU-R BT.601, studio range)."""

BT601_OFFSET = 16.0
"""Y of black; white is 235."""


class LumaFormula(NamedTuple):
    """A formula for luma.

    Attributes:
        weights: Contribution of one level of R, G and B in 0..255.
        offset: Luma of black.
    """

    weights: tuple[float, float, float]
    offset: float


BT601 = LumaFormula((BT601_WEIGHTS[0] / 255.0, BT601_WEIGHTS[1] / 255.0, BT601_WEIGHTS[2] / 255.0), BT601_OFFSET)
"""Luma in 16..235, as Matlab's `rgb2ycbcr` defines it."""

FULL_RANGE = LumaFormula((0.299, 0.587, 0.114), 0.0)
"""Luma in 0..255, as JPEG files store it."""

# Lines converted together, so that their float64 copy stays in the cache.
_STRIP = 32

# Pixels per matrix product. For larger products OpenBLAS wakes a thread for each core, which costs more than it
# saves, and a hundred times as much while a network keeps the cores busy.
ONE_THREAD = 3072


def rgb_to_y(image: npt.NDArray[Any], formula: LumaFormula = BT601) -> npt.NDArray[np.float64]:
    """Return the luma of an RGB image, unrounded.

    Args:
        image: `(H, W, 3)`, values in 0..255, uint8 or float.
        formula: Which luma; BT.601 if not given.

    Returns:
        float64 `(H, W)`, for BT.601 in 16..235.

    Raises:
        DataError: If the image is not of shape `(H, W, 3)`.

    Source: ITU-R BT.601; the same as Matlab's `rgb2ycbcr` before it rounds.
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise DataError(f"luma is taken of an RGB image of shape (H, W, 3), got shape {image.shape}")
    height, width = image.shape[:2]
    luma = np.empty((height, width))
    for start in range(0, height, _STRIP):
        luma_lines(image[start : start + _STRIP], luma[start : start + _STRIP], formula)
    return luma


def round_luma(luma: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Return luma in 0..255 rounded to whole levels, half up, as Matlab rounds it."""
    return np.floor(luma + 0.5).astype(np.uint8)


def luma_lines(lines: npt.NDArray[Any], out: npt.NDArray[np.float64], formula: LumaFormula = BT601) -> None:
    """Write the luma of a few lines `(n, W, 3)`, as `rgb_to_y` defines it, to a contiguous array `(n, W)`."""
    weights = np.asarray(formula.weights)
    pixels, found = lines.astype(np.float64).reshape(-1, 3), out.reshape(-1)
    for first in range(0, len(pixels), ONE_THREAD):
        few = slice(first, first + ONE_THREAD)
        np.matmul(pixels[few], weights, out=found[few])
    out += formula.offset
