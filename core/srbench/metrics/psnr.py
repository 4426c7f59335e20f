"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.images.color import BT601_WEIGHTS, ONE_THREAD
from srbench.metrics.base import check_images, check_pair, check_values, crop

__all__ = ["PSNRRGB", "PSNRY", "psnr"]

# Lines compared together, so that their float64 difference stays in the cache.
_STRIP = 16


def psnr(
    a: npt.NDArray[Any],
    b: npt.NDArray[Any],
    *,
    data_range: float = 255.0,
    crop_border: int = 0,
) -> float:
    """Return the PSNR of two images in dB, over all their channels together.

    Args:
        a: `(H, W)` or `(H, W, C)`, values in 0..data_range.
        b: The same shape.
        data_range: The peak: 255 for 8-bit images and for their luma, although that ends at 235.
        crop_border: Pixels left out on each side.

    Returns:
        dB; infinity for equal images.

    Raises:
        DataError: If the shapes differ, nothing is left between the borders, or values are outside 0..data_range.
    """
    check_pair(a, b, crop_border)
    check_values("psnr", a, data_range)
    check_values("psnr", b, data_range)
    difference = crop(a, crop_border).astype(np.float64) - crop(b, crop_border)
    return _decibel(float(np.mean(difference * difference)), data_range)


def _decibel(mean_squared_error: float, data_range: float) -> float:
    return math.inf if mean_squared_error == 0 else 10.0 * math.log10(data_range**2 / mean_squared_error)


class PSNRY:
    """PSNR on BT.601 luma, peak 255."""

    name = "psnr_y"
    unit = "dB"
    higher_is_better = True

    def __call__(self, sr: npt.NDArray[np.uint8], hr: npt.NDArray[np.uint8], crop_border: int) -> float:
        """Return dB for uint8 RGB images `(H, W, 3)`, or for images of luma itself `(H, W)`."""
        check_images(self.name, sr, hr, crop_border, luma=True)
        if sr.ndim == 2:
            return psnr(sr, hr, crop_border=crop_border)
        # Luma is linear, so the luma of the difference is enough.
        a, b = crop(sr, crop_border), crop(hr, crop_border)
        weights = np.asarray(BT601_WEIGHTS) / 255.0
        total = 0.0
        for start in range(0, a.shape[0], _STRIP):
            lines = slice(start, start + _STRIP)
            # int16 holds -255..255 exactly.
            difference = np.subtract(a[lines], b[lines], dtype=np.int16).reshape(-1, 3)
            floats = difference.astype(np.float64)
            for first in range(0, len(floats), ONE_THREAD):
                luma = floats[first : first + ONE_THREAD] @ weights
                total += float(luma @ luma)
        return _decibel(total / (a.shape[0] * a.shape[1]), 255.0)


class PSNRRGB:
    """PSNR over the three channels of RGB together, peak 255."""

    name = "psnr_rgb"
    unit = "dB"
    higher_is_better = True

    def __call__(self, sr: npt.NDArray[np.uint8], hr: npt.NDArray[np.uint8], crop_border: int) -> float:
        """Return dB for uint8 RGB images `(H, W, 3)`."""
        check_images(self.name, sr, hr, crop_border)
        a, b = crop(sr, crop_border), crop(hr, crop_border)
        total = 0
        for start in range(0, a.shape[0], _STRIP):
            lines = slice(start, start + _STRIP)
            difference = np.subtract(a[lines], b[lines], dtype=np.int16).astype(np.int64).ravel()
            total += int(difference @ difference)
        return _decibel(total / a.size, 255.0)
