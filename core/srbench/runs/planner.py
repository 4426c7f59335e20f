"""Turn a suite into a plan: check names, data, protocols and trainings, and compute keys, without writing anything."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from srbench.errors import ConfigError, DataError, SRBenchError, suggest
from srbench.evaluation.deployment import check_path
from srbench.protocols import Protocol, get_protocol
from srbench.registry import canonical_name, get_metric, tagged_source
from srbench.registry.names import ModelName
from srbench.registry.registries import BASELINES
from srbench.results.origins import PlanReference, Subset
from srbench.results.records import KEY_LENGTH, slugify
from srbench.runs import fingerprint
from srbench.runs.plan import CellPlan, DataPlan, ModelPlan, Plan, TrainingPlan, ValidationPlan
from srbench.runs.weight_origins import origin_of
from srbench.storage import canonical_json, sha256_bytes, sha256_file
from srbench.suite.definition import ModelEntry, Suite
from srbench.suite.validation_images import iterations_between
from srbench.training.recipe import Recipe

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset

__all__ = ["make_plan"]


def make_plan(
    suite: Suite,
    *,
    models_glob: str | None = None,
    datasets: Sequence[str] | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Plan:
    """Return the plan of a suite with the keys of all cells and trainings, without importing torch.

    Only the data cache is written to.

    Args:
        suite: The suite.
        models_glob: Only models whose name, as written or canonical, matches this pattern.
        datasets: Only these of the suite's data sets.
        note: Called before the images of a data set are hashed, which decodes those that were never seen before.

    Raises:
        SRBenchError: A model, method, argument, data set, protocol or metric is invalid, or data is missing; the
            message gives the line of the suite's file.
    """
    opened = _Opened(note)
    chosen = _chosen_models(suite, models_glob)
    data, protocols, models = [], [], []
    for index, source in _chosen_datasets(suite, datasets):
        with suite.locate_errors("datasets", index):
            data.append(opened.open(suite.resolve(source), suite.images))
    data = _told_apart(data)
    for index, text in enumerate(suite.protocols):
        with suite.locate_errors("protocol", index):
            protocols.append(get_protocol(text))
    with suite.locate_errors("inference", "path"):
        check_path(suite.inference.path)
    for index, text in enumerate(suite.metrics or ()):
        with suite.locate_errors("metrics", index):
            get_metric(text)
    for index, entry, name in chosen:
        with suite.locate_errors("models", index):
            models += _plan_model(suite, entry, name, data, protocols, opened, suite.where("models", index))
    plan = Plan(suite, tuple(models))
    _check_distinct(plan)
    return plan


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
    chosen: list[tuple[int, ModelEntry, ModelName]] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate(suite.models):
        with suite.locate_errors("models", index):
            name = _canonical(suite, entry.model)
            if str(name) in seen:
                earlier = suite.where("models", seen[str(name)])
                raise ConfigError(f"'{entry.model}' is the model '{name}', which {earlier} names already; keep one.")
        seen[str(name)] = index
        if pattern is None or any(fnmatch.fnmatchcase(text, pattern) for text in (entry.model, str(name))):
            chosen.append((index, entry, name))
    if not chosen:
        raise ConfigError(f"no model of suite '{suite.name}' matches '{pattern}'; its models: {', '.join(seen)}")
    return chosen


def _canonical(suite: Suite, text: str) -> ModelName:

    try:
        return canonical_name(text)
    except SRBenchError as error:
        needed = [what for key, what in suite.requires.items() if key in text]
        if needed and "pip install" not in str(error):
            raise type(error)(
                f"{error}; this suite needs: pip install {' '.join(repr(what) for what in needed)}"
            ) from error
        raise


class _Opened:
    """The data sets of a plan, each opened and hashed once.

    Args:
        note: Called before the images of a data set are hashed.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._plans: dict[tuple[str, str], DataPlan] = {}

    def open(self, source: str, pattern: str = "") -> DataPlan:
        """Return the plan of a data set, or of those of its images that match a pattern."""
        if (source, pattern) not in self._plans:
            from srbench.data.folders import FolderDataset
            from srbench.data.subsets import SubsetDataset, open_images

            dataset: Dataset = open_images(source, pattern)
            names = dataset.image_names()
            if not names:
                raise DataError(f"the data set '{source}' has no images")
            whole, subset = dataset, None
            if isinstance(dataset, SubsetDataset):
                whole = dataset.whole
                subset = Subset(**dataset.description())
            self._note(f"hashing images: {dataset.name} ({len(names)})")
            self._plans[source, pattern] = DataPlan(
                dataset.name,
                source,
                dataset.content_hash(),
                len(names),
                fingerprint.class_of(whole),
                pattern,
                subset,
                sha256_bytes(str(whole.path.resolve()).encode())[:16] if isinstance(whole, FolderDataset) else "",
            )
        return self._plans[source, pattern]


