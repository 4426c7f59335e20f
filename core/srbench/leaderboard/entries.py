"""What is shown of results: one entry per model, in tiers, on a board for each scale and protocol."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from srbench.leaderboard.ranks import Standing
from srbench.leaderboard.reported_rows import TITLE
from srbench.leaderboard.short_names import Style
from srbench.leaderboard.statistics import Interval
from srbench.results.leak_records import LeakRecord
from srbench.results.records import Record

__all__ = ["TIERS", "Board", "DatasetInfo", "Entry", "Group", "Resolution", "Value"]

TIERS = {
    "trained": "Trained and measured here",
    "reproduced": "Authors' weights, measured here",
    "reported": TITLE,
}


@dataclass(frozen=True)
class Value:
    """One metric of one model on one data set.

    Attributes:
        interval: Mean over the images with its 95% interval.
        to_best: Paired difference to the tier's first model; None where it cannot be paired.
        spread: Standard deviation of the mean over training seeds, NaN for fewer than two.
    """

    interval: Interval
    to_best: Interval | None = None
    spread: float = math.nan


@dataclass
class Entry:
    """One model on one board.

    Attributes:
        images: Data set -> values per image, averaged over the seeds.
        records: Data set -> record; of several seeds their common one.
        trainings: Data set and metric -> the mean over the images, for each seed.
        leaks: Data set -> what is known of its images in the data that the model was trained on, if any are.
    """

    record: Record
    label: str = ""
    images: dict[str, pd.DataFrame] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    directories: dict[str, Path] = field(default_factory=dict)
    values: dict[tuple[str, str], Value] = field(default_factory=dict)
    trainings: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    leaks: dict[str, LeakRecord] = field(default_factory=dict)
    standing: Standing | None = None
    overall: float = math.nan

    @property
    def is_baseline(self) -> bool:
        """Return whether the model has no parameters: no weights, so no provenance, and no rank."""
        return self.record.params_unique == 0

    @property
    def rank(self) -> int | None:
        """Return the rank of the mean within the tier, None where the model is not ranked."""
        return None if self.standing is None else self.standing.rank

    @property
    def is_first(self) -> bool:
        """Return whether this is the model that the others of its tier are compared with."""
        return self.standing is not None and self.standing.first

    @property
    def third_party(self) -> str:
        """Return who trained published weights, where it was not the authors of the paper; else an empty text."""
        return "" if self.record.weights is None else self.record.weights.third_party

    @property
    def seeds(self) -> list[int]:
        """Return the seeds that the network was trained with."""
        return [] if self.record.training is None else list(self.record.training.seeds)

    @property
    def checks(self) -> tuple[int, int]:
        """Return how many conformance checks passed, of how many that were not skipped."""
        outcomes = [outcome.split(":")[0] for outcome in self.record.checks.values()]
        return outcomes.count("passed"), len(outcomes) - outcomes.count("skipped")


@dataclass(frozen=True)
class DatasetInfo:
    """A data set as a board shows it; the label tells apart two of one name but different content."""

    label: str
    name: str
    hash: str
    images: int
    licence: str | None


@dataclass(frozen=True)
class Resolution:
    """The differences of means at which pairs of models would just be separated; infinite where none would.

    Attributes:
        family: The backbone that the models share; empty for all models of the tier.
        least: That of the pair that behaves most alike from image to image.
        median: The median over the pairs.
        largest: That of the pair that behaves least alike.
    """

    family: str
    least: float
    median: float
    largest: float


@dataclass(frozen=True)
class Group:
    """The entries of one tier, best first.

    Attributes:
        resolutions: Which differences the images (and seeds) resolve; one for each family of trainings.
        seed_note: Over how many trainings figures are averaged, and how these vary; empty for one of each model.
    """

    tier: str
    title: str
    entries: list[Entry]
    resolutions: list[Resolution] = field(default_factory=list)
    seed_note: str = ""

    @property
    def ranked(self) -> list[Entry]:
        """Return the entries that have a rank."""
        return [entry for entry in self.entries if entry.standing is not None]

    @property
    def top(self) -> list[Entry]:
        """Return the entries that may be the best: no other is separated from them and better."""
        return [entry for entry in self.entries if entry.standing is not None and entry.standing.best == 1]


@dataclass(frozen=True)
class Board:
    """Everything measured at one scale under one protocol.

    Attributes:
        metrics: Names of the metrics; the first decides the ranks.
        styles: Metric -> how it is written, and which way is better.
        baselines: Entries without parameters, which are shown but not ranked.
    """

    scale: int
    protocol: str
    digest: str
    datasets: list[DatasetInfo]
    metrics: list[str]
    groups: list[Group]
    baselines: list[Entry]
    styles: dict[str, Style]

    def style(self, metric: str) -> Style:
        """Return how a metric is written here."""
        return self.styles[metric]

    @property
    def first(self) -> Style:
        """Return how the metric that decides the ranks is written."""
        return self.style(self.metrics[0])

    @property
    def anchor(self) -> str:
        """Return the fragment of a link to this board."""
        return f"x{self.scale}-{self.protocol}-{self.digest[:8]}"

    @property
    def entries(self) -> list[Entry]:
        """Return the entries of all tiers, then the baselines."""
        return [entry for group in self.groups for entry in group.entries] + self.baselines
