"""Ranks with simultaneous 95% intervals, from sign flips of paired differences.

All pairs of a tier are tested together. Under the hypothesis that two models are equal, the difference of their values
on an image is as likely to have one sign as the other; flipping the signs of whole images, for all models at once,
shows how large the largest statistic of any pair becomes by chance alone. Only pairs beyond its 95% quantile are
separated; the threshold is higher for a pair whose differences are skewed and whose mean has the opposite sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from srbench.leaderboard.skewness import ZERO, mean_skewness, raised, weight_share
from srbench.leaderboard.statistics import (
    FEW_IMAGES,
    LEVEL,
    NO_NOISE,
    Array,
    Interval,
    Scores,
    SeedNoise,
    paired_intervals,
)

__all__ = ["FLIPS", "Ranking", "Standing", "rank_models", "resolution", "separated_pairs"]

FLIPS = 5000
SEED = 2
# Number of values (models x flips) in memory at a time.
CHUNK = 512


@dataclass(frozen=True)
class Standing:
    """The place of one model within its tier.

    Attributes:
        rank: One more than the number of models with a better mean; equal means have equal ranks.
        best: Lower end of the rank interval: one more than the number of significantly better models.
        worst: Upper end of the rank interval: the number of models minus that of significantly worse ones.
        first: Whether the differences of the others refer to this model.
        mean: Mean over the data sets, equally weighted.
        to_best: Paired difference to the first model, with the 95% interval for this pair alone.
    """

    rank: int
    best: int
    worst: int
    first: bool
    mean: float
    to_best: Interval

    @property
    def interval(self) -> str:
        """The rank interval as text, such as `1–3`, or `2` for a single rank."""
        return str(self.best) if self.best == self.worst else f"{self.best}\N{EN DASH}{self.worst}"


@dataclass(frozen=True)
class Ranking:
    """The ranks of one tier.

    Attributes:
        standings: Model -> standing.
        critical: Critical value of a pair's statistic in the first step; infinite if there are too few images.
        separated: The pairs of models that are separated, the better one first.
    """

    standings: dict[str, Standing]
    critical: float
    separated: frozenset[tuple[str, str]] = frozenset()


def rank_models(
    scores: Scores,
    noise: Mapping[str, SeedNoise] | None = None,
    trainings: Mapping[str, int] | None = None,
    *,
    higher_is_better: bool = True,
) -> Ranking:
    """Rank models by their means, with rank intervals that hold simultaneously for all models at 95%.

    The statistic of a pair is the difference of the two means, divided by the root of its sum of squares: with one data
    set an increasing function of Student's paired t. Flipping signs does not change the denominator. The largest
    statistic of all pairs is compared with its distribution over the flips; separated pairs are removed and the rest is
    compared again, until no more are separated (step-down). All flips are tried if there are few, otherwise `FLIPS` of
    them, drawn with a fixed seed, with the images in an order that depends only on their values.

    If the differences of truly equal models are symmetric about zero, the probability that any of them are separated is
    at most 5%, regardless of the number of models and the images. Skewed differences would raise it, because the mean
    of right-skewed values is too small more often than too large: a pair whose mean has the sign opposite to its
    skewness must reach `skewness.raised`.

    Args:
        scores: For each model, an array of finite per-image values per data set, images in the same order.
        noise: For each model, the training noise; models of one family share an estimate. Normally distributed noise of
            that size is then added to each flip.
        trainings: For each model, the number of trainings that its values are averaged over (default: one).
        higher_is_better: Whether the highest mean is the best; differences are always value minus the first's.

    Source:
        J. Romano and M. Wolf, "Exact and approximate stepdown methods for multiple hypothesis testing", 2005; ranks
        from separated pairs: M. Mogstad et al., "Inference for ranks with applications to mobility across
        neighbourhoods and academic achievement across countries", 2024, section 3.
    """
    if not scores:
        return Ranking({}, np.inf)
    names = sorted(scores)
    noises = [(noise or {}).get(name, NO_NOISE) for name in names]
    counts = [(trainings or {}).get(name, 1) for name in names]
    sign = 1.0 if higher_is_better else -1.0
    parts = _in_order([sign * np.stack([scores[name][part] for name in names]) for part in _parts(scores)])
    means = np.mean([part.mean(axis=1) for part in parts], axis=0)
    separated, critical = separated_pairs(parts, noises, np.array(counts))
    ahead = means[:, None] - means > ZERO
    better = separated & ahead
    order = sorted(range(len(names)), key=lambda index: (-means[index], names[index]))
    first = names[order[0]]
    to_best = paired_intervals(
        scores, [(name, first) for name in names], dict(zip(names, noises, strict=True)), trainings
    )
    standings = {
        names[index]: Standing(
            rank=1 + int(ahead[:, index].sum()),
            best=1 + int(better[:, index].sum()),
            worst=len(names) - int(better[index].sum()),
            first=names[index] == first,
            mean=float(sign * means[index]),
            to_best=to_best[index],
        )
        for index in order
    }
    pairs = frozenset((names[one], names[other]) for one, other in np.argwhere(better))
    return Ranking(standings, critical, pairs)


def resolution(
    scores: Scores,
    critical: float,
    noise: Mapping[str, SeedNoise] | None = None,
    trainings: Mapping[str, int] | None = None,
) -> Array:
    """Return for each pair of models the smallest difference of means that would separate it, in ascending order.

    At that difference, given the pair's variation from image to image, its statistic reaches `critical` of `Ranking`,
    or a higher value if it is skewed against its mean; infinite if no difference suffices.
    """
    names = sorted(scores)
    first, second = np.triu_indices(len(names), 1)
    if not len(first):
        return np.empty(0)
    parts = [np.stack([scores[name][part] for name in names]) for part in _parts(scores)]
    variance = np.zeros(len(first))
    for part in parts:
        rows = [(part[row + 1 :] - part[row]).var(axis=1) for row in range(len(names) - 1)]
        variance += np.concatenate(rows) / part.shape[1] / len(parts) ** 2
    seeds = np.array([(noise or {}).get(name, NO_NOISE).spread / (trainings or {}).get(name, 1) for name in names])
    variance += seeds[first] + seeds[second]
    share = weight_share([part.shape[1] for part in parts])
    if critical**2 * share >= 1 - ZERO:
        return np.full(len(first), np.inf)
    own = raised(critical, _skewness_against_mean(parts, seeds)[first, second], share)
    return np.sort(own * np.sqrt(variance / np.maximum(1 - own**2 * share, ZERO)))


def _parts(scores: Scores) -> range:
    return range(len(next(iter(scores.values()))))


def _in_order(parts: Sequence[Array]) -> list[Array]:
    """Return the images of each data set in an order that depends only on the models' differences."""
    centred = [part - part.max(axis=0) for part in parts]
    return [part[:, np.lexsort(values[::-1])] for part, values in zip(parts, centred, strict=True)]


