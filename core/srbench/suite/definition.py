"""Suites: YAML files that define models, data sets, protocols and training recipes.

name: my_suite
title: Sharing methods on a tiny EDSR
scale: 2
models:
  - bicubic
  - edsr_tiny+ps(ratio=1/4)
  - {backbone: edsr_tiny, method: recursive, train: {iterations: 4000}}
  - {model: drrn_b1u9, multi_scale: true}
seeds: [0, 1]
datasets: [embedded-test]
protocol: matlab-y
metrics: [psnr_y, ssim_y]
inference: {self_ensemble: true}
train:
  data: embedded-train
  iterations: 2000
validate: {data: Set5, every: 200}
budgets:
  small: {seeds: 0, train: {iterations: 500}, budget: a minute}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, StrictBool, StrictStr, ValidationError

from srbench.errors import ConfigError, SRBenchError, UnknownNameError, suggest
from srbench.evaluation.deployment import DEFAULT_DEPLOYMENT, DeploymentOptions, deployment_from
from srbench.protocols import Protocol
from srbench.results.records import slugify
from srbench.results.reported import ReportedFigure, read_reported
from srbench.suite import yaml_lines
from srbench.suite.parts import (
    BudgetSpec,
    ModelEntry,
    Models,
    Name,
    Names,
    Reported,
    Scales,
    Schema,
    Seeds,
    TrainSpec,
    Validate,
    keys_of_part,
    merged_settings,
    without_paths,
)
from srbench.suite.validate import check_duplicates, check_models, check_recipes, check_seeds
from srbench.untrusted import user_path
from srbench.validation import problems_in

__all__ = ["ModelEntry", "Suite", "TrainSpec", "load_suite"]


BudgetName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=40)]


# A model name has equals signs only within its parentheses: `edsr_tiny+ps(ratio=1/4)=weights.safetensors`.
_ADDITION = re.compile(r"(?P<model>[^=()]+(?:\([^()]*\)[^=()]*)*)(?:=(?P<file>.+))?")


class Suite(Schema):
    """The content of a suite file.

    Attributes:
        name: Name of the run directory: letters, digits, dots, dashes and underscores.
        title: Title of pages.
        description: Purpose of the suite.
        scales: The upscaling factors; in YAML `scale: 2` or `scale: [2, 3, 4]`.
        models: The models to measure.
        datasets: Names of data sets, or folders of HR images.
        protocols: Names of protocols; in YAML `protocol: NAME` or a list.
        metrics: Names of metrics; if not given, PSNR and SSIM of each protocol's color.
        inference: Inference options; whole images in float32 if not given.
        train: Training of models without weights; required if there are any.
        validation: Images on which trainings are validated; in YAML `validate: NAME` or a mapping.
        seeds: Seeds with which every model without weights is trained; the recipe's own seed if not given.
        multi_scale: Whether a model without weights is one network trained for all scales together.
        reported: Papers' figures to show beside measured ones: names of tables, or mappings with `table` and `models`.
        budgets: Name -> a cheaper version of the suite.
        requires: Method or backbone -> package to install for it.
        budget: Description of the suite's cost.
    """

    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    title: StrictStr = ""
    description: StrictStr = ""
    scales: Annotated[Scales, Field(alias="scale")]
    models: Models
    datasets: Annotated[tuple[Name, ...], Field(min_length=1)]
    protocols: Annotated[Names, Field(alias="protocol")] = ("matlab-y",)
    metrics: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    inference: DeploymentOptions = DEFAULT_DEPLOYMENT
    train: TrainSpec | None = None
    validation: Annotated[Validate | None, Field(alias="validate")] = None
    seeds: Seeds | None = None
    multi_scale: StrictBool = False
    reported: tuple[Reported, ...] = ()
    budgets: dict[BudgetName, BudgetSpec] = Field({})
    requires: dict[StrictStr, StrictStr] = Field({})
    budget: StrictStr = ""

    _document: yaml_lines.Document | None = PrivateAttr(default=None)
    _base: Path | None = PrivateAttr(default=None)
    _chosen_budget: str = PrivateAttr(default="")
    # Patterns of the images of each data set that are measured; empty for all.
    _images: str = PrivateAttr(default="")
    # Number of models added at the end of the file's models.
    _added: int = PrivateAttr(default=0)
    # Keys whose values come from the chosen budget.
    _moved: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def chosen_budget(self) -> str:
        """The name of the applied budget; empty for the full suite."""
        return self._chosen_budget

    @property
    def images(self) -> str:
        """The images of each data set that are measured, as names and globs; empty for all."""
        return self._images

    @property
    def label(self) -> str:
        """The suite's name, with the chosen budget and images."""
        label = f"{self.name}-{self._chosen_budget}" if self._chosen_budget else self.name
        return f"{label}-images-{slugify(self._images, length=40)}" if self._images else label

    def metrics_under(self, protocol: Protocol) -> tuple[str, ...]:
        """Return the metrics computed under a protocol: those of the suite, or the protocol's defaults."""
        return self.metrics or protocol.metrics

    def place(self, *place: str | int) -> tuple[str | int, ...]:
        """Return the place of a key or item in the file, which is in the chosen budget if that sets it."""
        return ("budgets", self._chosen_budget, *place) if place and place[0] in self._moved else place

    def where(self, *place: str | int) -> str:
        """Return `FILE, line N` of a key or item, for messages; the suite's name if it came from no file."""
        if len(place) > 1 and place[0] == "models" and int(place[1]) >= len(self.models) - self._added:
            return f"the added model '{self.models[int(place[1])].model}'"
        place = self.place(*place)
        return self._document.where(*place) if self._document is not None else f"suite '{self.name}'"

    @contextmanager
    def locate_errors(self, *place: str | int) -> Iterator[None]:
        """Prefix errors in the block with the line of the suite's file."""
        try:
            yield
        except SRBenchError as error:
            raise type(error)(f"{self.where(*place)}: {error}") from error

    def resolve(self, dataset: str) -> str:
        """Return a data set's name, or its folder or list relative to the suite's file where that exists."""
        if self._base is not None and not Path(dataset).is_absolute():
            path = self._base / dataset
            if path.is_dir() or (path.suffix == ".txt" and path.is_file()):
                return str(path)
        return dataset

    def resolve_file(self, file: str) -> Path:
        """Return a file named in the suite: relative to the suite's file where that exists, else to here."""
        beside = self._base / file if self._base is not None else Path(file)
        return beside if beside.is_file() else Path(file)

    def training(self, entry: ModelEntry) -> TrainSpec | None:
        """Return the training of one model: the suite's settings, overridden by its own.

        Raises:
            ConfigError: The settings do not name the training data.
        """
        if entry.train is None:
            return self.train
        try:
            return TrainSpec.model_validate(merged_settings(self.train, entry.train))
        except ValidationError as error:
            index = self.models.index(entry)
            raise ConfigError(
                f"{self.where('models', index, 'train')}: the training of '{entry.model}' needs 'data', "
                "a data set's name or a folder."
            ) from error

    def reported_figures(self) -> list[ReportedFigure]:
        """Return the papers' figures at the suite's scales.

        Raises:
            UnknownNameError: There is no such table; the message gives the line and the nearest name.
            ConfigError: A table is invalid, or no row matches.
        """
        found: list[ReportedFigure] = []
        for index, spec in enumerate(self.reported):
            with self.locate_errors("reported", index):
                is_file = self._base is not None and spec.table.endswith(".csv")
                figures = read_reported(self._base / spec.table if is_file and self._base else spec.table, spec.models)
                at_scale = [figure for figure in figures if figure.scale in self.scales]
                if not at_scale:
                    scales = ", ".join(f"x{scale}" for scale in sorted({figure.scale for figure in figures}))
                    raise ConfigError(
                        f"the reported figures '{spec.table}' are for {scales}, not for the suite's scales"
                    )
                found += at_scale
        return found

    def at_budget(self, name: str) -> Suite:
        """Return the suite with a budget applied.

        Raises:
            UnknownNameError: The suite has no such budget; the message suggests the nearest.
            ConfigError: The budget trains models, but neither it nor the suite gives training data.
        """
        if name not in self.budgets:
            if not self.budgets:
                raise UnknownNameError(f"suite '{self.name}' has no budgets; got '{name}'")
            raise UnknownNameError(
                f"suite '{self.name}' has no budget '{name}'" + suggest(name, self.budgets, noun="its budgets")
            )
        spec = self.budgets[name]
        changes: dict[str, Any] = {"budgets": {}}
        for key in ("description", "models", "datasets", "seeds", "validation", "budget"):
            if value := getattr(spec, key):
                changes[key] = value
        moved = {"validate" if key == "validation" else key for key in changes if key != "budgets"}
        if spec.train is not None:
            try:
                changes["train"] = TrainSpec.model_validate(merged_settings(self.train, spec.train))
            except ValidationError as error:
                raise ConfigError(
                    f"{self.where('budgets', name, 'train')}: the training of budget '{name}' needs 'data', "
                    "a data set's name or a folder."
                ) from error
            moved.add("train")
            if spec.models is None:
                changes["models"] = tuple(
                    entry.model_copy(update={"train": merged_settings(entry.train, spec.train)})
                    if entry.train
                    else entry
                    for entry in self.models
                )
        smaller = self.model_copy(update=changes)
        smaller._chosen_budget, smaller._moved = name, frozenset(moved)
        return smaller

    def trained_on(self, data: str) -> Suite:
        """Return the suite with other training images: the name of a data set, or a folder.

        Raises:
            ConfigError: Nothing is trained in this suite.
        """
        if self.train is None and not any(entry.train for entry in self.models):
            raise ConfigError(f"suite '{self.name}' trains no models, but training data '{data}' were given")
        models = tuple(
            entry.model_copy(update={"train": {**entry.train, "data": data}}) if entry.train else entry
            for entry in self.models
        )
        train = TrainSpec.model_validate(merged_settings(self.train, {"data": data}))
        return self.model_copy(update={"train": train, "models": models})

    def deployed_with(self, **changes: str | bool) -> Suite:
        """Return the suite with some inference options changed: `fold=True`, `path="sparse"`.

        Raises:
            ConfigError: A value is wrong.
            UnknownNameError: There is no such inference path; the message suggests the nearest.
        """
        return self.model_copy(update={"inference": deployment_from(**{**self.inference.model_dump(), **changes})})

    def with_models(self, additions: Iterable[str]) -> Suite:
        """Return the suite with more models: `MODEL`, or `MODEL=FILE` with a checkpoint.

        Raises:
            ConfigError: An addition is neither.
        """
        added = []
        for text in additions:
            found = _ADDITION.fullmatch(text.strip())
            if found is None:
                raise ConfigError(f"'{text}' cannot be added; give MODEL, or MODEL=FILE with a checkpoint")
            try:
                # Relative to the current folder, not to the suite's file.
                file = None if found["file"] is None else str(user_path(found["file"], "file of weights").absolute())
                added.append(ModelEntry(model=found["model"], weights=file))
            except ValidationError as error:
                raise ConfigError(f"'{text}' cannot be added: {problems_in(error)[0].reason}") from error
        larger = self.model_copy(update={"models": self.models + tuple(added)})
        larger._added = self._added + len(added)
        return larger

    @property
    def added_models(self) -> tuple[ModelEntry, ...]:
        """Return the models that `with_models` added to those of the file."""
        return self.models[len(self.models) - self._added :]

    def on_images(self, pattern: str) -> Suite:
        """Return the suite restricted to the images of each data set that match one of several names and globs.

        Raises:
            ConfigError: There is none.
        """
        parts = [part.strip() for part in pattern.split(",") if part.strip()]
        if not parts:
            raise ConfigError("give at least one image's name or glob, e.g. --images 'baby,b*'")
        smaller = self.model_copy()
        smaller._images = ",".join(parts)
        return smaller

    def scales_of(self, entry: ModelEntry) -> tuple[int, ...]:
        """Return the scales at which a model is measured.

        Raises:
            ConfigError: The model names a scale that the suite does not have.
        """
        for scale in entry.scales or ():
            if scale not in self.scales:
                listed = ", ".join(map(str, self.scales))
                raise ConfigError(f"scale {scale} of '{entry.model}' is not one of the suite's: {listed}")
        return entry.scales or self.scales

    def trained_together(self, entry: ModelEntry) -> bool:
        """Return whether one network is trained for all scales of a model."""
        return self.multi_scale if entry.multi_scale is None else entry.multi_scale

    def definition(self) -> dict[str, Any]:
        """Return what determines results, as in the suite's file, with only the last part of absolute paths."""
        left_out: Any = {"validation": True, "budgets": {"__all__": {"validation"}}}
        kept = self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=left_out)
        values: dict[str, Any] = without_paths(kept)
        return {**values, "images": self._images} if self._images else values


