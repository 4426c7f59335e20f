"""Suites: YAML files that say which models are measured on what, under which protocol, and trained how.

name: my_suite
title: Sharing methods on a tiny EDSR
scale: 2
models:
  - bicubic
  - edsr_tiny+ps(ratio=1/4)
  - {backbone: edsr_tiny, method: recursive, train: {iterations: 4000}}
datasets: [embedded-test]
protocol: matlab-y
metrics: [psnr_y, ssim_y]
train:
  data: embedded-train
  iterations: 2000
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, StrictInt, StrictStr, ValidationError

from srbench import naming, yaml_lines
from srbench.errors import ConfigError, SRBenchError, suggest
from srbench.reported import ReportedFigure, read_reported

__all__ = ["ModelEntry", "Suite", "TrainSpec", "load_suite"]

Name = Annotated[StrictStr, Field(min_length=1)]
Scale = Annotated[StrictInt, Field(ge=1, le=16)]


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class TrainSpec(BaseModel):
    """Say how models without weights are trained: `data`, and the settings of a recipe beside it.

    Attributes:
        data: A data set's name or a folder of HR images.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    data: Name

    @property
    def recipe(self) -> dict[str, Any]:
        """Return the settings that the training engine takes."""
        return dict(self.__pydantic_extra__ or {})


class ModelEntry(_Schema):
    """Name one model of a suite and, where it differs from the suite's, its training.

    Attributes:
        model: The name: `BACKBONE[+METHOD[(key=value,...)]][.TAG]`.
        train: Settings that replace those of the suite's `train` for this model.
    """

    model: Name
    train: dict[StrictStr, Any] | None = None


_MODEL_KEYS = ("model", "backbone", "method", "args", "tag", "train")


def _model_entry(value: object) -> object:
    """Read a model's two forms: a name, or a mapping with the parts of a name; each may carry `train`."""
    if isinstance(value, str):
        value = {"model": value}
    if not isinstance(value, dict):
        raise ValueError(f"a model is a name such as edsr_tiny+ps(ratio=1/4), or a mapping; got {value!r}")
    for key in value:
        if key not in _MODEL_KEYS:
            raise ValueError(f"unknown key '{key}'" + suggest(str(key), _MODEL_KEYS, noun="keys"))
    parts = {key: item for key, item in value.items() if key in {"backbone", "method", "args", "tag"}}
    try:
        if parts and "model" in value:
            raise ValueError(
                "give a model either as 'model' or in parts ('backbone', 'method', 'args', 'tag'), not both"
            )
        if parts:
            rest = {key: item for key, item in value.items() if key not in parts}
            return {"model": str(naming.ModelName.from_mapping(parts)), **rest}
        if isinstance(value.get("model"), str):
            naming.parse(value["model"])
    except SRBenchError as error:
        raise ValueError(str(error)) from error
    return value


class ReportedSpec(_Schema):
    """Name figures of a paper that are shown beside the measured ones, never ranked with them.

    Attributes:
        table: A packaged table's name, or a CSV file relative to the suite's.
        models: Only rows whose model or name in the paper matches this glob.
    """

    table: Name
    models: Name = "*"


def _reported_spec(value: object) -> object:
    return {"table": value} if isinstance(value, str) else value