def separated_pairs(
    parts: Sequence[Array], noises: Sequence[SeedNoise], counts: NDArray[np.int_]
) -> tuple[NDArray[np.bool_], float]:
    """Return which pairs of models are separated, and the critical value of the first step.

    Args:
        parts: For each data set, values of shape (models, images), higher is better.
        noises: For each model, the training noise.
        counts: For each model, the number of trainings that its values are averaged over.

    Returns:
        A symmetric matrix of shape (models, models), and the critical value of a pair's statistic; infinite if there
        are too few images.
    """
    models, images = len(parts[0]), sum(part.shape[1] for part in parts)
    separated = np.zeros((models, models), dtype=bool)
    # A pattern of signs and its opposite give the same statistics, and the observed one is among the patterns: of five
    # images it has a share of 1/16, more than 5%.
    if images < FEW_IMAGES:
        return separated, np.inf
    parts = [part - part.max(axis=0) for part in parts]
    squares = _squares(parts)
    waiting = np.triu(squares > 0, 1)
    flips = _Flips(parts, noises, counts)
    observed = flips.observed(squares)
    against = _skewness_against_mean(parts, flips.spread)
    critical = np.inf
    while waiting.any():
        largest = np.sort(flips.largest(waiting, squares))
        # The share of flips that reach an observed value; sums that are mathematically equal must compare as equal.
        reached = len(largest) - np.searchsorted(largest, observed * (1 - ZERO), side="left")
        needed = float(largest[-int((1 - LEVEL) * len(largest))])
        new = waiting & (reached <= (1 - LEVEL) * len(largest))
        new &= (against == 0) | (observed >= raised(needed, against, flips.share) * (1 - ZERO))
        if np.isinf(critical):
            critical = needed
        if not new.any():
            break
        separated |= new
        waiting &= ~new
    return separated | separated.T, critical


def _squares(parts: Sequence[Array]) -> Array:
    """Return for each pair the square of the statistic's denominator, zero if the models are equal on every image."""
    models = len(parts[0])
    squares = np.zeros((models, models))
    for row in range(models):
        differences = [part[row + 1 :] - part[row] for part in parts]
        size = sum((part**2).sum(axis=1) / (part.shape[1] * len(parts)) ** 2 for part in differences)
        equal = np.all([np.abs(part).max(axis=1) <= ZERO for part in differences], axis=0)
        squares[row, row + 1 :] = np.where(equal, 0.0, size)
    return squares + squares.T


def _skewness_against_mean(parts: Sequence[Array], spread: Array) -> Array:
    """Return for each pair the skewness of its mean difference, zero where both have the same sign.

    Args:
        parts: For each data set, values of shape (models, images).
        spread: For each model, the variance that training adds to its mean.
    """
    models = len(parts[0])
    means = np.mean([part.mean(axis=1) for part in parts], axis=0)
    against = np.zeros((models, models))
    for row in range(models - 1):
        differences = [part[row + 1 :] - part[row] for part in parts]
        skewness = mean_skewness(differences, spread[row + 1 :] + spread[row])
        opposite = skewness * (means[row + 1 :] - means[row]) < 0
        against[row, row + 1 :] = np.where(opposite, np.abs(skewness), 0.0)
    return against + against.T


