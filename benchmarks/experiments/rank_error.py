"""Simulate how often equal models are separated by ranks, and how many different ones are.

    python benchmarks/experiments/rank_error.py [--trials 2000] [--models 10] [--only skewed]
    python benchmarks/experiments/rank_error.py --images 6 8 10 14   # the error alone, for these numbers of images

For each number of images and each distribution, per-image values of equal models are drawn and ranked. `error` is the
share of trials in which any two are separated; it is at most 5% if differences are symmetric. `pairs` is the share of
pairs separated in the right order if the true means of consecutive models differ by 0.25 standard deviations, and
`wrong order` the share of these trials in which any pair is separated in the wrong order. `flips` is the same without
the correction for skewness, and `by pairs` the former method of sr-bench: each model against its group's leader, each
pair at 95% separately. A twentieth of the trials is used for all columns except `error` and its `flips`, and half of
them for `covered`: how often the 95% interval of a single pair contains the true difference; `before` is the same
without the correction. Prints a Markdown table; seeds are fixed, so two runs print the same figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from srbench.leaderboard import ranks, statistics
from srbench.leaderboard.ranks import separated_pairs
from srbench.leaderboard.statistics import NO_NOISE, mean_intervals, pooled_noise

Array = NDArray[np.float64]
STEP = 0.25
EVERY = 20
DATA_SETS = ((5,), (14,), (100,), (5, 14), (5, 14, 100))
DISTRIBUTIONS = ("normal", "heavy-tailed", "skewed", "common skewed", "opposite skewed")


def draw(distribution: str, models: int, images: int, rng: np.random.Generator) -> Array:
    """Draw values of models with equal means and, except for `common skewed`, unit variance.

    The difference of two models is symmetric in the first three distributions and skewed in the last two, where models
    respond differently to images of one kind, or are skewed to opposite sides.
    """
    if distribution == "normal":
        return rng.normal(size=(models, images))
    if distribution == "heavy-tailed":
        return rng.standard_t(3, size=(models, images)) / np.sqrt(3)
    values = rng.exponential(size=(models, images)) - 1
    if distribution == "skewed":
        return values
    if distribution == "common skewed":
        response = np.linspace(-1, 1, models)[:, None]
        return response * (rng.exponential(size=(1, images)) - 1) + rng.normal(0, 0.3, (models, images))
    return np.where(np.arange(models) % 2, 1, -1)[:, None] * values


def old_ranks(parts: list[Array]) -> NDArray[np.int_]:
    """Rank as sr-bench did formerly: models that are not separated from the best one form a group with it."""
    statistics.RESAMPLES = 999  # the error hardly depends on this; 9,999 take ten times as long
    means = np.mean([part.mean(axis=1) for part in parts], axis=0)
    waiting = list(np.argsort(-means))
    ranks = np.zeros(len(means), dtype=int)
    done = 0
    while waiting:
        intervals = mean_intervals([part[waiting] - part[waiting[0]] for part in parts])
        group = [model for model, interval in zip(waiting, intervals, strict=True) if interval.includes_zero]
        ranks[group] = done + 1
        done += len(group)
        waiting = [model for model in waiting if model not in group]
    return ranks


@contextmanager
def uncorrected() -> Iterator[None]:
    """Disable the corrections for skewness."""
    zero = np.zeros_like
    with (
        patch.object(ranks, "raised", lambda critical, skewness, share: np.full(np.shape(skewness), critical)),
        patch.object(statistics, "interval_shift", lambda skewness, quantile, share: zero(skewness)),
    ):
        yield


def new_order(parts: list[Array]) -> tuple[NDArray[np.bool_], float]:
    """Return whether the first model of each ordered pair is separated and better, and the critical value."""
    models = len(parts[0])
    means = np.mean([part.mean(axis=1) for part in parts], axis=0)
    separated, critical = separated_pairs(parts, [NO_NOISE] * models, np.ones(models, dtype=int))
    return separated & (means[:, None] > means), critical


def largest_statistic(parts: list[Array]) -> float:
    """Return the largest statistic of all pairs."""
    weights = np.concatenate([np.full(part.shape[1], 1 / (part.shape[1] * len(parts))) for part in parts])
    values = np.concatenate(parts, axis=1) * weights
    differences = values[:, None] - values
    sizes = np.sqrt((differences**2).sum(axis=2)) + np.eye(len(values))
    return float((np.abs(differences.sum(axis=2)) / sizes).max())


def row(distribution: str, sizes: tuple[int, ...], models: int, trials: int) -> list[str]:
    """Simulate one row of the table."""
    rng = np.random.default_rng(1)
    pairs = models * (models - 1) / 2
    better = np.triu(np.ones((models, models), dtype=bool), 1).T  # true quality increases with the index
    error = dict.fromkeys(("new", "flips", "old"), 0)
    power = dict.fromkeys(error, 0.0)
    wrong = dict.fromkeys(error, 0)
    for trial in range(trials):
        parts = [draw(distribution, models, size, rng) for size in sizes]
        order, critical = new_order(parts)
        error["new"] += order.any()
        error["flips"] += largest_statistic(parts) >= critical * (1 - 1e-9)
        if trial % EVERY == 0:
            error["old"] += len(set(old_ranks(parts))) > 1
            parts = [part + STEP * np.arange(models)[:, None] for part in parts]
            found = {"new": new_order(parts)[0]}
            with uncorrected():
                found["flips"] = new_order(parts)[0]
            place = old_ranks(parts)
            found["old"] = place[:, None] < place
            for name, apart in found.items():
                power[name] += (apart & better).sum() / pairs
                wrong[name] += (apart & ~better).any()
    some = len(range(0, trials, EVERY))
    figures = [error["new"] / trials, error["flips"] / trials, error["old"] / some]
    figures += [value / some for value in (*power.values(), *wrong.values())]
    figures.append(coverage(distribution, sizes, max(trials // 2, 1)))
    with uncorrected():
        figures.append(coverage(distribution, sizes, max(trials // 2, 1)))
    return [distribution, " + ".join(map(str, sizes)), *(f"{100 * figure:.1f}%" for figure in figures)]


def coverage(distribution: str, sizes: tuple[int, ...], trials: int) -> float:
    """Return how often the 95% interval of the difference of two equal models contains zero."""
    statistics.RESAMPLES = 9999
    rng = np.random.default_rng(2)
    values = [np.stack([draw(distribution, 2, size, rng) for _ in range(trials)]) for size in sizes]
    intervals = mean_intervals([part[:, 0] - part[:, 1] for part in values])
    return float(np.mean([interval.includes_zero for interval in intervals]))


def print_errors(distributions: tuple[str, ...], sizes: list[int], models: int, trials: int) -> None:
    """Print how often equal models are separated, a line for each number of images."""
    print(f"| images | {' | '.join(distributions)} |\n|---|{'---:|' * len(distributions)}")
    for size in sizes:
        shares = []
        for distribution in distributions:
            rng = np.random.default_rng(size)
            errors = sum(bool(new_order([draw(distribution, models, size, rng)])[0].any()) for _ in range(trials))
            shares.append(f"{100 * errors / trials:.1f}%")
        print(f"| {size} | {' | '.join(shares)} |", flush=True)


def seeds(models: int, trials: int) -> str:
    """Simulate equal methods with two trainings each, whose noise is half of that between images."""
    rng = np.random.default_rng(3)
    error = unaware = 0
    counts = np.full(models, 2)
    for _ in range(trials):
        values = rng.normal(size=(models, 2, 14)) + rng.normal(0, 0.5, (models, 2, 1))
        noise = pooled_noise(values.mean(axis=2).tolist())
        averaged = [values.mean(axis=1)]
        error += separated_pairs(averaged, [noise] * models, counts)[0].any()
        unaware += separated_pairs(averaged, [NO_NOISE] * models, counts)[0].any()
    return f"Two trainings each, 14 images: error {error / trials:.1%}; without their noise {unaware / trials:.1%}."


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--only", choices=DISTRIBUTIONS)
    parser.add_argument("--images", type=int, nargs="+", help="only the error, with one data set of so many images")
    options = parser.parse_args()
    if options.images:
        chosen = DISTRIBUTIONS if options.only is None else (options.only,)
        print_errors(chosen, options.images, options.models, options.trials)
        return
    several = [f"{name}{of}" for name in ("error", "pairs", "wrong order") for of in ("", ", flips", ", by pairs")]
    titles = ["values", "images", *several, "covered", "before"]
    print("| " + " | ".join(titles) + " |\n|---|---|" + "---:|" * (len(titles) - 2), flush=True)
    for distribution in DISTRIBUTIONS if options.only is None else (options.only,):
        for sizes in DATA_SETS:
            print("| " + " | ".join(row(distribution, sizes, options.models, options.trials)) + " |", flush=True)
    if options.only is None:
        print("\n" + seeds(options.models, options.trials))


if __name__ == "__main__":
    main()
