"""What skewed differences do to a studentised mean, and how far its critical value must move to make up for it.

A mean of right-skewed values comes out too small more often than too large, and its estimated error is then too small
as well. So beyond a critical value `t`, on the side opposite to the skewness, chance alone takes it more often than it
takes a symmetric one. The first term of the Edgeworth expansion of the studentised mean moves the critical value there
by `skewness / 6 * (1 + 2 t^2)`, where `skewness` is that of the mean. With few images that is not enough: the sample
skewness of few values is far below that of their distribution (of 14 exponential ones 1.2 instead of 2, median), and
later terms count. The factors that make up for it were chosen by `benchmarks/experiments/rank_error.py`.

Source:
    N. J. Johnson, "Modified t tests and confidence intervals for asymmetrical populations", 1978.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["ZERO", "interval_shift", "mean_skewness", "raised", "weight_share"]

# Differences of two sums that are equal on paper differ by rounding: far below anything that PSNR or SSIM can mean.
ZERO = 1e-9

# Images at which the correction of one interval is doubled.
_INTERVAL_IMAGES = 16.0
# Images at which that of ranks is doubled; it grows with the square, since ranks depend on tails much further out.
_RANK_IMAGES = 28.0

Array = NDArray[np.float64]


def weight_share(sizes: Sequence[int]) -> float:
    """Return the sum of the squared weights of all images in the mean of data sets' means: of one data set, 1 / n."""
    return sum(1 / size for size in sizes) / len(sizes) ** 2


def mean_skewness(samples: Sequence[Array], spread: Array | float = 0.0) -> Array:
    """Estimate the skewness of means over images and data sets.

    Args:
        samples: Per data set, values of shape (rows, images).
        spread: Variance of each row's mean for other reasons than the images; it is symmetric.

    Returns:
        Of shape (rows,); zero where all values of a row are equal.
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
    """Return by how many standard errors the end of an interval moves outwards, on the side of the long tail.

    Args:
        skewness: Of means, any shape.
        quantile: The normal quantile of the interval.
        share: `weight_share` of the images.
    """
    return np.asarray(np.abs(skewness) * (1 + _INTERVAL_IMAGES * share) / 6 * (1 + 2 * quantile**2))


def raised(critical: float, skewness: Array, share: float) -> Array:
    """Return the critical values of pairs whose mean differences have the sign opposite to their skewness.

    Args:
        critical: That of symmetric differences, of the mean divided by the root of the weighted sum of squares.
        skewness: Of the mean differences, any shape; zero leaves the critical value as it is.
        share: `weight_share` of the images.

    Returns:
        Values from `critical` to `1 / sqrt(share)`, which a constant difference reaches.
    """
    room = 1 - critical**2 * share
    if room <= ZERO:
        return np.full(np.shape(skewness), critical)
    student = critical / np.sqrt(room)  # Student's t of one data set, but for sqrt((n - 1) / n)
    factor = 1 + (_RANK_IMAGES * share) ** 2
    student = student + np.abs(skewness) * factor / 6 * (1 + 2 * student**2)
    return np.asarray(np.where(skewness == 0, critical, student / np.sqrt(1 + student**2 * share)))
