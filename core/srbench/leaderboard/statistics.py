"""Uncertainty of means over images and of differences of two models.

Models are compared on the same images, so the per-image difference of two models is resampled, never the two models
separately: images differ by 10 dB and more, two models on one image by a few hundredths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from srbench.leaderboard.skewness import ZERO, interval_shift, mean_skewness, weight_share

__all__ = [
    "FEW_IMAGES",
    "LEVEL",
    "NO_NOISE",
    "RESAMPLES",
    "Interval",
    "SeedNoise",
    "difference_noise",
    "mean_intervals",
    "paired_intervals",
    "pooled_noise",
]

LEVEL = 0.95
RESAMPLES = 9999
SEED = 1
ROWS = 256  # most rows in one matrix product
HELD = 16  # rows whose resamples are in memory at a time, if fewer belong together: they fit into the cache
# With n images the resampled means lie between the smallest and the largest value; that range misses the median with
# probability 2 * 0.5**n, which is below 5% only from n = 6 on.
FEW_IMAGES = 6

Array = NDArray[np.float64]
Scores = Mapping[str, Sequence[Array]]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the ends of its 95% interval, which are NaN if there are too few images."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2

    @property
    def includes_zero(self) -> bool:
        """Whether the interval contains zero; also true for an unknown interval."""
        return not (self.low > ZERO or self.high < -ZERO)

    def widened(self, half_width: float) -> Interval:
        """Return the interval with an independent uncertainty added in quadrature."""
        if half_width == 0:
            return self
        low, high = self.mean - self.low, self.high - self.mean
        return Interval(self.mean, self.mean - np.hypot(low, half_width), self.mean + np.hypot(high, half_width))


@dataclass(frozen=True)
class SeedNoise:
    """Variation of a figure between trainings that differ only in the seed.

    Attributes:
        deviation: Standard deviation over trainings, pooled over models; NaN if no model has several.
        freedom: Degrees of freedom of the estimate.
    """

    deviation: float = np.nan
    freedom: int = 0

    @property
    def variance(self) -> float:
        """The variance over trainings, 0 if unknown."""
        return self.deviation**2 if self.freedom else 0.0

    @property
    def spread(self) -> float:
        """The variance, enlarged because Student's distribution is wider than the normal distribution at 95%."""
        if not self.freedom:
            return 0.0
        level = (1 + LEVEL) / 2
        return self.variance * float(special.stdtrit(self.freedom, level) / special.ndtri(level)) ** 2

    def half_width(self, *trainings: int) -> float:
        """Return the half-width of the 95% interval due to seeds alone, 0 if unknown.

        Args:
            trainings: Number of trainings in the mean of one model; for a difference, those of both models.
        """
        if not self.freedom:
            return 0.0
        share = sum(1 / count for count in trainings)
        return float(special.stdtrit(self.freedom, (1 + LEVEL) / 2) * self.deviation * np.sqrt(share))


NO_NOISE = SeedNoise()


def difference_noise(a: SeedNoise, trainings_of_a: int, b: SeedNoise, trainings_of_b: int) -> float:
    """Return the half-width of the 95% interval of the difference of two models due to seeds alone.

    Models of one family share one estimate. Two estimates are combined with Welch and Satterthwaite's degrees of
    freedom.
    """
    if a == b or not (a.freedom and b.freedom):
        return max((a, b), key=lambda noise: noise.freedom).half_width(trainings_of_a, trainings_of_b)
    variances = np.array([a.variance / trainings_of_a, b.variance / trainings_of_b])
    if not variances.any():
        return 0.0
    freedom = variances.sum() ** 2 / (variances**2 / [a.freedom, b.freedom]).sum()
    return float(special.stdtrit(freedom, (1 + LEVEL) / 2) * np.sqrt(variances.sum()))


def pooled_noise(models: Sequence[Sequence[float]]) -> SeedNoise:
    """Estimate the training noise from the figures of each model's trainings.

    Two or three trainings of one model are too few to estimate their spread, so models share one estimate: the mean of
    their variances, weighted by degrees of freedom.
    """
    replicated = [np.asarray(figures) for figures in models if len(figures) > 1 and np.isfinite(figures).all()]
    freedom = sum(len(figures) - 1 for figures in replicated)
    if not freedom:
        return SeedNoise()
    squares = sum(float(((figures - figures.mean()) ** 2).sum()) for figures in replicated)
    return SeedNoise(float(np.sqrt(squares / freedom)), freedom)


