"""Uncertainty of means over images, and ranks as groups of ties.

Models are compared on the same images, so what is resampled is the difference between two models image by image, never
the two models apart: images differ by 10 dB and more, two models on one image by a few hundredths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = [
    "FEW_IMAGES",
    "LEVEL",
    "NO_NOISE",
    "RESAMPLES",
    "Interval",
    "SeedNoise",
    "Standing",
    "mean_intervals",
    "pooled_noise",
    "resolution",
    "tie_groups",
]

LEVEL = 0.95
RESAMPLES = 9999
SEED = 1
# With n images the resampled means lie between the smallest and the largest value; that range misses the median with
# probability 2 * 0.5**n, which is below 5% only from n = 6 on.
FEW_IMAGES = 6
# Differences of two sums that are equal on paper differ by rounding: far below anything that PSNR or SSIM can mean.
ZERO = 1e-9

Array = NDArray[np.float64]
Scores = Mapping[str, Sequence[Array]]


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95% interval, which are NaN where there are too few images to tell."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Return half the length of the interval."""
        return (self.high - self.low) / 2

    @property
    def includes_zero(self) -> bool:
        """Return whether zero lies inside, which an unknown interval cannot exclude."""
        return not (self.low > ZERO or self.high < -ZERO)

    def widened(self, half_width: float) -> Interval:
        """Return the interval with an independent uncertainty added, in quadrature."""
        if half_width == 0:
            return self
        low, high = self.mean - self.low, self.high - self.mean
        return Interval(self.mean, self.mean - np.hypot(low, half_width), self.mean + np.hypot(high, half_width))


@dataclass(frozen=True)
class SeedNoise:
    """How much a figure changes from one training to another that differs in the seed only.

    Attributes:
        deviation: Standard deviation over trainings, pooled over models; NaN where no model has several.
        freedom: Degrees of freedom of that estimate.
    """

    deviation: float = np.nan
    freedom: int = 0

    def half_width(self, *trainings: int) -> float:
        """Return the half-width of the 95% interval that seeds alone give, 0 where they are not known.

        Args:
            trainings: Of one model's mean, over how many trainings it is taken; of a difference, those of both.
        """
        if not self.freedom:
            return 0.0
        share = sum(1 / count for count in trainings)
        return float(stats.t.ppf((1 + LEVEL) / 2, self.freedom) * self.deviation * np.sqrt(share))


NO_NOISE = SeedNoise()


def pooled_noise(models: Sequence[Sequence[float]]) -> SeedNoise:
    """Estimate the noise of training from the figures of each model's trainings.

    Two or three trainings of one model say little of their spread, so models share one estimate: the mean of their
    variances, weighted by degrees of freedom.
    """
    replicated = [np.asarray(figures) for figures in models if len(figures) > 1 and np.isfinite(figures).all()]
    freedom = sum(len(figures) - 1 for figures in replicated)
    if not freedom:
        return SeedNoise()
    squares = sum(float(((figures - figures.mean()) ** 2).sum()) for figures in replicated)
    return SeedNoise(float(np.sqrt(squares / freedom)), freedom)


@dataclass(frozen=True)
class Standing:
    """Where one model stands: its rank, its group's leader, and its paired difference to the first of all."""

    rank: int
    leader: str
    first: bool
    mean: float
    to_best: Interval


