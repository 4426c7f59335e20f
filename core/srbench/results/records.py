"""What is stored of a measurement: the record of a cell, and the description of a run."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from srbench.results.cost_figures import CostFigures
from srbench.results.origins import Checkout, Planned, PlanReference, Subset, WeightsOrigin
from srbench.results.reported import ReportedFigure
from srbench.results.schema import Figure, Stored

__all__ = [
    "KEY_LENGTH",
    "RUN_SCHEMA_VERSION",
    "SCHEMA_VERSION",
    "Adoption",
    "MetricKind",
    "Record",
    "RunInfo",
    "Tier",
    "Training",
    "TrainingTrace",
    "now",
    "second_after",
    "slugify",
]

# 2 adds `adopted` and `training.trace`; 3 adds `checkout`, `weights`, `plan`, `subset`, `dataset_source` and
# `primary_metric`. Records of earlier versions are read as they are.
SCHEMA_VERSION = 3
RUN_SCHEMA_VERSION = 2  # 2 adds `images` and `planned`


KEY_LENGTH = 12  # hexadecimal digits of a cell's key in its directory's name


# Larger than any network or image: a record that says more is damaged or forged.
Count = Annotated[int, Field(ge=0, le=10**15)]
Scale = Annotated[int, Field(ge=1, le=16)]

Tier = Literal["reported", "reproduced", "trained"]


def now() -> str:
    """Return the time as an ISO 8601 text in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def second_after(created: str) -> str:
    """Return the time one second later, as `now` writes it; what is no such time is returned as it is."""
    try:
        return (datetime.fromisoformat(created) + timedelta(seconds=1)).isoformat()
    except (ValueError, OverflowError):
        return created


def slugify(text: str, *, length: int = 120) -> str:
    """Return a text as a file name: letters, digits, dot, dash and underscore, at most `length` characters.

    Different texts may give the same name; where that matters, a hash is put beside it.
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")[:length].rstrip("-.") or "x"


class TrainingTrace(Stored):
    """Hold what a replay of a training's first iterations must repeat.

    Attributes:
        losses: Loss of each of them.
        weights_sha256: Hash of the weights after the last.
    """

    losses: list[Figure]
    weights_sha256: str


class Adoption(Stored):
    """Say that a result made by other code was checked and taken over.

    Attributes:
        from_code: Digest of the code that made it.
        from_key: The key that it had.
        srbench: Version of sr-bench that made it.
        training: How the training was checked: `replayed` (its first iterations), `repeated` (all of it, to the same
            weights); empty for models that were not trained here.
        evaluation: What came of measuring again: values `identical` to the last bit; equal `but for rounding`, on the
            same platform, where the record has the new ones; or `within tolerance`, on another, where it has the old.
        largest_difference: Metric -> largest difference of one image; empty where all are identical.
        platform: What it was checked on.
        date: ISO 8601, UTC.
    """

    from_code: str
    from_key: str
    srbench: str = ""
    training: str = ""
    evaluation: str
    largest_difference: dict[str, Figure] = Field({})
    platform: str
    date: str


class Training(Stored):
    """Say how a model of tier `trained` came to be.

    Attributes:
        recipe: Every setting of the training.
        iterations: Optimiser steps.
        seeds: The seeds, one per training.
        data: Name of the training data set.
        data_hash: Hash of the decoded pixels it was trained on.
        seconds: Wall-clock time of the training, over all its interruptions.
        code_digest: Digest of the code that trained it; empty in records of before it was kept apart.
        trace: Its first iterations; None in records of before they were kept.
    """

    recipe: dict[str, Any]
    iterations: int
    seeds: list[int]
    data: str
    data_hash: str
    seconds: float
    code_digest: str = ""
    trace: TrainingTrace | None = None


class MetricKind(Stored):
    """Say how a metric's figures are read: its unit, and which way is better."""

    unit: str = ""
    higher_is_better: bool = True


