"""Rank the models of one tier, and compare each with the first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from srbench.leaderboard.entries import DatasetInfo, Entry, Group, Resolution
from srbench.leaderboard.image_values import ImageValues
from srbench.leaderboard.ranks import rank_models, resolution
from srbench.leaderboard.replicas import noise_by_model, seed_note
from srbench.leaderboard.short_names import Style
from srbench.leaderboard.statistics import SeedNoise, difference_noise, mean_intervals

__all__ = ["by_mean", "overall_noise", "ranked_group"]


def by_mean(first: Style) -> Callable[[Entry], tuple[int, float, str]]:
    """Return the sort key of entries, best first."""

    def key(entry: Entry) -> tuple[int, float, str]:
        # Unranked entries come last; NaN cannot be compared, so it is replaced.
        overall = -math.inf if math.isnan(entry.overall) else entry.overall * first.sign
        return (entry.rank or 10**9, -overall, entry.record.model)

    return key


def ranked_group(
    tier: str, title: str, members: list[Entry], datasets: list[DatasetInfo], styles: dict[str, Style]
) -> Group:
    """Rank the models of a tier by the first metric, and fill in their paired differences to the first model."""
    metrics = list(styles)
    first = styles[metrics[0]]
    images = {dataset.label: _images(members, dataset.label) for dataset in datasets}
    rankable = {entry.record.model: entry for entry in members if _paired(entry, images, metrics[0])}
    scores = {
        name: [entry.images[dataset.label][metrics[0]] for dataset in datasets] for name, entry in rankable.items()
    }
    counts = {name: max(len(entry.seeds), 1) for name, entry in rankable.items()}
    families = {entry.record.model: entry.record.backbone for entry in members}
    noise = overall_noise(list(rankable.values()), [dataset.label for dataset in datasets], metrics[0])
    noises = {
        (dataset.label, metric): noise_by_model(
            {entry.record.model: entry.trainings.get((dataset.label, metric), []) for entry in members}, families
        )
        for dataset in datasets
        for metric in metrics
    }
    _add_noise(members, noises)
    ranking = rank_models(scores, noise, counts, higher_is_better=first.higher_is_better)
    for name, entry in rankable.items():
        entry.standing = ranking.standings[name]
    ordered = sorted(members, key=by_mean(first))
    if rankable:
        _compare(ordered, noises)
    resolutions = []
    for family, names in _families(tier, rankable).items():
        least = resolution({name: scores[name] for name in names}, ranking.critical, noise, counts)
        if len(least):
            resolutions.append(Resolution(family, least[0], float(np.median(least)), least[-1]))
    note = seed_note(noise, families, [len(entry.seeds) for entry in members], first.unit)
    return Group(tier, title, ordered, resolutions, note)


def _families(tier: str, rankable: Mapping[str, Entry]) -> dict[str, list[str]]:
    """Return the groups of models whose pairs share a resolution: one per trained backbone, or all if there is one."""
    families: dict[str, list[str]] = {}
    for name, entry in rankable.items():
        families.setdefault(entry.record.backbone if tier == "trained" else "", []).append(name)
    return families if len(families) > 1 else {"": list(rankable)}


def overall_noise(entries: list[Entry], labels: list[str], metric: str) -> dict[str, SeedNoise]:
    """Estimate, for each model, the training noise in the mean of a metric over some data sets."""
    families = {entry.record.model: entry.record.backbone for entry in entries}
    return noise_by_model(
        {entry.record.model: _overall_of_each_training(entry, labels, metric) for entry in entries}, families
    )


def _overall_of_each_training(entry: Entry, labels: list[str], metric: str) -> list[float]:
    """Return the mean over the data sets for each seed; empty if the seeds differ between data sets."""
    figures = [entry.trainings.get((label, metric), []) for label in labels]
    if len({len(several) for several in figures}) != 1:
        return []
    return [float(np.mean(of_one)) for of_one in zip(*figures, strict=True)]


Noises = Mapping[tuple[str, str], Mapping[str, SeedNoise]]


def _add_noise(members: list[Entry], noises: Noises) -> None:
    """Widen the intervals of means by the training noise."""
    for key, noise in noises.items():
        for entry in members:
            if (value := entry.values.get(key)) is not None:
                half_width = noise[entry.record.model].half_width(max(len(entry.seeds), 1))
                entry.values[key] = replace(value, interval=value.interval.widened(half_width))


def _images(members: list[Entry], label: str) -> tuple[str, ...] | None:
    """Return the images of a data set: those of the model measured on the most images."""
    names = [entry.images[label].names for entry in members if label in entry.images]
    return max(names, key=len, default=None)


def _paired(entry: Entry, images: Mapping[str, tuple[str, ...] | None], metric: str) -> bool:
    """Return whether an entry has finite per-image values for the same images as the others, on every data set."""
    for label, names in images.items():
        table = entry.images.get(label)
        if table is None or metric not in table or not len(table) or not np.isfinite(table[metric]).all():
            return False
        if table.names is not names and table.names != names:
            return False
    return True


def _compare(ordered: list[Entry], noises: Noises) -> None:
    """Fill in the entries' paired differences to the first of their tier, if the two can be paired."""
    best = ordered[0]
    for (label, metric), noise in noises.items():
        its = best.images.get(label)
        if its is None or metric not in its:
            continue
        paired = [entry for entry in ordered if _comparable(entry, its, label, metric)]
        if not len(its) or not paired:
            continue
        with np.errstate(invalid="ignore"):  # of two infinite values
            differences = np.stack([entry.images[label][metric] for entry in paired]) - its[metric]
        found = np.flatnonzero(np.isfinite(differences).all(axis=1)).tolist()
        if not found:
            continue
        intervals = mean_intervals([differences[found]], together=1)
        for index, to_best in zip(found, intervals, strict=True):
            entry = paired[index]
            if entry is not best:
                counts = max(len(entry.seeds), 1), max(len(best.seeds), 1)
                more = difference_noise(noise[entry.record.model], counts[0], noise[best.record.model], counts[1])
                to_best = to_best.widened(more)
            entry.values[label, metric] = replace(entry.values[label, metric], to_best=to_best)


def _comparable(entry: Entry, its: ImageValues, label: str, metric: str) -> bool:
    """Say whether an entry has values of a metric for the same images as the first of its tier."""
    mine = entry.images.get(label)
    known = (label, metric) in entry.values and mine is not None and metric in mine
    return known and mine is not None and (mine.names is its.names or mine.names == its.names)
