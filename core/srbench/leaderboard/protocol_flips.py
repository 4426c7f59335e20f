"""Rank the same SR images under several protocols, and find the pairs of models whose order changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from srbench.leaderboard.ranks import Standing, rank_models
from srbench.leaderboard.skewness import ZERO
from srbench.leaderboard.statistics import Scores

__all__ = ["Column", "Flips", "count_flips", "rank_columns"]


@dataclass(frozen=True)
class Column:
    """The models under one protocol, ranked by its primary metric.

    Attributes:
        protocol: The protocol's name.
        metric: The metric that ranks.
        higher_is_better: Whether the highest mean is the best.
        standings: Model -> its mean over the data sets, rank and interval; models without finite values are left out.
        separated: Pairs of models that are significantly different, the better one first.
    """

    protocol: str
    metric: str
    higher_is_better: bool
    standings: dict[str, Standing]
    separated: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Flips:
    """The changes between two protocols.

    Attributes:
        first: One protocol.
        second: The other.
        pairs: Number of pairs of models with figures under both.
        flipped: The pairs whose order changes; the better one under the first protocol comes first.
        in_one: Those that are significantly different under only one of the two protocols.
        in_both: Those that are significantly different under both, so that the protocols contradict each other.
        moved: Number of models whose rank changes.
    """

    first: str
    second: str
    pairs: int
    flipped: tuple[tuple[str, str], ...]
    in_one: tuple[tuple[str, str], ...]
    in_both: tuple[tuple[str, str], ...]
    moved: int


def rank_columns(columns: Sequence[tuple[str, str, bool, Mapping[str, Sequence[np.ndarray]]]]) -> list[Column]:
    """Rank the models under each protocol.

    Args:
        columns: Protocol, metric, whether higher is better, and for each model an array of values per data set.
    """
    ranked = []
    for protocol, metric, higher, scores in columns:
        finite: Scores = {
            model: [np.asarray(part, dtype=np.float64) for part in parts]
            for model, parts in scores.items()
            if all(np.isfinite(part).all() for part in parts)
        }
        ranking = rank_models(finite, higher_is_better=higher)
        ranked.append(Column(protocol, metric, higher, ranking.standings, ranking.separated))
    return ranked


def count_flips(columns: Sequence[Column], variants: Mapping[str, str] | None = None) -> list[Flips]:
    """Compare the order of the models for each pair of protocols.

    Args:
        columns: The protocols.
        variants: Protocol with one changed choice -> the original protocol, the only one to compare it with.
    """
    of = variants or {}
    return [
        _between(first, second)
        for first, second in combinations(columns, 2)
        if second.protocol not in of or of[second.protocol] == first.protocol
        if first.protocol not in of
    ]


def _between(first: Column, second: Column) -> Flips:
    shared = [model for model in first.standings if model in second.standings]
    flipped, in_one, in_both = [], [], []
    for one, other in combinations(shared, 2):
        ahead, then = _lead(first, one, other), _lead(second, one, other)
        if ahead * then >= 0:  # equal under one of them, or in the same order
            continue
        pair = (one, other) if ahead > 0 else (other, one)
        apart = (pair in first.separated) + (pair[::-1] in second.separated)
        flipped.append(pair)
        if apart == 1:
            in_one.append(pair)
        elif apart == 2:
            in_both.append(pair)
    places = [_places(column, shared) for column in (first, second)]
    moved = sum(places[0][model] != places[1][model] for model in shared)
    pairs = len(shared) * (len(shared) - 1) // 2
    return Flips(first.protocol, second.protocol, pairs, tuple(flipped), tuple(in_one), tuple(in_both), moved)


def _lead(column: Column, one: str, other: str) -> int:
    """Return 1 if the first model is better, -1 if it is worse, 0 if they are equal up to rounding."""
    difference = column.standings[one].mean - column.standings[other].mean
    if abs(difference) <= ZERO:
        return 0
    return 1 if (difference > 0) == column.higher_is_better else -1


def _places(column: Column, models: Sequence[str]) -> dict[str, int]:
    """Return ranks among a subset of the models."""
    return {one: 1 + sum(_lead(column, other, one) > 0 for other in models) for one in models}