def mean_intervals(samples: Sequence[Array]) -> list[Interval]:
    """Estimate means with their 95% bootstrap intervals, resampling the images of each data set on their own.

    The mean is the mean of the data sets' means. The percentile interval is expanded for small samples (T. Hesterberg,
    "What Teachers Should Know About the Bootstrap", 2015, "expanded percentile interval"): the level is that of a
    t interval, with Welch and Satterthwaite's degrees of freedom where there are several data sets. All rows use the
    same resamples, so an interval does not depend on which other rows were asked for.

    Args:
        samples: per data set, values of shape (rows, images); rows are models or pairs of models.
    """
    rows = samples[0].shape[0]
    mean = np.mean([sample.mean(axis=-1) for sample in samples], axis=0)
    finite = np.isfinite(mean)
    if rows == 0 or min(sample.shape[-1] for sample in samples) < 2:
        return [Interval(float(value), np.nan, np.nan) for value in mean]
    # PSNR is infinite where SR equals HR: such a mean has no interval.
    samples = [np.where(finite[:, None], sample, 0.0) for sample in samples]

    def statistic(*parts: Array, axis: int) -> Array:
        return np.asarray(np.mean([part.mean(axis=axis) for part in parts], axis=0))

    resampled = stats.bootstrap(
        tuple(samples),
        statistic,
        n_resamples=RESAMPLES,
        batch=max(1, 2_000_000 // sum(sample.size for sample in samples)),
        vectorized=True,
        axis=-1,
        method="percentile",
        random_state=np.random.default_rng(SEED),  # `rng`, its newer name, is not in SciPy 1.12
    ).bootstrap_distribution
    intervals = []
    for row in range(rows):
        tail = _tail([sample[row] for sample in samples])
        low, high = np.quantile(resampled[row], [tail, 1 - tail])
        if not finite[row]:
            low = high = np.nan
        intervals.append(Interval(float(mean[row]), float(low), float(high)))
    return intervals


def _tail(parts: Sequence[Array]) -> float:
    """Return the probability to cut off at each end, smaller than 2.5% to make up for few images."""
    sizes = np.array([part.size for part in parts])
    variances = np.array([part.var(ddof=1) for part in parts]) / sizes
    total = variances.sum()
    if not total > 0:
        return (1 - LEVEL) / 2
    freedom = total**2 / (variances**2 / (sizes - 1)).sum()
    # The bootstrap divides by n where the unbiased variance divides by n - 1.
    stretch = np.sqrt(total / (variances * (sizes - 1) / sizes).sum())
    return float(stats.norm.cdf(-stretch * stats.t.ppf((1 + LEVEL) / 2, freedom)))


def _differences(scores: Scores, pairs: Sequence[tuple[str, str]]) -> list[Array]:
    count = len(next(iter(scores.values())))
    return [np.stack([scores[a][part] - scores[b][part] for a, b in pairs]) for part in range(count)]


def tie_groups(
    scores: Scores,
    noise: SeedNoise = NO_NOISE,
    trainings: Mapping[str, int] | None = None,
    *,
    higher_is_better: bool = True,
) -> dict[str, Standing]:
    """Rank models into groups of ties.

    The best mean leads the first group; every model whose paired interval of the difference to it includes 0 joins. The
    best of the others leads the next group, and so on. Ranks are those of competitions: after two models of rank 1
    comes rank 3. A model that ties may so stand before one with a better mean that does not.

    Args:
        scores: per model, one array of per-image values for each data set, images in the same order.
        noise: the noise of training, which widens every interval of a difference.
        trainings: per model, over how many trainings its values are averaged (default: one).
        higher_is_better: which mean is the best; differences are value minus the first's either way.
    """
    means = {name: float(np.mean([part.mean() for part in parts])) for name, parts in scores.items()}
    sign = -1 if higher_is_better else 1
    waiting = sorted(scores, key=lambda name: (sign * means[name], name))
    if not waiting:
        return {}
    best = waiting[0]
    standings: dict[str, Standing] = {}
    to_best: dict[str, Interval] = {}
    while waiting:
        leader = waiting[0]
        intervals = _with_seeds(scores, [(name, leader) for name in waiting], noise, trainings)
        if leader == best:
            to_best = dict(zip(waiting, intervals, strict=True))
        group = [name for name, interval in zip(waiting, intervals, strict=True) if interval.includes_zero]
        rank = len(standings) + 1
        for name in group:
            standings[name] = Standing(
                rank=rank, leader=leader, first=name == best, mean=means[name], to_best=to_best[name]
            )
        waiting = [name for name in waiting if name not in standings]
    return standings


def _with_seeds(
    scores: Scores, pairs: Sequence[tuple[str, str]], noise: SeedNoise, trainings: Mapping[str, int] | None
) -> list[Interval]:
    counts = trainings or dict.fromkeys(scores, 1)
    return [
        interval if a == b else interval.widened(noise.half_width(counts[a], counts[b]))
        for interval, (a, b) in zip(mean_intervals(_differences(scores, pairs)), pairs, strict=True)
    ]


def resolution(scores: Scores, noise: SeedNoise = NO_NOISE, trainings: Mapping[str, int] | None = None) -> float:
    """Return the smallest difference that the images can resolve, NaN for fewer than two models or images.

    It is the median, over all pairs of models, of the half-width of the paired 95% interval: a typical pair must differ
    by more than that to get different ranks. Where models were trained with several seeds, their noise is in it.
    """
    pairs = list(combinations(sorted(scores), 2))
    if not pairs:
        return float("nan")
    intervals = _with_seeds(scores, pairs, noise, trainings)
    return float(np.median([interval.half_width for interval in intervals]))