def _told_apart(data: list[DataPlan]) -> list[DataPlan]:
    """Return data sets with distinct labels: those with equal names get the beginning of their hash appended."""
    count = Counter(name for name, _ in {(item.name, item.content_hash) for item in data})
    return [
        replace(item, shown=f"{item.name} [{item.content_hash[:6]}]") if count[item.name] > 1 else item for item in data
    ]


def _check_distinct(plan: Plan) -> None:
    """Refuse a plan with two equal cells, of which one result would replace the other.

    Raises:
        ConfigError: Two cells are equal; the message names both.
    """
    seen: dict[str, CellPlan] = {}
    for cell in plan.cells:
        other = seen.setdefault(cell.directory, cell)
        if other is cell:
            continue
        if other.data.source != cell.data.source:
            raise ConfigError(
                f"'{other.data.source}' and '{cell.data.source}' hold the same images under one name, "
                f"'{cell.data.name}'; name the data set once"
            )
        raise ConfigError(
            f"{other.model} x{other.scale} on {other.data.name} under '{other.shown_protocol}' and under "
            f"'{cell.shown_protocol}' would be one result; give the protocols names that differ in letters or digits"
        )


def _plan_model(
    suite: Suite,
    entry: ModelEntry,
    name: ModelName,
    data: Sequence[DataPlan],
    protocols: Sequence[Protocol],
    opened: _Opened,
    place: str,
) -> list[ModelPlan]:
    """Return the plans of one model: a network per seed, and per scale unless there is one for all scales."""
    plugins = fingerprint.distributions(
        name, [metric for protocol in protocols for metric in suite.metrics_under(protocol)]
    )
    measured = suite.scales_of(entry)
    # The scales that each network is built for -> those that are measured.
    networks: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((scale,), (scale,)) for scale in measured]
    tagged = file = None
    trains = name.tag is None and entry.weights is None and name.backbone not in BASELINES
    if entry.weights is not None:
        file = suite.resolve_file(entry.weights)
        networks = [_network_of(file, suite, entry, measured)]
    elif name.tag is not None:
        tagged = tagged_source(name)
        for scale in measured:
            if scale not in tagged.scales:
                raise ConfigError(
                    f"the weights of '{name}' are for {_scales(tagged.scales)}, and the suite asks for x{scale}; "
                    "take another model or scale."
                )
        networks = [(tuple(tagged.serving(scale).scales), (scale,)) for scale in measured]
    elif trains and suite.trained_together(entry):
        networks = [(measured, measured)]

    def digest(scale: int) -> str | None:
        if file is not None:
            return sha256_file(file)
        return None if tagged is None else str(tagged.serving(scale).sha256)

    reference = PlanReference(
        suite=suite.name,
        budget=suite.chosen_budget,
        definition_sha256=sha256_bytes(canonical_json(suite.definition()).encode()),
    )
    seeds: tuple[int | None, ...] = suite.seeds if trains and suite.seeds is not None else (None,)
    models = []
    for scales, wanted in networks:
        for seed in seeds:
            training = _plan_training(suite, entry, name, scales, seed, opened) if trains else None
            model = ModelPlan(
                name,
                wanted,
                scales,
                "trained" if trains else "reproduced",
                training,
                digest(wanted[0]),
                plugins,
                place,
                weights=file,
                several_seeds=len(seeds) > 1,
                origin=None if tagged is None else origin_of(name, tagged.serving(wanted[0])),
                plan=reference,
                added=entry in suite.added_models,
            )
            cells = _plan_cells(model, data, protocols, suite)
            models.append(replace(model, cells=tuple(cells)))
    return models


