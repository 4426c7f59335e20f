"""The stored form of results: the record of a cell, and the description of a run."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

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
    "Validation",
    "now",
    "second_after",
    "slugify",
]

# 2 adds `adopted` and `training.trace`; 3 adds `checkout`, `weights`, `plan`, `subset`, `dataset_source` and
# `primary_metric`; 4 adds `training.validation` and `folded`. Records of earlier versions are read as they are.
SCHEMA_VERSION = 4
RUN_SCHEMA_VERSION = 2  # 2 adds `images` and `planned`


KEY_LENGTH = 12  # hexadecimal digits of a cell's key in the name of its directory


# More than any network or image has: a record with a larger figure is damaged or forged.
Count = Annotated[int, Field(ge=0, le=10**15)]
Iteration = Annotated[int, Field(ge=1, le=10**15)]
Scale = Annotated[int, Field(ge=1, le=16)]

Tier = Literal["reported", "reproduced", "trained"]


def now() -> str:
    """Return the current time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def second_after(created: str) -> str:
    """Return the time one second later, in the format of `now`; an invalid time is returned unchanged."""
    try:
        return (datetime.fromisoformat(created) + timedelta(seconds=1)).isoformat()
    except (ValueError, OverflowError):
        return created


def slugify(text: str, *, length: int = 120) -> str:
    """Turn a text into a file name of letters, digits, dots, dashes and underscores, at most `length` characters.

    Different texts may give the same name; callers append a hash where that matters.
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")[:length].rstrip("-.") or "x"


class TrainingTrace(Stored):
    """The first iterations of a training, which a replay must reproduce.

    Attributes:
        losses: Loss of each iteration.
        weights_sha256: Hash of the weights after the last one.
    """

    losses: list[Figure]
    weights_sha256: str


class Validation(Stored):
    """Validations during a training: its learning curves.

    Attributes:
        data: Name of the validation images' data set.
        data_hash: Hash of their decoded pixels.
        images: Number of images.
        protocol: The protocol that they were measured under.
        iterations: The iterations after which the network was validated, in order.
        metrics: Metric and scale, such as `psnr_y x2` -> the mean over the images after each of these iterations.
    """

    data: str
    data_hash: str
    images: Count
    protocol: str
    iterations: list[Iteration]
    metrics: dict[str, list[Figure]]

    @model_validator(mode="after")
    def _one_mean_per_iteration(self) -> Self:
        if any(after <= before for before, after in pairwise(self.iterations)):
            raise ValueError("the iterations of a validation must increase")
        for name, means in self.metrics.items():
            if len(means) != len(self.iterations):
                raise ValueError(f"{len(means)} means of '{name}' for {len(self.iterations)} iterations")
        return self


class Adoption(Stored):
    """How a result of an earlier version of the code was checked before it was kept for the current one.

    Attributes:
        from_code: Digest of the code that produced it.
        from_key: Its former key.
        srbench: Version of sr-bench that produced it.
        training: How the training was checked: `replayed` (its first iterations) or `repeated` (completely, with equal
            weights); empty for models that were not trained here.
        evaluation: Result of measuring again: values `identical` to the last bit; equal `but for rounding` on the same
            platform, in which case the record has the new values; or `within tolerance` on another platform, in which
            case it has the old ones.
        largest_difference: Metric -> largest difference of one image; empty if all are identical.
        platform: The platform that it was checked on.
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
    """The training of a model of tier `trained`.

    Attributes:
        recipe: All settings of the training.
        iterations: Number of optimizer steps.
        seeds: The seeds, one per training.
        data: Name of the training data set.
        data_hash: Hash of the decoded pixels of the training data.
        seconds: Wall-clock time of the training, summed over interruptions.
        code_digest: Digest of the code that trained it; empty in records from before it was stored separately.
        trace: Its first iterations; None in records from before they were stored.
        validation: Its learning curves; None without validation images and before schema version 4.
    """

    recipe: dict[str, Any]
    iterations: int
    seeds: list[int]
    data: str
    data_hash: str
    seconds: float
    code_digest: str = ""
    trace: TrainingTrace | None = None
    validation: Validation | None = None


