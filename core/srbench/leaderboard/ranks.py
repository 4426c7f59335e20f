"""Ranks with simultaneous 95% intervals, from sign flips of paired differences.

All pairs of a tier are tested together. Under the hypothesis that two models are equal, the difference of their values
on an image is as likely to have one sign as the other; flipping the signs of whole images, for all models at once,
shows how large the largest statistic of any pair becomes by chance alone. Only pairs beyond 95% of that are separated,
and where a pair's differences are skewed and their mean is on the other side of zero, it must be further out.
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
# Values of models x flips that are held at a time.
CHUNK = 512


@dataclass(frozen=True)
class Standing:
    """The place of one model within its tier.

    Attributes:
        rank: One more than the number of models with a better mean; equal means have equal ranks.
        best: The best rank that the comparison of all models leaves open: one more than the number of models that are
            separated from this one and better.
        worst: The worst rank left open: the number of models less those that are separated from it and worse.
        first: Whether the others' differences are taken to this model.
        mean: Mean over the data sets, each counting the same.
        to_best: Paired difference to the first model with the 95% interval of this pair by itself.
    """

    rank: int
    best: int
    worst: int
    first: bool
    mean: float
    to_best: Interval

    @property
    def interval(self) -> str:
        """Return the ranks that are left open as text, such as `1–3`, or `2` where it is one only."""
        return str(self.best) if self.best == self.worst else f"{self.best}\N{EN DASH}{self.worst}"


@dataclass(frozen=True)
class Ranking:
    """The ranks of one tier.

    Attributes:
        standings: By model.
        critical: What the statistic of a pair must reach to be separated in the first step; infinite where the images
            are too few for any.
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
    """Rank models by their means, with intervals of ranks that hold together for all models at 95%.

    The statistic of a pair is the difference of the two means, divided by the root of its sum of squares: with one data
    set an increasing function of Student's paired t. Flipping signs leaves the denominator as it is. The largest
    statistic of all pairs is compared with its distribution over the flips; separated pairs leave, and the rest is
    compared again, until none leaves (step-down). All flips are tried where there are few, else `FLIPS` of them, drawn
    with a fixed seed for images in an order that depends on their values only.

    If the differences of truly equal models are symmetric about zero, the probability that any of them are separated is
    at most 5%, however many models there are and whatever the images are. Skewed differences would raise it, because a
    mean of right-skewed values comes out too small more often than too large: a pair whose mean has the sign opposite
    to its skewness must reach `skewness.raised`.

    Args:
        scores: Per model, one array of finite per-image values for each data set, images in the same order.
        noise: Per model, the noise of training; models of one family share one estimate. Each flip then carries noise
            of that size as well, drawn from a normal distribution.
        trainings: Per model, over how many trainings its values are averaged (default: one).
        higher_is_better: Which mean is the best; differences are value minus the first's either way.

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
    """Return for each pair of models the difference of means at which it would just be separated, in ascending order.

    It is the difference that brings a pair's statistic to `critical`, that of `Ranking`, or to more where it is skewed
    against its mean, given the pair's own variation from image to image; infinite where none does.
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
    """Return the images of each data set in an order that depends on the models' differences on them only."""
    centred = [part - part.max(axis=0) for part in parts]
    return [part[:, np.lexsort(values[::-1])] for part, values in zip(parts, centred, strict=True)]


def separated_pairs(
    parts: Sequence[Array], noises: Sequence[SeedNoise], counts: NDArray[np.int_]
) -> tuple[NDArray[np.bool_], float]:
    """Return which pairs of models are separated, and the critical value of the first step.

    Args:
        parts: Per data set, values of shape (models, images), higher being better.
        noises: Per model, the noise of training.
        counts: Per model, over how many trainings its values are averaged.

    Returns:
        A symmetric matrix of shape (models, models), and the value that a pair's statistic must reach; infinite where
        the images are too few for any.
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
        # The share of flips that reach an observed value; sums that are equal on paper must count as equal.
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
    """Return for each pair the square of the statistic's denominator, zero where models are equal on every image."""
    models = len(parts[0])
    squares = np.zeros((models, models))
    for row in range(models):
        differences = [part[row + 1 :] - part[row] for part in parts]
        size = sum((part**2).sum(axis=1) / (part.shape[1] * len(parts)) ** 2 for part in differences)
        equal = np.all([np.abs(part).max(axis=1) <= ZERO for part in differences], axis=0)
        squares[row, row + 1 :] = np.where(equal, 0.0, size)
    return squares + squares.T