def mean_intervals(samples: Sequence[Array], *, together: int = ROWS) -> list[Interval]:
    """Estimate means with their 95% bootstrap intervals, resampling the images of each data set separately.

    The mean is the mean of the data sets' means. The percentile interval is expanded for small samples (T. Hesterberg,
    "What Teachers Should Know About the Bootstrap", 2015, "expanded percentile interval"): the level is that of a
    t interval, with Welch and Satterthwaite's degrees of freedom for several data sets. For skewed values, the end on
    the side of the long tail is moved outwards by what skewness adds to the normal quantile. All rows use the same
    resamples, so an interval does not depend on the other rows.

    Args:
        samples: For each data set, values of shape (rows, images); rows are models or pairs of models.
        together: Number of rows in one matrix product, at most 256. The last bit of a product depends on it: with the
            number of rows that belong together, the intervals are bit-identical to those of these rows alone.
    """
    rows = samples[0].shape[0]
    mean = np.mean([sample.mean(axis=-1) for sample in samples], axis=0)
    finite = np.isfinite(mean)
    if rows == 0 or min(sample.shape[-1] for sample in samples) < 2:
        return [Interval(float(value), np.nan, np.nan) for value in mean]
    # PSNR is infinite if SR equals HR: such a mean has no interval.
    samples = [np.where(finite[:, None], sample, 0.0) for sample in samples]
    shares = _resamples(tuple(sample.shape[-1] for sample in samples), RESAMPLES)
    skewness = mean_skewness(samples)
    share = weight_share([sample.shape[1] for sample in samples])
    outwards = interval_shift(skewness, float(special.ndtri((1 + LEVEL) / 2)), share) * _standard_errors(samples)
    below, above = np.where(skewness < 0, outwards, 0.0), np.where(skewness > 0, outwards, 0.0)
    tails, sizes = _tails(samples), tuple(sample.shape[-1] for sample in samples)
    held = max(HELD // together, 1) * together
    resampled, other = (np.empty((min(held, rows), RESAMPLES)) for _ in range(2))
    ends: list[tuple[float, float]] = []
    for start in range(0, rows, held):
        count = min(held, rows - start)
        # The mean over the data sets, with one product in memory at a time.
        for number, (sample, weights) in enumerate(zip(samples, shares, strict=True)):
            product = other if number else resampled
            for at in range(0, count, together):
                rest = slice(at, min(at + together, count))
                np.matmul(sample[start : start + count][rest], weights, out=product[rest])
            if number:
                resampled[:count] += other[:count]
        if len(samples) > 1:
            resampled[:count] /= len(samples)
        ends += _ends(resampled[:count], tails[start : start + count], sizes, other[:count])
    return [
        Interval(middle, low - left, high + right) if known else Interval(middle, np.nan, np.nan)
        for middle, known, (low, high), left, right in zip(
            mean.tolist(), finite.tolist(), ends, below.tolist(), above.tolist(), strict=True
        )
    ]


def _ends(resampled: Array, tails: Array, sizes: tuple[int, ...], space: Array) -> list[tuple[float, float]]:
    """Return for each row the quantiles at its tail and at the other end.

    Args:
        resampled: Means of resamples, of shape (rows, resamples).
        tails: Of shape (rows,).
        sizes: Number of images of each data set.
        space: Of the shape of `resampled`, to be overwritten.
    """
    few = _different(sizes[0], RESAMPLES) if len(sizes) == 1 and sizes[0] <= FEW_IMAGES else None
    if few is None:
        return [_quantiles(row, tail) for row, tail in zip(resampled, tails.tolist(), strict=True)]
    # The same images drawn in another order have the same mean: of a few images there are few to sort.
    first, number, counts = few
    means = resampled[:, first]
    np.take(means, number, axis=1, out=space, mode="clip")  # clipping nothing, without a copy
    same = (space == resampled).all(axis=1)  # unless a product rounds its columns differently
    order = means.argsort(axis=1)
    ordered = np.take_along_axis(means, order, axis=1)
    until = counts[order].cumsum(axis=1)
    ends = []
    for row, tail in enumerate(tails.tolist()):
        if not same[row]:
            ends.append(_quantiles(resampled[row], tail))
            continue
        places = _places(RESAMPLES, tail)
        wanted = until[row].searchsorted([index for lower, _ in places for index in (lower, lower + 1)], side="right")
        ends.append(_between(places, ordered[row][wanted].tolist()))
    return ends


@lru_cache(maxsize=8)
def _different(size: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the first resample of each kind, the kind of each resample, and how many there are of each kind."""
    [shares] = _resamples((size,), count)
    _, first, number, counts = np.unique(shares, axis=1, return_index=True, return_inverse=True, return_counts=True)
    return first, number.ravel(), counts


def _quantiles(values: Array, tail: float) -> tuple[float, float]:
    """Return the quantiles at `tail` and `1 - tail`, as `np.quantile` does, to the last bit and in half the time.

    Args:
        values: At least two, all of them finite.
        tail: From 0 to 1.
    """
    places = _places(len(values), tail)
    wanted = [index for lower, _ in places for index in (lower, lower + 1)]
    ordered = np.partition(values, sorted(set(wanted)))
    return _between(places, ordered[wanted].tolist())


def _places(count: int, tail: float) -> list[tuple[int, float]]:
    """Return for both quantiles the ordered value below, and where between it and the next the quantile lies."""
    last = count - 1
    places = [last * tail, last * (1 - tail)]
    return [(lower, place - lower) for place in places for lower in (min(int(place), last - 1),)]


def _between(places: Sequence[tuple[int, float]], ordered: Sequence[float]) -> tuple[float, float]:
    """Return the two quantiles.

    Args:
        places: From `_places`.
        ordered: For each of them, the ordered value below and the next.
    """
    ends = []
    for index, (_, weight) in enumerate(places):
        below, above = ordered[2 * index : 2 * index + 2]
        step = above - below
        # From the nearer of the two, as rounding would have it.
        ends.append(above - step * (1 - weight) if weight >= 0.5 else below + step * weight)
    return ends[0], ends[1]


def _standard_errors(samples: Sequence[Array]) -> Array:
    """Return the standard errors of the means over images and data sets, of shape (rows,)."""
    variances = [sample.var(axis=1, ddof=1) / sample.shape[1] for sample in samples]
    return np.asarray(np.sqrt(sum(variances)) / len(samples))


@lru_cache(maxsize=8)
def _resamples(sizes: tuple[int, ...], count: int) -> list[Array]:
    """Return for each data set the weight of each image in each resample, of shape (images, resamples)."""
    rng = np.random.default_rng(SEED)
    shares = []
    for size in sizes:
        drawn = rng.integers(0, size, (count, size)) + size * np.arange(count)[:, None]
        shares.append(np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size).T / size)
    return shares


def _tails(parts: Sequence[Array]) -> Array:
    """Return for each row the tail probability at each end, below 2.5% to correct for few images.

    Args:
        parts: For each data set, values of shape (rows, images).
    """
    sizes = np.array([[part.shape[1]] for part in parts])
    variances = np.array([part.var(axis=1, ddof=1) for part in parts]) / sizes
    total = variances.sum(axis=0)
    tails = np.full(len(total), (1 - LEVEL) / 2)
    spread = total > 0
    some = variances[:, spread]
    freedom = total[spread] ** 2 / (some**2 / (sizes - 1)).sum(axis=0)
    # The bootstrap divides by n, the unbiased variance by n - 1.
    stretch = np.sqrt(total[spread] / (some * (sizes - 1) / sizes).sum(axis=0))
    tails[spread] = special.ndtr(-stretch * special.stdtrit(freedom, (1 + LEVEL) / 2))
    return tails


def paired_intervals(
    scores: Scores,
    pairs: Sequence[tuple[str, str]],
    noise: Mapping[str, SeedNoise] | None = None,
    trainings: Mapping[str, int] | None = None,
) -> list[Interval]:
    """Estimate the difference of each pair, first minus second, with its 95% interval.

    Each interval holds for its pair alone; `ranks` compares many models at once.

    Args:
        scores: For each model, an array of per-image values per data set, images in the same order.
        pairs: Names of two models each; a model's difference to itself is exactly zero.
        noise: For each model, the training noise, which widens the interval.
        trainings: For each model, the number of trainings that its values are averaged over (default: one).
    """
    if not pairs:
        return []
    count = len(next(iter(scores.values())))
    samples = [np.stack([scores[a][part] - scores[b][part] for a, b in pairs]) for part in range(count)]
    noises, counts = noise or {}, trainings or {}
    return [
        interval
        if a == b
        else interval.widened(
            difference_noise(noises.get(a, NO_NOISE), counts.get(a, 1), noises.get(b, NO_NOISE), counts.get(b, 1))
        )
        for interval, (a, b) in zip(mean_intervals(samples), pairs, strict=True)
    ]
