"""The plan of a run: networks, their cells and their trainings, each with its key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from srbench.errors import StoreError
from srbench.evaluation.deployment import DEFAULT_DEPLOYMENT, DeploymentOptions
from srbench.protocols import Protocol
from srbench.registry.names import ModelName
from srbench.results.origins import Planned, PlannedData, PlanReference, Subset, WeightsOrigin
from srbench.results.records import Tier
from srbench.results.store import RunStore
from srbench.storage import sha256_file
from srbench.suite.definition import Suite
from srbench.training.recipe import Recipe
from srbench.untrusted import CHECKPOINT_LIMIT, check_regular, parse_json, read_text

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset

__all__ = ["CellPlan", "DataPlan", "ModelPlan", "Plan", "TrainingPlan", "ValidationPlan", "pending", "run_directory"]


@dataclass(frozen=True)
class DataPlan:
    """A data set of the suite.

    Attributes:
        name: Its registered name, or that of its folder.
        source: The name or folder to open it by.
        content_hash: Hash of the decoded pixels.
        images: Number of images.
        opened_as: `module:class` of the data set; for a subset, that of the whole data set.
        pattern: Which of its images are measured; empty for all.
        subset: Description of the subset for records; None for all images.
        path_hash: Hash of the path of a folder or list; empty for a registered data set.
    """

    name: str
    source: str
    content_hash: str
    images: int
    opened_as: str = ""
    pattern: str = ""
    subset: Subset | None = None
    path_hash: str = ""
    shown: str = ""

    @property
    def label(self) -> str:
        """The name, with the beginning of the hash if another data set of the plan has the same name."""
        return self.shown or self.name

    def open(self) -> Dataset:
        """Open the data set."""
        from srbench.data.subsets import open_images

        return open_images(self.source, self.pattern)


@dataclass(frozen=True)
class CellPlan:
    """One model on one data set at one scale under one protocol.

    Attributes:
        protocol_digest: Digest of the protocol and the inference options.
        directory: The cell's directory in the store.
        code: Digest of the code that measures it.
        failed: Whether it failed in an earlier run.
        inference: Inference options.
    """

    key: str
    model: str
    scale: int
    data: DataPlan
    protocol: Protocol
    protocol_digest: str
    metrics: tuple[str, ...]
    directory: str
    code: str
    failed: bool = False
    inference: DeploymentOptions = DEFAULT_DEPLOYMENT

    @property
    def shown_protocol(self) -> str:
        """The protocol's name with the inference options, under which figures are stored and shown."""
        return self.inference.label(self.protocol.name)


@dataclass(frozen=True)
class ValidationPlan:
    """The validation of trainings, which affects neither weights nor keys.

    Attributes:
        data: The validation images.
        protocol: The protocol that they are measured under.
    """

    data: DataPlan
    protocol: Protocol


@dataclass(frozen=True)
class TrainingPlan:
    """The training of a model without weights.

    Attributes:
        key: Hash of everything that determines the weights.
        recipe: The recipe.
        data: The training data.
        directory: The training's directory in the run's `models/`.
        code: Digest of the code that trains it.
        validation: Its validation; None for none.
    """

    key: str
    recipe: Recipe
    data: DataPlan
    directory: str
    code: str
    validation: ValidationPlan | None = None

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return self.recipe.seed

    @property
    def iterations(self) -> int:
        """The recipe's number of iterations."""
        return self.recipe.iterations

    def finished(self, store: RunStore) -> bool:
        """Return whether the training is finished and its weights file is unchanged."""
        folder = store.models_path / self.directory
        try:
            result = parse_json(read_text(folder / "training.json", error=StoreError))["result"]
            check_regular(folder / result["weights"], CHECKPOINT_LIMIT, "file of weights", StoreError)
            return bool(sha256_file(folder / result["weights"]) == result["weights_sha256"])
        except (OSError, StoreError, ValueError, KeyError, TypeError):
            return False


@dataclass(frozen=True)
class ModelPlan:
    """One network with all its cells: the unit of work of an executor.

    A model has one network per seed, and per scale unless one network is trained for all scales.

    Attributes:
        name: Canonical name of the model.
        measured: The scales that are measured.
        scales: The scales that the network is built for.
        tier: Origin of its weights.
        training: Its training; None for a model with weights or without parameters.
        weights_sha256: Hash of the published weights or of the file; None for others.
        weights: The weights file, if the suite gives one.
        plugins: Distributions of the model and the metrics -> version.
        place: Location of the model in the suite's file, for messages.
        several_seeds: Whether the plan has other trainings that differ only in the seed.
        origin: Origin of published weights.
        plan: The suite that it is measured for.
        added: Whether it was added to the models that the suite's file names.
    """

    name: ModelName
    measured: tuple[int, ...]
    scales: tuple[int, ...]
    tier: Tier
    training: TrainingPlan | None
    weights_sha256: str | None
    plugins: dict[str, str]
    place: str
    cells: tuple[CellPlan, ...] = field(default=())
    weights: Path | None = None
    several_seeds: bool = False
    origin: WeightsOrigin | None = None
    plan: PlanReference | None = None
    added: bool = False

    @property
    def data(self) -> list[DataPlan]:
        """The data sets that it is measured, trained and validated on."""
        used = [cell.data for cell in self.cells]
        if self.training is not None:
            used.append(self.training.data)
            if self.training.validation is not None:
                used.append(self.training.validation.data)
        return used

    @property
    def label(self) -> str:
        """The model, its scales, and its seed if there are several, for progress messages."""
        text = f"{self.name} x{'+'.join(map(str, self.measured))}"
        return f"{text} seed {self.training.seed}" if self.training is not None and self.several_seeds else text


@dataclass(frozen=True)
class Plan:
    """All networks and cells of a run, in the suite's order."""

    suite: Suite
    models: tuple[ModelPlan, ...]

    @property
    def cells(self) -> Iterator[CellPlan]:
        """Yield every cell."""
        for model in self.models:
            yield from model.cells

    @property
    def described(self) -> Planned:
        """Return the cells in the form of a run's description."""
        models: dict[str, list[int]] = {}
        for model in self.models:
            scales = models.setdefault(str(model.name), [])
            scales += [scale for scale in model.measured if scale not in scales]
        data = {(cell.data.name, cell.data.content_hash): None for cell in self.cells}
        return Planned(
            models=models,
            datasets=[PlannedData(name=name, sha256=digest) for name, digest in data],
            protocols=list(dict.fromkeys(cell.shown_protocol for cell in self.cells)),
            added=list(dict.fromkeys(str(model.name) for model in self.models if model.added)),
        )

    def described_after(self, earlier: Planned) -> Planned:
        """Return the same for a folder that holds an earlier run: models that were added there stay marked as added."""
        planned = self.described
        own = planned.models.keys() - {*planned.added}
        added = dict.fromkeys([*earlier.added, *planned.added])
        return planned.model_copy(update={"added": [model for model in added if model not in own]})

    @property
    def data_hashes(self) -> frozenset[str]:
        """The hashes of the measured data sets."""
        return frozenset(cell.data.content_hash for cell in self.cells)


def pending(plan: Plan, store: RunStore) -> list[ModelPlan]:
    """Return the models with their unfinished cells, including failed ones, which are tried again."""
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


def run_directory(suite: Suite, out: Path | None) -> Path:
    """Return the directory of a run: the given one, or `runs/<suite>`, with `-<budget>` if there is one."""
    return out if out is not None else Path("runs") / suite.label