def _skewness_against_mean(parts: Sequence[Array], spread: Array) -> Array:
    """Return for each pair how skewed its mean difference is, zero where it has the sign of the skewness.

    Args:
        parts: Per data set, values of shape (models, images).
        spread: Per model, the variance of its mean that training adds.
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
    """Means of all models under flipped signs, and the noise of training that goes with each flip."""

    def __init__(self, parts: Sequence[Array], noises: Sequence[SeedNoise], counts: NDArray[np.int_]) -> None:
        sizes = [part.shape[1] for part in parts]
        self.weights = np.repeat([1 / (size * len(parts)) for size in sizes], sizes)
        self.share = float((self.weights**2).sum())
        self.weighted = np.concatenate(parts, axis=1) * self.weights
        self.variance = np.array([noise.variance for noise in noises]) / counts
        # An estimate of few degrees of freedom makes for large statistics. Its weight in the denominator keeps them
        # from raising the critical value for pairs that differ in images only.
        self.spread = np.array([noise.spread for noise in noises]) / counts
        self.noisy = bool(self.variance.any())
        self.signs = _signs(self.weighted.shape[1], FLIPS, repeat=self.noisy)
        self.errors = np.zeros((len(noises), 0))
        self.scale = np.ones((len(noises), 0))
        if self.noisy:
            rng = np.random.default_rng(SEED + 1)
            shape = (len(noises), len(self.signs))
            # An estimate of the variance is itself uncertain: its ratio to the truth, one for each family and flip.
            ratios = {
                noise: rng.chisquare(noise.freedom, shape[1]) / noise.freedom
                for noise in dict.fromkeys(noises)
                if noise.freedom
            }
            self.errors = rng.standard_normal(shape) * np.sqrt(self.variance)[:, None]
            self.scale = np.stack([ratios.get(noise, np.ones(shape[1])) for noise in noises])
            self.errors[:, 0], self.scale[:, 0] = 0.0, 1.0

    def observed(self, squares: Array) -> Array:
        """Return the statistics of all pairs as they are."""
        means = self.weighted @ self.signs[0]
        size = squares + self.spread[:, None] + self.spread
        statistics: Array = np.abs(means[:, None] - means) / np.sqrt(np.where(squares > 0, size, np.inf))
        return statistics

    def largest(self, waiting: NDArray[np.bool_], squares: Array) -> Array:
        """Return for each flip the largest statistic of the pairs that wait."""
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
                block = means[others] - means[row]
                if noise is None:
                    np.abs(block, out=block)
                    block *= inverse[row, others][:, None]
                else:
                    block = noise.statistics(block, squares[row, others], others, row)
                np.maximum(result[here], block.max(axis=0), out=result[here])
        return result


class _Noise:
    """The noise of training that some flips carry: what another seed adds to a model's values on all images alike."""

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
        # The first terms are a sum of squares, which rounding may take below zero.
        return np.asarray(np.abs(means + shift) / np.sqrt(np.maximum(size, ZERO**2)))


@lru_cache(maxsize=4)
def _signs(images: int, count: int, *, repeat: bool) -> Array:
    """Return flips of shape (flips, images), the first without any change: all of them where these are few.

    Args:
        images: Of all data sets together.
        count: How many to draw where there are more than that.
        repeat: Whether to repeat few flips up to `count`, so that each is given several draws of noise.
    """
    if images < 64 and (patterns := 2 ** (images - 1)) <= count:
        negative = ((np.arange(patterns)[:, None] >> np.arange(images)) & 1).astype(bool)
        every: Array = np.where(negative, np.float64(-1), np.float64(1))
        return np.tile(every, (-(-count // patterns), 1)) if repeat else every
    drawn = np.random.default_rng(SEED).integers(0, 2, (count, images)).astype(bool)
    signs: Array = np.where(drawn, np.float64(1), np.float64(-1))
    signs[0] = 1.0
    return signs