class _Flips:
    """Means of all models under flipped signs, with training noise for each flip."""

    def __init__(self, parts: Sequence[Array], noises: Sequence[SeedNoise], counts: NDArray[np.int_]) -> None:
        sizes = [part.shape[1] for part in parts]
        self.weights = np.repeat([1 / (size * len(parts)) for size in sizes], sizes)
        self.share = float((self.weights**2).sum())
        self.weighted = np.concatenate(parts, axis=1) * self.weights
        self.variance = np.array([noise.variance for noise in noises]) / counts
        # An estimate with few degrees of freedom gives large statistics. Its weight in the denominator keeps them from
        # raising the critical value for pairs that differ only in images.
        self.spread = np.array([noise.spread for noise in noises]) / counts
        self.noisy = bool(self.variance.any())
        self.signs = _signs(self.weighted.shape[1], FLIPS, repeat=self.noisy)
        self.errors = np.zeros((len(noises), 0))
        self.scale = np.ones((len(noises), 0))
        if self.noisy:
            rng = np.random.default_rng(SEED + 1)
            shape = (len(noises), len(self.signs))
            # The variance estimate is itself uncertain: its ratio to the true variance, one for each family and flip.
            ratios = {
                noise: rng.chisquare(noise.freedom, shape[1]) / noise.freedom
                for noise in dict.fromkeys(noises)
                if noise.freedom
            }
            self.errors = rng.standard_normal(shape) * np.sqrt(self.variance)[:, None]
            self.scale = np.stack([ratios.get(noise, np.ones(shape[1])) for noise in noises])
            self.errors[:, 0], self.scale[:, 0] = 0.0, 1.0

    def observed(self, squares: Array) -> Array:
        """Return the observed statistics of all pairs."""
        means = self.weighted @ self.signs[0]
        size = squares + self.spread[:, None] + self.spread
        statistics: Array = np.abs(means[:, None] - means) / np.sqrt(np.where(squares > 0, size, np.inf))
        return statistics

    def largest(self, waiting: NDArray[np.bool_], squares: Array) -> Array:
        """Return for each flip the largest statistic of the remaining pairs."""
        result = np.zeros(len(self.signs))
        inverse = 1 / np.sqrt(np.where(squares > 0, squares, np.inf))
        for start in range(0, len(self.signs), CHUNK):
            here = slice(start, start + CHUNK)
            signs = self.signs[here].T
            means = self.weighted @ signs
            noise = _Noise(self, signs, here) if self.noisy else None
            for row in range(len(waiting)):
                others = np.flatnonzero(waiting[row])
                if not len(others):
                    continue
                if noise is None:
                    largest = _largest(means, row, others, inverse[row, others][:, None])
                else:
                    block = means[others] - means[row]
                    largest = noise.statistics(block, squares[row, others], others, row).max(axis=0)
                np.maximum(result[here], largest, out=result[here])
        return result


def _largest(means: Array, row: int, others: NDArray[np.intp], inverse: Array) -> Array:
    """Return the largest statistic of one model and the others for each flip."""
    first, last = int(others[0]), int(others[-1]) + 1
    # A slice needs no copy.
    block = means[first:last] - means[row] if last - first == len(others) else means[others] - means[row]
    np.abs(block, out=block)
    block *= inverse
    return np.asarray(block.max(axis=0))


class _Noise:
    """Training noise of some flips: the change by another seed, which is equal on all images of a model."""

    def __init__(self, flips: _Flips, signs: Array, here: slice) -> None:
        self.errors = flips.errors[:, here]
        self.spread = flips.spread[:, None] * flips.scale[:, here]
        self.share = flips.share
        # Sum over the images of sign, value and the square of the image's weight.
        self.cross = (flips.weighted * flips.weights) @ signs

    def statistics(self, means: Array, squares: Array, others: NDArray[np.intp], row: int) -> Array:
        """Return the statistics of pairs whose differences are flipped and then shifted by noise."""
        shift = self.errors[others] - self.errors[row]
        size = squares[:, None] + shift * (2 * (self.cross[others] - self.cross[row]) + shift * self.share)
        size += self.spread[others] + self.spread[row]
        # The first terms are a sum of squares, which rounding may make negative.
        return np.asarray(np.abs(means + shift) / np.sqrt(np.maximum(size, ZERO**2)))


@lru_cache(maxsize=4)
def _signs(images: int, count: int, *, repeat: bool) -> Array:
    """Return flips of shape (flips, images), the first one without changes: all of them if there are few.

    Args:
        images: Number of images of all data sets together.
        count: Number of flips to draw if there are more than that.
        repeat: Whether to repeat few flips up to `count`, so that each gets several draws of noise.
    """
    if images < 64 and (patterns := 2 ** (images - 1)) <= count:
        negative = ((np.arange(patterns)[:, None] >> np.arange(images)) & 1).astype(bool)
        every: Array = np.where(negative, np.float64(-1), np.float64(1))
        return np.tile(every, (-(-count // patterns), 1)) if repeat else every
    drawn = np.random.default_rng(SEED).integers(0, 2, (count, images)).astype(bool)
    signs: Array = np.where(drawn, np.float64(1), np.float64(-1))
    signs[0] = 1.0
    return signs
