"""What a run will do: cells, trainings and their keys, all checked before anything is written."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench import fingerprint
from srbench.errors import ConfigError, DataError, SRBenchError, suggest
from srbench.naming import ModelName
from srbench.results import KEY_LENGTH, RunStore, Tier, slugify
from srbench.storage import sha256_file
from srbench.suite import ModelEntry, Suite

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset

__all__ = ["CellPlan", "ModelPlan", "Plan", "TrainingPlan", "make_plan", "pending"]


@dataclass(frozen=True)
class DataPlan:
    """A data set of the suite.

    Attributes:
        name: Its registered name, or its folder's.
        source: What opens it: the name, or the folder.
        content_hash: Hash of the decoded pixels.
        images: How many there are.
    """

    name: str
    source: str
    content_hash: str
    images: int


@dataclass(frozen=True)
class CellPlan:
    """One model on one data set at one scale under one protocol.

    Attributes:
        directory: The cell's directory in the store.
        failed: Whether an earlier run tried and failed.
    """

    key: str
    model: str
    scale: int
    data: DataPlan
    protocol: str
    protocol_digest: str
    metrics: tuple[str, ...]
    directory: str
    failed: bool = False


@dataclass(frozen=True)
class TrainingPlan:
    """The training that a model without weights needs.

    Attributes:
        key: Hash of everything that decides the weights.
        recipe: The recipe's settings.
        iterations: Optimiser steps.
        data: What it is trained on.
        directory: The training's directory in the run's `models/`.
    """

    key: str
    recipe: dict[str, Any]
    iterations: int
    data: DataPlan
    directory: str

    def finished(self, store: RunStore) -> bool:
        """Say whether the weights are there, and are those that the training left."""
        folder = store.models_path / self.directory
        try:
            result = json.loads((folder / "training.json").read_text(encoding="utf-8"))["result"]
            return bool(sha256_file(folder / result["weights"]) == result["weights_sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            return False


@dataclass(frozen=True)
class ModelPlan:
    """One model at one scale with all its cells: the unit of work that an executor gets.

    Attributes:
        name: The model, canonical.
        scale: The scale that is measured.
        scales: Those that the network is built for.
        tier: How its weights came to be.
        training: None for a model with weights, or with none to train.
        weights_sha256: Of the published weights; None for others.
        code_digest: Hash of the code behind the numbers.
        plugins: Distributions that the model and the metrics come from -> version.
        place: Where the suite's file names the model, for messages.
    """

    name: ModelName
    scale: int
    scales: tuple[int, ...]
    tier: Tier
    training: TrainingPlan | None
    weights_sha256: str | None
    code_digest: str
    plugins: dict[str, str]
    place: str
    cells: tuple[CellPlan, ...] = field(default=())

    @property
    def label(self) -> str:
        """Return the model and its scale, as progress shows them."""
        return f"{self.name} x{self.scale}"


@dataclass(frozen=True)
class Plan:
    """All models and cells of a run, in the suite's order."""

    suite: Suite
    models: tuple[ModelPlan, ...]

    @property
    def cells(self) -> Iterator[CellPlan]:
        """Yield every cell."""
        for model in self.models:
            yield from model.cells


def make_plan(suite: Suite, *, models_glob: str | None = None, datasets: Sequence[str] | None = None) -> Plan:
    """Name every cell and training of a suite with its key. Imports no torch, writes nothing but the data cache.

    Args:
        suite: The suite.
        models_glob: Only models whose name, as written or canonical, matches.
        datasets: Only these of the suite's data sets.

    Raises:
        SRBenchError: A model, method, argument, data set, protocol or metric is not right, or the data cannot be had; the message
            names the line of the suite's file.
    """
    opened: dict[str, DataPlan] = {}
    data = [
        _at(suite, ("datasets", index), lambda source=source: _open(suite.resolve(source), opened))
        for index, source in _chosen_datasets(suite, datasets)
    ]
    protocols = [
        _at(suite, ("protocol", index), lambda name=name: _protocol_digest(name))
        for index, name in enumerate(suite.protocols)
    ]
    for index, metric in enumerate(suite.metrics):
        _at(suite, ("metrics", index), lambda metric=metric: _check_metric(metric))
    models: list[ModelPlan] = []
    for index, entry, name in _chosen_models(suite, models_glob):
        for scale in suite.scales:
            models.append(
                _at(
                    suite,
                    ("models", index),
                    lambda entry=entry, name=name, scale=scale, index=index: _plan_model(
                        suite, entry, name, scale, data, protocols, opened, suite.where("models", index)
                    ),
                )
            )
    return Plan(suite, tuple(models))


def pending(plan: Plan, store: RunStore) -> list[ModelPlan]:
    """Return the models with only those cells that are not finished; failed ones are to be tried again."""
    left = []
    for model in plan.models:
        cells = []
        for cell in model.cells:
            found = store.find(cell.directory, cell.key)
            if found is None or found.record.status != "ok":
                cells.append(replace(cell, failed=found is not None))
        if cells:
            left.append(replace(model, cells=tuple(cells)))
    return left


def _at(suite: Suite, place: tuple[str | int, ...], step: Any) -> Any:
    """Do a step; say where in the suite's file its error comes from."""
    try:
        return step()
    except SRBenchError as error:
        raise type(error)(f"{suite.where(*place)}: {error}") from error


