"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.images.color import ONE_THREAD
from srbench.metrics.base import check_pair, check_values, crop
from srbench.metrics.comparison import Comparison

__all__ = ["PSNR", "PSNRRGB", "PSNRY", "psnr"]

# Rows compared together, so that their float64 difference stays in the cache.
_STRIP = 16


def psnr(
    a: npt.NDArray[Any],
    b: npt.NDArray[Any],
    *,
    data_range: float = 255.0,
    crop_border: int = 0,
) -> float:
    """Return the PSNR of two images in dB, over all channels together.

    Args:
        a: `(H, W)` or `(H, W, C)`, values in 0..data_range.
        b: The same shape.
        data_range: The peak: 255 for 8-bit images and also for their luma, although its maximum is 235.
        crop_border: Pixels cropped from each side.

    Returns:
        dB; infinity for equal images.

    Raises:
        DataError: If the shapes differ, nothing is left after cropping, or values are outside 0..data_range.
    """
    check_pair(a, b, crop_border)
    check_values("psnr", a, data_range)
    check_values("psnr", b, data_range)
    difference = crop(a, crop_border).astype(np.float64) - crop(b, crop_border)
    return _decibel(float(np.mean(difference * difference)), data_range)


def _decibel(mean_squared_error: float, data_range: float) -> float:
    return math.inf if mean_squared_error == 0 else 10.0 * math.log10(data_range**2 / mean_squared_error)


class PSNRY:
    """PSNR on the protocol's luma: BT.601, unrounded, unless the protocol compares another."""

    name = "psnr_y"
    unit = "dB"
    higher_is_better = True

    def __call__(self, comparison: Comparison) -> float:
        """Return dB."""
        if comparison.luma_is_rounded:
            error = _mean_squared_levels(*comparison.luma)
        else:
            error = _mean_squared_luma(comparison.sr, comparison.hr, comparison.luma_formula.weights)
        return _decibel(error, comparison.data_range)


class PSNRRGB:
    """PSNR over the three channels of RGB together."""

    name = "psnr_rgb"
    unit = "dB"
    higher_is_better = True

    def __call__(self, comparison: Comparison) -> float:
        """Return dB.

        Raises:
            DataError: If the protocol compares only luma.
        """
        return _decibel(_mean_squared_levels(*comparison.rgb(self.name)), comparison.data_range)


class PSNR:
    """PSNR on what the protocol compares: `psnr_rgb` for RGB, else `psnr_y`."""

    name = "psnr"
    unit = "dB"
    higher_is_better = True

    def __call__(self, comparison: Comparison) -> float:
        """Return dB."""
        metric = PSNRRGB() if comparison.color == "rgb" else PSNRY()
        return metric(comparison)


def _mean_squared_levels(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Return the mean squared error of two uint8 images; the sum is exact."""
    total = 0
    for start in range(0, a.shape[0], _STRIP):
        lines = slice(start, start + _STRIP)
        # int16 holds -255..255 exactly.
        difference = np.subtract(a[lines], b[lines], dtype=np.int16).astype(np.int64).ravel()
        total += int(difference @ difference)
    return total / a.size


def _mean_squared_luma(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], formula: tuple[float, float, float]
) -> float:
    """Return the mean squared error of two RGB images' luma, from the luma of their difference (luma is linear)."""
    weights = np.asarray(formula)
    total = 0.0
    for start in range(0, a.shape[0], _STRIP):
        lines = slice(start, start + _STRIP)
        difference = np.subtract(a[lines], b[lines], dtype=np.int16).reshape(-1, 3)
        floats = difference.astype(np.float64)
        for first in range(0, len(floats), ONE_THREAD):
            luma = floats[first : first + ONE_THREAD] @ weights
            total += float(luma @ luma)
    height, width = a.shape[:2]
    return float(total / (height * width))
