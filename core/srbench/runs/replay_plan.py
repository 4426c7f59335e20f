"""Plan the replay of a row from its record: network, weights, images, protocol and threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from srbench.errors import SRBenchError, WeightsError
from srbench.evaluation.deployment import DeploymentOptions
from srbench.evaluation.options import DTYPES
from srbench.protocols import get_protocol
from srbench.registry import canonical_name, get_metric, tagged_source
from srbench.registry.names import ModelName
from srbench.registry.registries import BASELINES
from srbench.results.origins import Subset
from srbench.results.records import Record, RunInfo
from srbench.runs import fingerprint
from srbench.runs.agreement import Disagreement
from srbench.runs.plan import CellPlan, DataPlan, ModelPlan, TrainingPlan
from srbench.storage import sha256_file
from srbench.training.recipe import Recipe
from srbench.untrusted import CHECKPOINT_LIMIT, check_regular

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset

__all__ = ["Sources", "network_scales", "options_of", "replay_plan", "wrong_subset"]

_WEIGHTS = (".safetensors", ".pth", ".pt")


@dataclass
class Sources:
    """The sources of the data sets and weights of a run's rows.

    Attributes:
        info: The description of the run; its definition has data sets that are folders or lists.
        models_path: Folder of trained weights: the run's `models/`.
        weights: A weights file given by the user.
    """

    info: RunInfo | None
    models_path: Path
    weights: Path | None = None
    _opened: dict[str, Dataset] = field(default_factory=dict)
    _hashes: dict[str, Path] | None = None

    def dataset(self, name: str, digest: str | None = None, subset: Subset | None = None) -> tuple[str, Dataset]:
        """Return a data set or the measured part of one, and the name or path that opens the whole.

        Args:
            name: Its name in records.
            digest: Hash of its pixels, to choose between several data sets of the suite with that name.
            subset: The measured part according to the record; None for the whole.

        Raises:
            SRBenchError: There is no data set of this name, neither here nor in the folders of SRBENCH_DATA, or it has
                no such images.
        """
        from srbench.data.datasets import open_dataset
        from srbench.data.subsets import choose_images

        if subset is not None:
            name = subset.of

        problem: SRBenchError | None = None
        alike: list[tuple[str, Dataset]] = []
        for source in dict.fromkeys((name, *self._named())):
            if source != name and Path(source).name.partition(".")[0] != name and f"{Path(source).name}-folder" != name:
                continue
            try:
                found = self._opened.get(source) or open_dataset(source)
            except SRBenchError as error:
                problem = problem or error
                continue
            self._opened[source] = found
            if found.name != name:
                continue
            try:
                part = found if subset is None else choose_images(found, subset.pattern)
            except SRBenchError as error:
                problem = problem or error
                continue
            alike.append((source, part))
        if len(alike) > 1:
            alike.sort(key=lambda one: one[1].content_hash() != digest)
        if alike:
            return alike[0]
        raise problem or SRBenchError(f"no data set of the run's suite is called '{name}'")

    def weights_named(self, digest: str | None) -> Path | None:
        """Return the weights file with this hash, either the given one or one in `models/`, or None."""
        if self._hashes is None:
            self._hashes = {}
            for path in self._files():
                check_regular(path, CHECKPOINT_LIMIT, "file of weights")
                self._hashes.setdefault(sha256_file(path), path)
        return None if digest is None else self._hashes.get(digest)

    def _files(self) -> Iterator[Path]:
        if self.weights is not None:
            yield self.weights
        for path in sorted(self.models_path.rglob("*")):
            if path.suffix in _WEIGHTS and path.name != "checkpoint.pt":
                yield path

    def _named(self) -> Iterator[str]:
        definition: dict[str, Any] = {} if self.info is None else self.info.definition
        yield from (name for name in definition.get("datasets", []) if isinstance(name, str))
        for owner in (definition, *definition.get("models", [])):
            train = owner.get("train") if isinstance(owner, dict) else None
            if isinstance(train, dict) and isinstance(train.get("data"), str):
                yield train["data"]


def replay_plan(record: Record, sources: Sources, place: str, *, train: bool) -> ModelPlan:
    """Return the plan for a row: one network with one cell.

    Args:
        record: The row.
        sources: The sources of data and weights.
        place: Identifier of the cell in results: its key.
        train: Retrain a trained model instead of using its stored weights.

    Raises:
        Disagreement: The record does not describe a network that can be measured, or its weights are missing.
        SRBenchError: A model, data set, protocol or metric in the record is not available.
    """
    name = canonical_name(record.model)
    protocol = get_protocol(record.protocol.partition("+")[0])
    inference = options_of(record)
    metrics = tuple(record.metrics)
    for metric in metrics:
        get_metric(metric)
    data = _data(*sources.dataset(record.dataset, record.dataset_hash, record.subset), record.subset)
    weights, digest, training = _weights(record, name, sources, train)
    code = fingerprint.cell_code(name, metrics=metrics, protocol=protocol, dataset=data.opened_as, path=inference.path)
    cell = CellPlan(
        place,
        str(name),
        record.scale,
        data,
        protocol,
        inference.digest(protocol.digest),
        metrics,
        place,
        code,
        inference=inference,
    )
    return ModelPlan(
        name,
        (record.scale,),
        network_scales(record, name),
        record.tier,
        training,
        digest,
        fingerprint.distributions(name, metrics),
        f"the row of '{record.model}'",
        (cell,),
        weights,
    )


def network_scales(record: Record, name: ModelName) -> tuple[int, ...]:
    """Return the scales that a row's network is built for: those of its published weights, or those in the record."""
    if name.tag is not None:
        return tuple(tagged_source(name).serving(record.scale).scales)
    return tuple(record.scales) or (record.scale,)