class Suite(_Schema):
    """Hold what a suite's file says.

    Attributes:
        name: Names the run directory; letters, digits, dot, dash and underscore.
        title: One line for a page's head.
        description: What the suite is for, in words.
        scales: The up-sampling factors; in YAML `scale: 2` or `scale: [2, 3, 4]`.
        models: What is measured.
        datasets: Names of data sets, or folders of HR images.
        protocols: Names of protocols; in YAML `protocol: NAME` or a list.
        metrics: Names of metrics.
        train: How models without weights are trained; needed if there are any.
        reported: Papers' figures to show beside what is measured: tables' names, or mappings with `table` and `models`.
        requires: Method or backbone -> what to install to have it.
        budget: What the suite costs, in words.
    """

    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    title: StrictStr = ""
    description: StrictStr = ""
    scales: Annotated[tuple[Scale, ...], BeforeValidator(_listed), Field(alias="scale", min_length=1)]
    models: Annotated[tuple[Annotated[ModelEntry, BeforeValidator(_model_entry)], ...], Field(min_length=1)]
    datasets: Annotated[tuple[Name, ...], Field(min_length=1)]
    protocols: Annotated[tuple[Name, ...], BeforeValidator(_listed), Field(alias="protocol", min_length=1)] = (
        "matlab-y",
    )
    metrics: Annotated[tuple[Name, ...], Field(min_length=1)] = ("psnr_y", "ssim_y")
    train: TrainSpec | None = None
    reported: tuple[Annotated[ReportedSpec, BeforeValidator(_reported_spec)], ...] = ()
    requires: dict[StrictStr, StrictStr] = {}
    budget: StrictStr = ""

    _document: yaml_lines.Document | None = PrivateAttr(default=None)
    _base: Path | None = PrivateAttr(default=None)

    def where(self, *place: str | int) -> str:
        """Return `FILE, line N` of a key or item, for messages; the suite's name if it came from no file."""
        return self._document.where(*place) if self._document is not None else f"suite '{self.name}'"

    @contextmanager
    def blamed(self, *place: str | int) -> Iterator[None]:
        """Say of an error in the block which line of the suite's file it comes from."""
        try:
            yield
        except SRBenchError as error:
            raise type(error)(f"{self.where(*place)}: {error}") from error

    def resolve(self, dataset: str) -> str:
        """Return a data set's name, or its folder relative to the suite's file where that exists."""
        if self._base is not None and not Path(dataset).is_absolute() and (self._base / dataset).is_dir():
            return str(self._base / dataset)
        return dataset

    def training(self, entry: ModelEntry) -> TrainSpec | None:
        """Return how one model is trained: the suite's settings, with its own in their place.

        Raises:
            ConfigError: The settings do not name the training data.
        """
        if entry.train is None:
            return self.train
        base = self.train.model_dump() if self.train is not None else {}
        merged = {**base, **entry.train}
        try:
            return TrainSpec.model_validate(merged)
        except ValidationError as error:
            index = self.models.index(entry)
            raise ConfigError(
                f"{self.where('models', index, 'train')}: the training of '{entry.model}' needs 'data', "
                "a data set's name or a folder."
            ) from error

    def reported_figures(self) -> list[ReportedFigure]:
        """Return the papers' figures at the suite's scales.

        Raises:
            UnknownNameError: There is no such table; line and nearest name are named.
            ConfigError: A table is not right, or no row matches.
        """
        found: list[ReportedFigure] = []
        for index, spec in enumerate(self.reported):
            with self.blamed("reported", index):
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

    def definition(self) -> dict[str, Any]:
        """Return the suite as plain values, in the form that its file has."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def load_suite(name_or_path: str | Path) -> Suite:
    """Load an installed suite by its name, sr-bench's own or a plugin's, or a YAML file by its path.

    Raises:
        UnknownNameError: No suite has this name; the nearest is named.
        DuplicateNameError: Two distributions claim the name.
        PluginError: The suite's plugin cannot be used.
        ConfigError: The file is missing, is no YAML, or holds an unknown key or a wrong value; file, line and the
            nearest key are named.
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
    if suite.name != text:
        raise ConfigError(
            f"{suite.where('name')}: this is the file of suite '{text}', and it calls itself '{suite.name}'; "
            "the two must be the same."
        )
    return suite


def _validate(document: yaml_lines.Document, base: Path | None) -> Suite:
    try:
        suite = Suite.model_validate(document.value)
    except ValidationError as error:
        raise yaml_lines.explain(error, document, _keys_at) from error
    suite._document = document
    suite._base = base
    _check_recipes(suite, document)
    suite.reported_figures()
    return suite


def _keys_at(place: yaml_lines.Place) -> list[str]:
    """Return the keys that are known at a place: in a model, in a table of reported figures, or at the top."""
    if len(place) > 1 and place[0] == "models":
        return list(_MODEL_KEYS)
    if len(place) > 1 and place[0] == "reported":
        return list(ReportedSpec.model_fields)
    return [field.alias or name for name, field in Suite.model_fields.items()]


def _check_recipes(suite: Suite, document: yaml_lines.Document) -> None:
    """Refuse settings that the training engine does not know, where they stand in the file."""
    places: list[tuple[tuple[str | int, ...], dict[str, Any]]] = []
    if suite.train is not None:
        places.append((("train",), suite.train.recipe))
    for index, entry in enumerate(suite.models):
        if entry.train is not None:
            spec = suite.training(entry)
            places.append((("models", index, "train"), spec.recipe if spec is not None else {}))
    if not places:
        return
    from srbench.engine.recipe import Recipe

    for place, settings in places:
        try:
            Recipe.model_validate(settings)
        except ValidationError as error:
            raise yaml_lines.explain(error, document, lambda _: ["data", *Recipe.model_fields], place) from error
