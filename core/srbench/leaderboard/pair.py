"""Compare two models of a run image by image, without a correction for the number of other models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from srbench.errors import ConfigError
from srbench.leaderboard.boards import read_results
from srbench.leaderboard.entries import Board, Entry
from srbench.leaderboard.statistics import Interval, paired_intervals
from srbench.leaderboard.tiers import overall_noise
from srbench.results.rows import of_board

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """The paired difference of two models on one data set of a board, or over several.

    Attributes:
        dataset: Label of the data set; empty for the mean over all that both were measured on.
        images: Number of images.
        metric: The metric that ranks the board.
        difference: Value of the first model minus that of the second.
        verdict: `better` or `worse` (the first model than the second, at 95%), or `not told apart`.
    """

    board: Board
    first: Entry
    second: Entry
    dataset: str
    images: int
    metric: str
    difference: Interval
    verdict: str


def compare(run_dir: str | Path, first: str, second: str) -> list[Comparison]:
    """Compare two models of a run on every board that has both.

    Args:
        run_dir: A directory that `srbench run` wrote, or a board's folder.
        first: A model's canonical name, or its short name in tables.
        second: The model to compare it with.

    Raises:
        StoreError: There are no results in `run_dir`.
        ConfigError: A model is not in the run, no board has both, or they were not measured on the same images.
    """
    boards = read_results(of_board(run_dir)).boards
    for name in (first, second):
        if not any(_find(board.entries, name) for board in boards):
            known = sorted({entry.label for board in boards for entry in board.entries})
            raise ConfigError(f"'{run_dir}' has no model '{name}'; it has {', '.join(known)}.")
    comparisons = []
    for board in boards:
        for one in _find(board.entries, first):
            for other in _find(board.entries, second):
                if one is not other:
                    comparisons += _on_board(board, one, other)
    if not comparisons:
        raise ConfigError(
            f"'{first}' and '{second}' share no images with finite values in '{run_dir}'; name two different models "
            "that were measured at one scale, under one protocol, on one data set."
        )
    return comparisons


def _find(entries: Iterable[Entry], name: str) -> list[Entry]:
    return [entry for entry in entries if name in (entry.label, entry.record.model)]


def _on_board(board: Board, one: Entry, other: Entry) -> list[Comparison]:
    metric = board.metrics[0]
    shared = [dataset.label for dataset in board.datasets if _paired(one, other, dataset.label, metric)]
    # The variation between trainings does not depend on the pair: it is estimated over the tiers of both models.
    tiers = [group.entries for group in board.groups if one in group.entries or other in group.entries]
    kin = [entry for entries in tiers for entry in entries]
    names = ("first", "second")
    counts = {name: max(len(entry.seeds), 1) for name, entry in zip(names, (one, other), strict=True)}
    comparisons = []
    for labels in [[label] for label in shared] + ([shared] if len(shared) > 1 else []):
        scores = {
            name: [entry.images[label][metric] for label in labels]
            for name, entry in zip(names, (one, other), strict=True)
        }
        by_model = overall_noise(kin, labels, metric)
        noise = {
            name: by_model[entry.record.model]
            for name, entry in zip(names, (one, other), strict=True)
            if entry.record.model in by_model
        }
        [difference] = paired_intervals(scores, [names], noise, counts)
        images = sum(len(part) for part in scores["first"])
        label = labels[0] if len(labels) == 1 else ""
        verdict = _verdict(difference, board.first.sign)
        comparisons.append(Comparison(board, one, other, label, images, metric, difference, verdict))
    return comparisons


def _paired(one: Entry, other: Entry, label: str, metric: str) -> bool:
    tables = [entry.images.get(label) for entry in (one, other)]
    if any(table is None or not len(table) or metric not in table for table in tables):
        return False
    mine, its = one.images[label], other.images[label]
    return bool(mine.names == its.names and np.isfinite(mine[metric]).all() and np.isfinite(its[metric]).all())


def _verdict(difference: Interval, sign: int) -> str:
    if difference.includes_zero:
        return "not told apart"
    return "better" if difference.mean * sign > 0 else "worse"