class Record(Stored):
    """Hold what was measured for one model on one data set at one scale under one protocol.

    Attributes:
        key: SHA-256 of everything that decides the result; timing and hardware have their own key in `speed.json`.
        status: `ok`, or `failed`: then `error` is the traceback and `metrics` is empty.
        model: Canonical spelling of the model's name; `backbone`, `method`, `tag` and `args` are its parts.
        scale: The up-sampling factor; `scales` are all those that the measured network was built for.
        seed: Seed of the training that the suite asks for; None for models with published weights or none.
        images: Number of images.
        tier: `reported` (a paper's figure), `reproduced` (authors' weights, measured here), `trained` (both here).
        metrics: Means over the images: `psnr_y` in dB, `ssim_y` in 0..1.
        metric_kinds: How they are read, so that a leaderboard needs no plugin; empty where it was not recorded.
        params_unique: Parameters of the network, each tensor once.
        params_deployed: The same, of the view that serves one scale.
        params_stored: Numbers in its checkpoint.
        cost: Multiply-accumulates and the like; None in records of before they were counted.
        checks: Conformance check -> `passed`, `failed: why` or `skipped: why`.
        plugins: Distributions that the model comes from -> version; `code_digest` is the hash of their code.
        numerics: Switches that change what is computed, such as TF32, and inference options that are not the default.
        tile_error: In tiles: what these change, measured on a part of one image; None for whole images.
        versions: Of srbench, torch, numpy and python; recorded, not part of the key.
        created: ISO 8601, UTC.
        redistributable: Whether crops of the images may be shown; `licence` says under what.
        adopted: How a result of other code was checked before it was taken over; None where this code made it.
        crops: Paths in the cell's directory, two per image: `images/<image>.sr.png` and `images/<image>.hr.png`.
        checkout: Commit of the sr-bench that measured it; None for an installed one, and before schema version 3.
        weights: Where published weights come from; None for others, and before schema version 3.
        plan: The suite that it was measured for; None before schema version 3.
        subset: The part of the data set that was measured; None for the whole set.
        dataset_source: Hash of the folder's or list's path, which tells apart two of one name; empty for a registered
            data set, and before schema version 3.
        primary_metric: The metric that figures under the protocol are ranked by; empty where it was not measured, and
            before schema version 3.
    """

    schema_version: Literal[1, 2, 3] = 3
    key: str = Field(min_length=KEY_LENGTH)
    status: Literal["ok", "failed"]
    error: str | None = None
    model: str
    backbone: str
    method: str | None = None
    tag: str | None = None
    args: dict[str, str] = Field({})
    scale: Scale
    scales: list[Scale] = Field([])
    seed: int | None = None
    dataset: str
    dataset_hash: str
    images: Count = 0
    protocol: str
    protocol_digest: str
    tier: Tier
    metrics: dict[str, Figure] = Field({})
    metric_kinds: dict[str, MetricKind] = Field({})
    params_unique: Count | None = None
    params_deployed: Count | None = None
    params_stored: Count | None = None
    cost: CostFigures | None = None
    weights_sha256: str | None = None
    training: Training | None = None
    checks: dict[str, str] = Field({})
    plugins: dict[str, str] = Field({})
    code_digest: str = ""
    dtype: str = "float32"
    numerics: dict[str, str | bool | int] = Field({})
    tile_error: dict[str, Any] | None = None
    versions: dict[str, str] = Field({})
    created: str
    redistributable: bool = False
    licence: str | None = None
    crops: list[str] = Field([])
    adopted: Adoption | None = None
    checkout: Checkout | None = None
    weights: WeightsOrigin | None = None
    plan: PlanReference | None = None
    subset: Subset | None = None
    dataset_source: str = ""
    primary_metric: str = ""

    @property
    def place(self) -> tuple[str, int, int | None, str, str]:
        """Say which cell of a suite this is by names: model, scale, seed, data set, protocol."""
        seeds = self.training.seeds if self.training is not None else []
        seed = seeds[0] if self.seed is None and len(seeds) == 1 else self.seed
        return (self.model, self.scale, seed, self.dataset, self.protocol)

    @property
    def identity(self) -> tuple[str, int, int | None, str, str, str]:
        """Say which cell this is: its place, and the hash of the images, since two data sets may have one name."""
        return (*self.place, self.dataset_hash)

    @property
    def directory_name(self) -> str:
        """Return the name of the cell's directory: readable first, then the beginning of the key."""
        slug = slugify(f"{self.model}-x{self.scale}-{self.dataset}-{self.protocol}")
        return f"{slug}-{self.key[:KEY_LENGTH]}"


class RunInfo(Stored):
    """Say what a run directory is a run of.

    Attributes:
        suite: Name of the suite.
        budget: Name of the suite's budget that it is run with; empty for the whole suite.
        images: Which images of each data set are measured, as names and globs; empty for all.
        planned: The cells that the suite asks for, measured or not; None before schema version 2.
        definition: The suite, as validated; with a budget, as that has it.
        explanations: Digest of each protocol -> what it does, in words; for readers that have no code to ask.
        reported: Figures of papers that the suite wants to be shown beside what is measured.
        srbench: Version that started the run.
        created: ISO 8601, UTC.
    """

    schema_version: Literal[1, 2] = 2
    suite: str
    title: str = ""
    description: str = ""
    budget: str = ""
    images: str = ""
    planned: Planned | None = None
    definition: dict[str, Any] = Field({})
    explanations: dict[str, str] = Field({})
    reported: list[ReportedFigure] = Field([])
    srbench: str
    created: str

    @property
    def asked(self) -> str:
        """Return what the run was asked for, in words."""
        text = f"'{self.suite}'" + (f" with budget '{self.budget}'" if self.budget else "")
        return text + (f" on the images '{self.images}'" if self.images else "")