def _network_of(
    file: Path, suite: Suite, entry: ModelEntry, measured: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the scales that a checkpoint's network is built for, and those that are measured."""
    from srbench.models.weight_files import saved_for

    about = saved_for(file)
    if about is None:
        if len(measured) > 1 and not suite.trained_together(entry):
            raise ConfigError(
                f"'{file}' does not say which scales its network serves, and {_scales(measured)} are measured; give "
                "the model's `scale`, or `multi_scale: true` if it serves them all"
            )
        return measured, measured
    served = tuple(scale for scale in measured if scale in about.scales)
    if not served or (entry.scales is not None and served != measured):
        raise ConfigError(
            f"the weights in '{file}' are for {_scales(about.scales)}, and the suite asks for {_scales(measured)}; "
            "take other weights or another suite"
        )
    return about.scales, served


def _plan_cells(
    model: ModelPlan,
    data: Sequence[DataPlan],
    protocols: Sequence[Protocol],
    suite: Suite,
) -> Iterator[CellPlan]:
    name, inference = str(model.name), suite.inference
    for scale in model.measured:
        for item in data:
            for protocol in protocols:
                metrics = suite.metrics_under(protocol)
                code = fingerprint.cell_code(
                    model.name, metrics=metrics, protocol=protocol, dataset=item.opened_as, path=inference.path
                )
                key = fingerprint.cell_key(
                    model=name,
                    scale=scale,
                    scales=model.scales,
                    weights=model.training.key if model.training is not None else model.weights_sha256,
                    dataset_hash=item.content_hash,
                    protocol_digest=protocol.digest,
                    metrics=metrics,
                    code=code,
                    inference=inference,
                )
                slug = slugify(f"{name}-x{scale}-{item.name}-{inference.label(protocol.name)}")
                directory = f"{slug}-{key[:KEY_LENGTH]}"
                digest = inference.digest(protocol.digest)
                yield CellPlan(key, name, scale, item, protocol, digest, metrics, directory, code, inference=inference)


def _plan_training(
    suite: Suite,
    entry: ModelEntry,
    name: ModelName,
    scales: tuple[int, ...],
    seed: int | None,
    opened: _Opened,
) -> TrainingPlan:

    spec = suite.training(entry)
    if spec is None:
        raise ConfigError(
            f"'{name}' has no weights, and the suite has no key 'train' that says how to train it; "
            "add one, or name weights by a tag."
        )
    data = opened.open(suite.resolve(spec.data))
    recipe = Recipe.model_validate(spec.recipe if seed is None else {**spec.recipe, "seed": seed})
    recipe.check_scales(scales)
    validation = _plan_validation(suite, opened)
    if suite.validation is not None:
        every = iterations_between(suite.validation, recipe.iterations, spec.recipe)
        recipe = recipe.model_copy(update={"validate_every": every})
    code = fingerprint.training_code(name)
    key = fingerprint.training_key(
        model=str(name),
        scales=scales,
        recipe_digest=recipe.digest,
        data_hash=data.content_hash,
        code=code,
    )
    directory = f"{slugify(f'{name}-x' + '-'.join(map(str, scales)))}-{key[:KEY_LENGTH]}"
    return TrainingPlan(key, recipe, data, directory, code, validation)


def _plan_validation(suite: Suite, opened: _Opened) -> ValidationPlan | None:
    spec = suite.validation
    if spec is None:
        return None
    with suite.locate_errors("validate"):
        return ValidationPlan(opened.open(suite.resolve(spec.data), spec.images), get_protocol(suite.protocols[0]))


def _scales(scales: Sequence[int]) -> str:
    return ", ".join(f"x{scale}" for scale in scales)