class MetricKind(Stored):
    """The unit of a metric, and whether higher is better."""

    unit: str = ""
    higher_is_better: bool = True


class Record(Stored):
    """The result of one model on one data set at one scale under one protocol.

    Attributes:
        key: SHA-256 of everything that determines the result; timing and hardware are in `speed.json`.
        status: `ok`, or `failed`: then `error` is the traceback and `metrics` is empty.
        model: Canonical name of the model; `backbone`, `method`, `tag` and `args` are its parts.
        scale: The upscaling factor; `scales` are all those that the measured network was built for.
        seed: Seed of the training, as given by the suite; None for models with published weights or without weights.
        images: Number of images.
        tier: `reported` (a paper's figure), `reproduced` (authors' weights, measured here), `trained` (both here).
        metrics: Means over the images: `psnr_y` in dB, `ssim_y` in 0..1.
        metric_kinds: Their units and directions, so that leaderboards need no plugins; empty if not recorded.
        params_unique: Number of parameters, each tensor counted once.
        params_deployed: The same for the network deployed for one scale.
        params_stored: Number of values in its checkpoint.
        cost: Multiply-accumulates etc.; None in records from before they were counted.
        checks: Conformance check -> `passed`, `failed: why` or `skipped: why`.
        plugins: Distributions that provide the model -> version; `code_digest` is the hash of their code.
        numerics: Switches that affect the computation, such as TF32, and inference options other than the defaults.
        tile_error: Difference caused by tiles, measured on a part of one image; None without tiles.
        versions: Of srbench, torch, numpy and python; recorded, not part of the key.
        created: ISO 8601, UTC.
        redistributable: Whether crops of the images may be shown, under the terms in `licence`.
        adopted: How a result of an earlier version of the code was checked before it was kept; None for results of the
            current code.
        crops: Paths in the cell's directory, two per image: `images/<image>.sr.png` and `images/<image>.hr.png`.
        checkout: Commit of the sr-bench that measured it; None for installed packages and before schema version 3.
        weights: Origin of published weights; None for other weights and before schema version 3.
        plan: The suite that it was measured for; None before schema version 3.
        subset: The measured part of the data set; None for the whole set.
        dataset_source: Hash of the path of a folder or list, which distinguishes two with the same name; empty for a
            registered data set and before schema version 3.
        primary_metric: The metric that ranks under the protocol; empty if it was not measured and before schema
            version 3.
        folded: Whether layers of the measured network were folded; None before schema version 4.
    """

    schema_version: Literal[1, 2, 3, 4] = 4
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
    folded: bool | None = None

    @property
    def place(self) -> tuple[str, int, int | None, str, str]:
        """Return the names that identify the cell in a suite: model, scale, seed, data set, protocol."""
        seeds = self.training.seeds if self.training is not None else []
        seed = seeds[0] if self.seed is None and len(seeds) == 1 else self.seed
        return (self.model, self.scale, seed, self.dataset, self.protocol)

    @property
    def identity(self) -> tuple[str, int, int | None, str, str, str]:
        """Return `place` and the hash of the images, because two data sets may have the same name."""
        return (*self.place, self.dataset_hash)

    @property
    def directory_name(self) -> str:
        """Return the name of the cell's directory: a readable part, then the beginning of the key."""
        slug = slugify(f"{self.model}-x{self.scale}-{self.dataset}-{self.protocol}")
        return f"{slug}-{self.key[:KEY_LENGTH]}"


class RunInfo(Stored):
    """The description of a run.

    Attributes:
        suite: Name of the suite.
        budget: Name of the suite's budget; empty for the full suite.
        images: Which images of each data set are measured, as names and globs; empty for all.
        planned: All cells of the suite, measured or not; None before schema version 2.
        definition: The validated suite, with the budget applied.
        explanations: Digest of each protocol -> its description, for readers without the code.
        reported: Figures of papers that the suite shows beside the measured ones.
        srbench: Version of sr-bench that started the run.
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
        """Return the suite, budget and images of the run, for messages."""
        text = f"'{self.suite}'" + (f" with budget '{self.budget}'" if self.budget else "")
        return text + (f" on the images '{self.images}'" if self.images else "")