def _chosen_datasets(suite: Suite, wanted: Sequence[str] | None) -> list[tuple[int, str]]:
    numbered = list(enumerate(suite.datasets))
    if wanted is None:
        return numbered
    for name in wanted:
        if name not in suite.datasets:
            raise ConfigError(
                f"suite '{suite.name}' has no data set '{name}'" + suggest(name, suite.datasets, noun="its data sets")
            )
    return [(index, name) for index, name in numbered if name in wanted]


def _chosen_models(suite: Suite, pattern: str | None) -> list[tuple[int, ModelEntry, ModelName]]:
    from srbench.registry import canonical_name

    chosen: list[tuple[int, ModelEntry, ModelName]] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate(suite.models):
        name = _at(suite, ("models", index), lambda entry=entry: _canonical(suite, entry.model, canonical_name))
        if str(name) in seen:
            raise ConfigError(
                f"{suite.where('models', index)}: '{entry.model}' is the model '{name}', which {suite.where('models', seen[str(name)])} "
                "names already; keep one."
            )
        seen[str(name)] = index
        if pattern is None or any(fnmatch.fnmatchcase(text, pattern) for text in (entry.model, str(name))):
            chosen.append((index, entry, name))
    if not chosen:
        raise ConfigError(f"no model of suite '{suite.name}' matches '{pattern}'; its models: {', '.join(seen)}")
    return chosen


def _canonical(suite: Suite, text: str, canonical_name: Any) -> ModelName:
    try:
        name: ModelName = canonical_name(text)
    except SRBenchError as error:
        needed = [what for key, what in suite.requires.items() if key in text]
        if needed and "pip install" not in str(error):
            raise type(error)(
                f"{error}; this suite needs: pip install {' '.join(repr(what) for what in needed)}"
            ) from error
        raise
    return name


def _open(source: str, opened: dict[str, DataPlan]) -> DataPlan:
    if source not in opened:
        from srbench.data.datasets import open_dataset

        dataset: Dataset = open_dataset(source)
        names = dataset.image_names()
        if not names:
            raise DataError(f"the data set '{source}' has no images")
        opened[source] = DataPlan(dataset.name, source, dataset.content_hash(), len(names))
    return opened[source]


def _protocol_digest(name: str) -> tuple[str, str]:
    from srbench.protocols import get_protocol

    return name, get_protocol(name).digest


def _check_metric(name: str) -> None:
    from srbench.registry import get_metric

    get_metric(name)


def _plan_model(
    suite: Suite,
    entry: ModelEntry,
    name: ModelName,
    scale: int,
    data: Sequence[DataPlan],
    protocols: Sequence[tuple[str, str]],
    opened: dict[str, DataPlan],
    place: str,
) -> ModelPlan:
    from srbench.registry import BASELINES, tagged_source

    plugins = fingerprint.distributions(name, suite.metrics)
    code = fingerprint.code_digest(plugins)
    training: TrainingPlan | None = None
    weights: str | None = None
    scales: tuple[int, ...] = (scale,)
    tier: Tier = "reproduced"
    if name.tag is not None:
        source = tagged_source(name)
        weights, scales = source.sha256, tuple(source.scales)
        if scale not in scales:
            raise ConfigError(
                f"the weights of '{name}' are for {_scales(scales)}, and the suite asks for x{scale}; take another model or scale."
            )
    elif name.backbone not in BASELINES:
        training = _plan_training(suite, entry, name, scale, code, opened)
        tier = "trained"
    cells = []
    for item in data:
        for protocol, digest in protocols:
            key = fingerprint.cell_key(
                model=str(name),
                scale=scale,
                scales=scales,
                weights=training.key if training is not None else weights,
                dataset_hash=item.content_hash,
                protocol_digest=digest,
                metrics=suite.metrics,
                code=code,
            )
            slug = slugify(f"{name}-x{scale}-{item.name}-{protocol}")
            cells.append(
                CellPlan(key, str(name), scale, item, protocol, digest, suite.metrics, f"{slug}-{key[:KEY_LENGTH]}")
            )
    return ModelPlan(name, scale, scales, tier, training, weights, code, plugins, place, tuple(cells))


def _plan_training(
    suite: Suite, entry: ModelEntry, name: ModelName, scale: int, code: str, opened: dict[str, DataPlan]
) -> TrainingPlan:
    from srbench.engine.recipe import Recipe

    spec = suite.training(entry)
    if spec is None:
        raise ConfigError(
            f"'{name}' has no weights, and the suite has no key 'train' that says how to train it; add one, or name weights by a tag."
        )
    data = _open(suite.resolve(spec.data), opened)
    recipe = Recipe.model_validate(spec.recipe)
    recipe.check_scales((scale,))
    key = fingerprint.training_key(
        model=str(name), scales=(scale,), recipe_digest=recipe.digest, data_hash=data.content_hash, code=code
    )
    directory = f"{slugify(f'{name}-x{scale}')}-{key[:KEY_LENGTH]}"
    return TrainingPlan(key, recipe.model_dump(mode="json"), recipe.iterations, data, directory)


def _scales(scales: Sequence[int]) -> str:
    return ", ".join(f"x{scale}" for scale in scales)


def run_directory(suite: Suite, out: Path | None) -> Path:
    """Return where a run of a suite goes: the given directory, or `runs/<suite>`."""
    return out if out is not None else Path("runs") / suite.name