def options_of(record: Record) -> DeploymentOptions:
    """Return the inference options of a record.

    Raises:
        Disagreement: The options are invalid.
    """
    values: dict[str, Any] = {
        key: value
        for key, value in record.numerics.items()
        if key in DeploymentOptions.model_fields and (key, value) != ("tile_overlap", "receptive field")
    }
    values["dtype"] = {long: short for short, long in DTYPES.items()}.get(record.dtype, record.dtype)
    try:
        return DeploymentOptions.model_validate(values)
    except ValidationError:
        raise Disagreement(f"there are no inference options such as its {record.dtype}, {record.numerics}") from None


def _data(source: str, dataset: Dataset, subset: Subset | None = None) -> DataPlan:
    from srbench.data.subsets import SubsetDataset

    if subset is not None and (problem := wrong_subset(subset, dataset)):
        raise Disagreement(problem)
    return DataPlan(
        dataset.name,
        source,
        dataset.content_hash(),
        len(dataset.image_names()),
        fingerprint.class_of(dataset.whole if isinstance(dataset, SubsetDataset) else dataset),
        "" if subset is None else subset.pattern,
        subset,
    )


def wrong_subset(subset: Subset, dataset: Dataset) -> str:
    """Return a sentence on how the part of a data set that a record names differs from the chosen images; or nothing.

    Args:
        subset: What the record says.
        dataset: What its pattern chooses now.
    """
    from srbench.data.subsets import SubsetDataset

    if not isinstance(dataset, SubsetDataset):
        return f"its images '{subset.pattern}' are all of '{subset.of}' now"
    now = Subset(**dataset.description())
    for name in Subset.model_fields:
        stored, found = getattr(subset, name), getattr(now, name)
        if stored != found:
            return (
                f"the '{name}' of its part of '{subset.of}' is {str(stored)[:80]}, and of the images {str(found)[:80]}"
            )
    return ""


def _weights(
    record: Record, name: ModelName, sources: Sources, train: bool
) -> tuple[Path | None, str | None, TrainingPlan | None]:
    """Return the weights file, the expected hash, and the training to be repeated."""
    if name.tag is not None:
        return None, str(tagged_source(name).serving(record.scale).sha256), None
    if name.backbone in BASELINES:
        return None, None, None
    if record.training is not None and train:
        return None, None, _training(record, name, sources)
    found = sources.weights_named(record.weights_sha256)
    if found is not None:
        return found, record.weights_sha256, None
    where = f"its weights are not in '{sources.models_path}'"
    raise WeightsError(
        f"{where}; put them there, or retrain the model with --train"
        if record.training is not None
        else f"{where}, and no tag names them; give the file with --weights"
    )


def _training(record: Record, name: ModelName, sources: Sources) -> TrainingPlan:
    stored = record.training
    assert stored is not None
    try:
        recipe = Recipe.model_validate(stored.recipe)
    except ValidationError:
        raise Disagreement("the recipe of its training is invalid") from None
    data = _data(*sources.dataset(stored.data, stored.data_hash))
    code = fingerprint.training_code(name)
    key = fingerprint.training_key(
        model=str(name), scales=record.scales, recipe_digest=recipe.digest, data_hash=data.content_hash, code=code
    )
    return TrainingPlan(key, recipe, data, "training", code)
