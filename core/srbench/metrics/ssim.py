"""Structural similarity."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.errors import DataError
from srbench.images.color import BT601, LumaFormula, luma_lines
from srbench.metrics.base import check_pair, check_values, crop
from srbench.metrics.comparison import Comparison

__all__ = ["SSIM", "SSIMRGB", "SSIMY", "gaussian_window", "ssim"]

Floats = npt.NDArray[np.float64]

# Output rows and columns that one small matrix product filters. Found by trial: smaller blocks spend the time on
# Output rows and columns that one small matrix product filters. Found by trial: smaller blocks spend the time on
# calls, larger ones on the zeros of the band.
_BLOCK = 32
# Columns of the first pass's products: with more, OpenBLAS would wake a thread for each core (see
# `srbench.images.color`); so would it for a second pass over more than `_BLOCK` columns at a time.
_COLUMNS = 192


def gaussian_window(size: int = 11, sigma: float = 1.5) -> Floats:
    """Return a normalized 1-D Gaussian with `size` taps."""
    offsets = np.arange(size) - (size - 1) / 2
    window = np.exp(-(offsets**2) / (2 * sigma**2))
    return np.asarray(window / window.sum())


@lru_cache(maxsize=8)
def _band(size: int, sigma: float) -> Floats:
    """Return the window as a band matrix `(_BLOCK, _BLOCK + size - 1)`, so that filtering a block is one product."""
    window = gaussian_window(size, sigma)
    band = np.zeros((_BLOCK, _BLOCK + size - 1))
    for line in range(_BLOCK):
        band[line, line : line + size] = window
    return band


@lru_cache(maxsize=8)
def _transposed_band(size: int, sigma: float) -> Floats:
    """Return the transposed band matrix in C order, with which OpenBLAS is 10% faster."""
    return np.ascontiguousarray(_band(size, sigma).T)


def ssim(
    a: npt.NDArray[Any],
    b: npt.NDArray[Any],
    *,
    data_range: float = 255.0,
    crop_border: int = 0,
    window_size: int = 11,
    sigma: float = 1.5,
) -> float:
    """Return the mean SSIM of two single-channel images, over the pixels whose whole window is inside the image.

    The Gaussian is separable, and filtering with it is a product with a band matrix. Both passes are small matrix
    products over strips that stay in the cache. Only the sum of the two variances is needed, so four maps are
    filtered instead of five: a, b, a^2 + b^2 and ab.

    Args:
        a: `(H, W)`, values in 0..data_range.
        b: The same shape.
        data_range: L in the constants (0.01 L)^2 and (0.03 L)^2.
        crop_border: Pixels cropped from each side first.
        window_size: Taps of the Gaussian window per axis.
        sigma: Its standard deviation in pixels.

    Raises:
        DataError: If the shapes differ, are not `(H, W)`, the window does not fit, or values are outside 0..data_range.

    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, eq. 13.
    """
    check_pair(a, b, crop_border, least=window_size)
    if a.ndim != 2:
        raise DataError(f"ssim compares single-channel images (H, W), got shape {a.shape}")
    check_values("ssim", a, data_range)
    check_values("ssim", b, data_range)
    return _mean_ssim(crop(a, crop_border), crop(b, crop_border), data_range, window_size, sigma)


def _mean_ssim(
    a: npt.NDArray[Any],
    b: npt.NDArray[Any],
    data_range: float,
    window_size: int,
    sigma: float,
    formula: LumaFormula = BT601,
) -> float:
    """Return the mean SSIM of two images `(H, W)`, or of the luma of two RGB images `(H, W, 3)`."""
    margin = window_size - 1
    height, width = a.shape[0] - margin, a.shape[1] - margin
    down = _band(window_size, sigma)
    across = _transposed_band(window_size, sigma)
    # The four maps of a strip, rows x columns: unfiltered, filtered vertically, then filtered horizontally too.
    maps = np.empty((4, _BLOCK + margin, a.shape[1]))
    columns = np.zeros((4 * _BLOCK, a.shape[1]))
    filtered = np.empty((4 * _BLOCK, width))
    total = 0.0
    for top in range(0, height, _BLOCK):
        lines = min(_BLOCK, height - top)
        # Rows shared with the previous strip have already been converted.
        shared = margin if top else 0
        maps[:2, :shared] = maps[:2, _BLOCK : _BLOCK + shared]
        for image, found in zip((a, b), maps, strict=False):
            _single_channel(image[top + shared : top + lines + margin], found[shared : lines + margin], formula)
        x, y, squares, product = maps[:, : lines + margin]
        np.multiply(x, x, out=squares)
        np.multiply(y, y, out=product)
        squares += product
        np.multiply(x, y, out=product)
        for index in range(4):
            found = columns[index * _BLOCK : index * _BLOCK + lines]
            for left in range(0, a.shape[1], _COLUMNS):
                some = slice(left, left + _COLUMNS)
                np.matmul(down[:lines, : lines + margin], maps[index, : lines + margin, some], out=found[:, some])
        # All four at once take a quarter of the calls. In the last strip some rows are unused, which costs little.
        for left in range(0, width, _BLOCK):
            count = min(_BLOCK, width - left)
            np.matmul(
                columns[:, left : left + count + margin],
                across[: count + margin, :count],
                out=filtered[:, left : left + count],
            )
        total += _sum_of_map(*filtered.reshape(4, _BLOCK, width)[:, :lines], data_range=data_range)
    return float(total / (height * width))


def _single_channel(lines: npt.NDArray[Any], out: Floats, formula: LumaFormula) -> None:
    if lines.ndim == 3:
        luma_lines(lines, out, formula)
    else:
        out[:] = lines


def _sum_of_map(mean_x: Floats, mean_y: Floats, squares: Floats, product: Floats, *, data_range: float) -> float:
    """Sum equation 13 over a strip. Its maps are overwritten, since allocating memory would cost most."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    means = mean_x * mean_y
    powers = np.multiply(mean_x, mean_x, out=mean_x)
    powers += np.multiply(mean_y, mean_y, out=mean_y)
    # (2 mx my + c1) (2 cov + c2) / ((mx^2 + my^2 + c1) (vx + vy + c2))
    squares -= powers
    squares += c2
    powers += c1
    squares *= powers
    product -= means
    product *= 2.0
    product += c2
    means *= 2.0
    means += c1
    means *= product
    means /= squares
    return float(np.sum(means))


