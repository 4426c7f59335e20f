"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.color import BT601_WEIGHTS
from srbench.errors import DataError
from srbench.metrics import check_pair, crop

__all__ = ["PSNRY", "psnr"]

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
        DataError: If the shapes differ or nothing is left between the borders.
    """
    check_pair(a, b, crop_border)
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
        check_pair(sr, hr, crop_border)
        if sr.ndim == 2:
            return psnr(sr, hr, crop_border=crop_border)
        # Luma is linear, so the luma of the difference is enough.
        if sr.ndim != 3 or sr.shape[2] != 3 or sr.dtype != np.uint8 or hr.dtype != np.uint8:
            raise DataError(f"psnr_y compares uint8 RGB images (H, W, 3), got {sr.dtype} {sr.shape} and {hr.dtype}")
        a, b = crop(sr, crop_border), crop(hr, crop_border)
        weights = np.asarray(BT601_WEIGHTS) / 255.0
        total = 0.0
        for start in range(0, a.shape[0], _STRIP):
            lines = slice(start, start + _STRIP)
            # int16 holds -255..255 exactly.
            difference = np.subtract(a[lines], b[lines], dtype=np.int16).reshape(-1, 3)
            luma = difference.astype(np.float64) @ weights
            total += float(luma @ luma)
        return _decibel(total / (a.shape[0] * a.shape[1]), 255.0)
