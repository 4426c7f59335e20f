"""Correction of critical values for skewed differences.

The mean of right-skewed values is too small more often than too large, and its estimated error is then too small as
well. On the side opposite to the skewness, a studentized mean therefore exceeds a critical value `t` more often than a
symmetric one would. The first term of the Edgeworth expansion of the studentized mean moves the critical value there by
`skewness / 6 * (1 + 2 t^2)`, where `skewness` is that of the mean. For few images this is not enough: the sample
skewness of few values is far below that of their distribution (1.2 instead of 2 for 14 exponential values, median), and
later terms matter. The factors that compensate for this were chosen with `benchmarks/experiments/rank_error.py`.

Source:
    N. J. Johnson, "Modified t tests and confidence intervals for asymmetrical populations", 1978.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["ZERO", "interval_shift", "mean_skewness", "raised", "weight_share"]

# Sums that are mathematically equal differ by rounding, far below any meaningful difference of PSNR or SSIM.
ZERO = 1e-9

# Number of images at which the correction of one interval is doubled.
_INTERVAL_IMAGES = 16.0
# The same for ranks, where it grows with the square, since ranks depend on more extreme tails.
_RANK_IMAGES = 28.0

Array = NDArray[np.float64]


def weight_share(sizes: Sequence[int]) -> float:
    """Return the sum of squared weights of all images in the mean of the data sets' means: 1 / n for one data set."""
    return sum(1 / size for size in sizes) / len(sizes) ** 2


def mean_skewness(samples: Sequence[Array], spread: Array | float = 0.0) -> Array:
    """Estimate the skewness of means over images and data sets.

    Args:
        samples: For each data set, values of shape (rows, images).
        spread: Variance of each row's mean that does not come from the images; it is symmetric.

    Returns:
        Shape (rows,); zero where all values of a row are equal.
    """
    rows, count = len(samples[0]), len(samples)
    variance, third = np.zeros(rows), np.zeros(rows)
    for sample in samples:
        images = sample.shape[1]
        centred = sample - sample.mean(axis=1, keepdims=True)
        centred[np.abs(centred).max(axis=1) <= ZERO] = 0.0
        squares = centred**2
        if images > 1:
            variance += squares.sum(axis=1) / ((images - 1) * images * count**2)
        if images > 2:
            third += (squares * centred).sum(axis=1) / ((images - 1) * (images - 2) * images * count**3)
    total = np.where(variance > 0, variance + spread, 1.0)
    return np.where(variance > 0, third / total**1.5, 0.0)


def interval_shift(skewness: Array, quantile: float, share: float) -> Array:
    """Return the outward shift of the interval end on the side of the long tail, in standard errors.

    Args:
        skewness: Skewness of means, any shape.
        quantile: The normal quantile of the interval.
        share: `weight_share` of the images.
    """
    return np.asarray(np.abs(skewness) * (1 + _INTERVAL_IMAGES * share) / 6 * (1 + 2 * quantile**2))


def raised(critical: float, skewness: Array, share: float) -> Array:
    """Return the critical values of pairs whose mean differences have the sign opposite to their skewness.

    Args:
        critical: Critical value for symmetric differences, of the mean divided by the root of the weighted sum of
            squares.
        skewness: Skewness of the mean differences, any shape; zero does not change the critical value.
        share: `weight_share` of the images.

    Returns:
        Values between `critical` and `1 / sqrt(share)`, the statistic of a constant difference.
    """
    room = 1 - critical**2 * share
    if room <= ZERO:
        return np.full(np.shape(skewness), critical)
    student = critical / np.sqrt(room)  # Student's t for one data set, up to a factor of sqrt((n - 1) / n)
    factor = 1 + (_RANK_IMAGES * share) ** 2
    student = student + np.abs(skewness) * factor / 6 * (1 + 2 * student**2)
    return np.asarray(np.where(skewness == 0, critical, student / np.sqrt(1 + student**2 * share)))
