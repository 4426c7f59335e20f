"""The structure of boards: one entry per model, in tiers, on a board for each scale and protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from srbench.leaderboard.image_values import ImageValues
from srbench.leaderboard.ranks import Standing
from srbench.leaderboard.reported_rows import TITLE
from srbench.leaderboard.short_names import Style
from srbench.leaderboard.states import State, state_of_row
from srbench.leaderboard.statistics import Interval
from srbench.leaderboard.timings import ShownTiming
from srbench.leaderboard.trained_on import TrainedOn
from srbench.results.latency_records import LatencyRun
from srbench.results.leak_records import LeakRecord
from srbench.results.published_figures import Difference
from srbench.results.records import Record, Validation

__all__ = ["TIERS", "Board", "DatasetInfo", "Entry", "Group", "Resolution", "Value"]

TIERS = {
    "trained": "Trained and measured here",
    "reproduced": "Authors' weights, measured here",
    "reported": TITLE,
}


@dataclass(frozen=True, slots=True)
class Value:
    """One metric of one model on one data set.

    Attributes:
        interval: Mean over the images with its 95% interval.
        to_best: Paired difference to the tier's first model; None if they cannot be paired.
        spread: Standard deviation of the mean over training seeds, NaN for fewer than two.
    """

    interval: Interval
    to_best: Interval | None = None
    spread: float = math.nan


@dataclass
class Entry:
    """One model on one board.

    Attributes:
        added: Whether the model was added to those that the suite names (`srbench run --add`).
        images: Data set -> values per image, averaged over the seeds.
        records: Data set -> record; for several seeds, their joined record.
        trainings: Data set and metric -> the mean over the images, for each of several seeds.
        leaks: Data set -> those of its images that are known to be in the model's training data, if any.
        published: Data set -> published figures beside the measured ones.
        trained_on: The model's training; None where it has no parameters.
        validations: Seed -> the validations of the training with this seed, as far as there are any.
        timings: Number of one of the board's `latency` runs -> the model's time in it.
        states: Key of a cell -> its state, for all replayed cells of the results.
    """

    record: Record
    label: str = ""
    added: bool = False
    images: dict[str, ImageValues] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    directories: dict[str, Path] = field(default_factory=dict)
    values: dict[tuple[str, str], Value] = field(default_factory=dict)
    trainings: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    leaks: dict[str, LeakRecord] = field(default_factory=dict)
    published: dict[str, list[Difference]] = field(default_factory=dict)
    trained_on: TrainedOn | None = None
    validations: dict[int, Validation] = field(default_factory=dict)
    timings: dict[int, ShownTiming] = field(default_factory=dict)
    states: Mapping[str, State] = field(default_factory=dict)
    standing: Standing | None = None
    overall: float = math.nan

    @property
    def keys(self) -> list[str]:
        """Return the keys of all cells: one for each data set and seed."""
        return [key for record in self.records.values() for key in record.key.split()]

    @property
    def state(self) -> State:
        """Return the state of the row, which is that of the cell that is known least of."""
        return state_of_row(self.keys, self.states)

    def state_on(self, label: str) -> State:
        """Return the state of the row's figures on one data set."""
        return state_of_row(self.records[label].key.split(), self.states)

    @property
    def is_baseline(self) -> bool:
        """Whether the model has no parameters, so that its weights have no origin and it is not ranked."""
        return self.record.params_unique == 0

    @property
    def rank(self) -> int | None:
        """The rank of the mean within the tier, None if the model is not ranked."""
        return None if self.standing is None else self.standing.rank

    @property
    def is_first(self) -> bool:
        """Whether this is the model that the others of its tier are compared with."""
        return self.standing is not None and self.standing.first

    @property
    def third_party(self) -> str:
        """Who trained published weights if it was not the authors of the paper; else empty."""
        return "" if self.record.weights is None else self.record.weights.third_party

    @property
    def seeds(self) -> list[int]:
        """Return the seeds that the network was trained with."""
        return [] if self.record.training is None else list(self.record.training.seeds)

    @property
    def checks(self) -> tuple[int, int]:
        """The number of passed conformance checks, and of those that were not skipped."""
        outcomes = [outcome.split(":")[0] for outcome in self.record.checks.values()]
        return outcomes.count("passed"), len(outcomes) - outcomes.count("skipped")


@dataclass(frozen=True)
class DatasetInfo:
    """A data set on a board; the label distinguishes data sets with equal names and different content."""

    label: str
    name: str
    hash: str
    images: int
    licence: str | None


@dataclass(frozen=True)
class Resolution:
    """The smallest differences of means that separate pairs of models; infinite if none does.

    Attributes:
        family: The backbone that the models share; empty for all models of the tier.
        least: For the pair whose values are most alike from image to image.
        median: The median over the pairs.
        largest: For the pair whose values are least alike.
    """

    family: str
    least: float
    median: float
    largest: float


@dataclass(frozen=True)
class Group:
    """The entries of one tier, best first.

    Attributes:
        resolutions: The differences that the images (and seeds) resolve; one for each family of trainings.
        seed_note: A note on the number of averaged trainings and their variation; empty for one training per model.
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
        """The entries that may be the best: none is significantly better."""
        return [entry for entry in self.entries if entry.standing is not None and entry.standing.best == 1]


@dataclass(frozen=True)
class Board:
    """Everything measured at one scale under one protocol.

    Attributes:
        metrics: Names of the metrics; the first one ranks.
        styles: Metric -> its format, and whether higher is better.
        baselines: Entries without parameters, which are shown but not ranked.
        latency: Times of the models, for each machine.
    """

    scale: int
    protocol: str
    digest: str
    datasets: list[DatasetInfo]
    metrics: list[str]
    groups: list[Group]
    baselines: list[Entry]
    styles: dict[str, Style]
    latency: list[LatencyRun] = field(default_factory=list)

    def style(self, metric: str) -> Style:
        """Return the style of a metric on this board."""
        return self.styles[metric]

    @property
    def first(self) -> Style:
        """The style of the metric that ranks."""
        return self.style(self.metrics[0])

    @property
    def anchor(self) -> str:
        """The URL fragment of this board."""
        return f"x{self.scale}-{self.protocol}-{self.digest[:8]}"

    @property
    def entries(self) -> list[Entry]:
        """Return the entries of all tiers, then the baselines."""
        return [entry for group in self.groups for entry in group.entries] + self.baselines