def load_suite(name_or_path: str | Path) -> Suite:
    """Load an installed suite by its name, sr-bench's own or a plugin's, or a YAML file by its path.

    Raises:
        UnknownNameError: No suite has this name; the message suggests the nearest.
        DuplicateNameError: Two distributions claim the name.
        PluginError: The suite's plugin cannot be used.
        ConfigError: The file is missing, is not YAML, or has an unknown key or an invalid value; the message gives the
            file, the line and the nearest key.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text or "\\" in text:
        path = Path(name_or_path)
        if path.is_dir():
            raise ConfigError(f"'{path}' is a folder; a suite is a YAML file.")
        if not path.exists():
            raise ConfigError(
                f"there is no suite file '{path}'; give a YAML file, or the name of a suite (srbench list suites)."
            )
        return _validate(yaml_lines.read(path), path.parent)
    from srbench.registry import suite_file

    file = suite_file(text)
    suite = _validate(yaml_lines.read(file), file.parent if isinstance(file, Path) else None)
    name = text.rpartition(":")[2]  # `DIST:NAME` if several distributions have a suite of that name
    if suite.name != name:
        raise ConfigError(
            f"{suite.where('name')}: this file is registered as suite '{name}' but its name is '{suite.name}'; "
            "the two must be the same."
        )
    return suite


def _validate(document: yaml_lines.Document, base: Path | None) -> Suite:
    suite = _parsed(document, base)
    for one in (suite, *(suite.at_budget(name) for name in suite.budgets)):
        check_recipes(one, document)
        check_seeds(one)
        check_duplicates(one)
        if one.chosen_budget:
            check_models(one)
        for index, entry in enumerate(one.models):
            with one.locate_errors("models", index):
                one.scales_of(entry)
    suite.reported_figures()
    return suite


def _parsed(document: yaml_lines.Document, base: Path | None) -> Suite:
    try:
        suite = Suite.model_validate(document.value)
    except ValidationError as error:
        top = [field.alias or name for name, field in Suite.model_fields.items()]
        raise yaml_lines.explain(error, document, lambda place: keys_of_part(place) or top) from error
    suite._document = document
    suite._base = base
    return suite