def _under_protocol(comparison: Comparison, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return the mean SSIM of two images `(H, W)`, or of the luma of two RGB images, with the protocol's window."""
    window = comparison.ssim_window
    if comparison.ssim_region == "padded":
        margin = ((window // 2,) * 2, (window // 2,) * 2, (0, 0))[: a.ndim]
        a, b = (np.pad(image, margin, mode="edge") for image in (a, b))
    else:
        comparison.check_size(window)
    return _mean_ssim(a, b, comparison.data_range, window, comparison.ssim_sigma, comparison.luma_formula)


class SSIMY:
    """SSIM on the protocol's luma: BT.601, unrounded, unless the protocol compares another."""

    name = "ssim_y"
    unit = ""
    higher_is_better = True

    def __call__(self, comparison: Comparison) -> float:
        """Return the mean SSIM, at most 1.

        Raises:
            DataError: If the window does not fit into the images.
        """
        # Unrounded luma is converted strip by strip in the filter loop, which is faster than converting whole images.
        pair = comparison.luma if comparison.luma_is_rounded else (comparison.sr, comparison.hr)
        return _under_protocol(comparison, *pair)


class SSIMRGB:
    """Mean SSIM of the three RGB channels."""

    name = "ssim_rgb"
    unit = ""
    higher_is_better = True

    def __call__(self, comparison: Comparison) -> float:
        """Return the mean SSIM, at most 1.

        Raises:
            DataError: If the protocol compares only luma, or the window does not fit into the images.
        """
        a, b = comparison.rgb(self.name)
        return sum(_under_protocol(comparison, a[..., channel], b[..., channel]) for channel in range(3)) / 3


class SSIM:
    """SSIM on what the protocol compares: `ssim_rgb` for RGB, else `ssim_y`."""

    name = "ssim"
    unit = ""
    higher_is_better = True

    def __call__(self, comparison: Comparison) -> float:
        """Return the mean SSIM, at most 1.

        Raises:
            DataError: If the window does not fit into the images.
        """
        metric = SSIMRGB() if comparison.color == "rgb" else SSIMY()
        return metric(comparison)
