"""What is stored of a measurement: the record of a cell, and the description of a run."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from srbench.results.cost_figures import CostFigures
from srbench.results.reported import ReportedFigure

if TYPE_CHECKING:
    pass

__all__ = [
    "KEY_LENGTH",
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

SCHEMA_VERSION = 2  # 2 adds `adopted` and `training.trace`; records of 1 are read as they are


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


class _Schema(BaseModel):
    # JSON has no infinity, and the PSNR of equal images is infinite: it is written as a text, and read back.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    def to_json(self) -> str:
        """Return the object as indented JSON with sorted keys, ending with a line break."""
        return json.dumps(json.loads(self.model_dump_json()), indent=2, sort_keys=True, allow_nan=False) + "\n"


class TrainingTrace(_Schema):
    """Hold what a replay of a training's first iterations must repeat.

    Attributes:
        losses: Loss of each of them.
        weights_sha256: Hash of the weights after the last.
    """

    losses: list[float]
    weights_sha256: str


class Adoption(_Schema):
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
    largest_difference: dict[str, float] = {}
    platform: str
    date: str


class Training(_Schema):
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


class MetricKind(_Schema):
    """Say how a metric's figures are read: its unit, and which way is better."""

    unit: str = ""
    higher_is_better: bool = True


class Record(_Schema):
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
    """

    schema_version: Literal[1, 2] = 2
    key: str = Field(min_length=KEY_LENGTH)
    status: Literal["ok", "failed"]
    error: str | None = None
    model: str
    backbone: str
    method: str | None = None
    tag: str | None = None
    args: dict[str, str] = {}
    scale: Scale
    scales: list[Scale] = []
    seed: int | None = None
    dataset: str
    dataset_hash: str
    images: Count = 0
    protocol: str
    protocol_digest: str
    tier: Tier
    metrics: dict[str, float] = {}
    metric_kinds: dict[str, MetricKind] = {}
    params_unique: Count | None = None
    params_deployed: Count | None = None
    params_stored: Count | None = None
    cost: CostFigures | None = None
    weights_sha256: str | None = None
    training: Training | None = None
    checks: dict[str, str] = {}
    plugins: dict[str, str] = {}
    code_digest: str = ""
    dtype: str = "float32"
    numerics: dict[str, str | bool | int] = {}
    tile_error: dict[str, Any] | None = None
    versions: dict[str, str] = {}
    created: str
    redistributable: bool = False
    licence: str | None = None
    crops: list[str] = []
    adopted: Adoption | None = None

    @property
    def identity(self) -> tuple[str, int, int | None, str, str]:
        """Say which cell of the suite this is: model, scale, seed, data set, protocol."""
        seeds = self.training.seeds if self.training is not None else []
        seed = seeds[0] if self.seed is None and len(seeds) == 1 else self.seed
        return (self.model, self.scale, seed, self.dataset, self.protocol)

    @property
    def directory_name(self) -> str:
        """Return the name of the cell's directory: readable first, then the beginning of the key."""
        slug = slugify(f"{self.model}-x{self.scale}-{self.dataset}-{self.protocol}")
        return f"{slug}-{self.key[:KEY_LENGTH]}"


class RunInfo(_Schema):
    """Say what a run directory is a run of.

    Attributes:
        suite: Name of the suite.
        budget: Name of the suite's budget that it is run with; empty for the whole suite.
        definition: The suite, as validated; with a budget, as that has it.
        explanations: Digest of each protocol -> what it does, in words; for readers that have no code to ask.
        reported: Figures of papers that the suite wants to be shown beside what is measured.
        srbench: Version that started the run.
        created: ISO 8601, UTC.
    """

    schema_version: Literal[1] = 1
    suite: str
    title: str = ""
    description: str = ""
    budget: str = ""
    definition: dict[str, Any] = {}
    explanations: dict[str, str] = {}
    reported: list[ReportedFigure] = []
    srbench: str
    created: str
