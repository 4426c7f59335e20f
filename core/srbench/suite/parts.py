"""Parts of a suite file: models, training, budgets, papers' figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from srbench.errors import SRBenchError, suggest
from srbench.evaluation.deployment import DeploymentOptions
from srbench.registry import names as naming
from srbench.suite import yaml_lines

__all__ = [
    "MODEL_KEYS",
    "BudgetSpec",
    "ModelEntry",
    "Models",
    "Name",
    "Names",
    "Reported",
    "ReportedSpec",
    "Scales",
    "Schema",
    "Seeds",
    "TrainSpec",
    "Validate",
    "ValidateSpec",
    "keys_of_part",
    "merged_settings",
    "without_paths",
]

Name = Annotated[StrictStr, Field(min_length=1, max_length=4096)]
Scale = Annotated[StrictInt, Field(ge=1, le=16)]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**63)]


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _distinct(value: tuple[int, ...]) -> tuple[int, ...]:
    for item in value:
        if value.count(item) > 1:
            raise ValueError(f"{item} is given twice; keep one")
    return value


Scales = Annotated[tuple[Scale, ...], BeforeValidator(_listed), AfterValidator(_distinct), Field(min_length=1)]
Seeds = Annotated[tuple[Seed, ...], BeforeValidator(_listed), AfterValidator(_distinct), Field(min_length=1)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed), Field(min_length=1)]


class Schema(BaseModel):
    """Base of all parts: immutable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class TrainSpec(BaseModel):
    """Training of models without weights: `data` and the settings of a recipe.

    Attributes:
        data: Name of a data set, or a folder of HR images.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    data: Name

    @property
    def recipe(self) -> dict[str, Any]:
        """Return the settings for the training engine."""
        return dict(self.__pydantic_extra__ or {})


class ValidateSpec(Schema):
    """Validation of trainings, which shows how far they have come and affects no result.

    Attributes:
        data: Name of a data set, or a folder of HR images.
        images: Which of its images, as names and globs separated by commas; all of them if empty.
        every: Iterations between validations; the recipe's `validate_every`, or a twentieth of the training, if not
            given.
    """

    data: Name
    images: StrictStr = ""
    every: Annotated[StrictInt, Field(ge=1, le=10**9)] | None = None


def _validate_spec(value: object) -> object:
    return {"data": value} if isinstance(value, str) else value


Validate = Annotated[ValidateSpec, BeforeValidator(_validate_spec)]


def merged_settings(base: TrainSpec | dict[str, Any] | None, changes: dict[str, Any]) -> dict[str, Any]:
    """Return training settings overridden by others; a patch size in HR or LR pixels replaces the other one."""
    settings = base.model_dump() if isinstance(base, TrainSpec) else dict(base or {})
    for key, other in (("gt_size", "lr_size"), ("lr_size", "gt_size")):
        if key in changes and other not in changes:
            settings.pop(other, None)
    return {**settings, **changes}


class ModelEntry(Schema):
    """One model of a suite, with its own training settings, if any.

    Attributes:
        model: The name: `BACKBONE[+METHOD[(key=value,...)]][.TAG]`.
        train: Settings that replace those of the suite's `train` for this model.
        weights: Path of a checkpoint to measure instead of training the model, relative to the suite's file or to the
            current folder.
        multi_scale: Whether one network is trained for all the suite's scales; by default, as for the suite.
        scales: The suite's scales at which this model is measured; all of them if not given.
    """

    model: Name
    train: dict[StrictStr, Any] | None = None
    weights: Name | None = None
    multi_scale: StrictBool | None = None
    scales: Annotated[Scales | None, Field(alias="scale")] = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.weights is None:
            return self
        if self.train is not None:
            raise ValueError(f"'{self.model}' has both weights, '{self.weights}', and training settings; keep one")
        if naming.parse(self.model).tag is not None:
            raise ValueError(
                f"'{self.model}' names its weights by a tag, and '{self.weights}' is another file; leave out one"
            )
        return self


_NAME_KEYS = ("backbone", "method", "args", "tag")
MODEL_KEYS = ("model", *_NAME_KEYS, "train", "weights", "multi_scale", "scale")


def _model_entry(value: object) -> object:
    """Parse a model: a name, or a mapping with the parts of a name, optionally with `train`."""
    if isinstance(value, str):
        value = {"model": value}
    if not isinstance(value, dict):
        raise ValueError(f"a model is a name such as edsr_tiny+ps(ratio=1/4), or a mapping; got {value!r}")
    for key in value:
        if key not in MODEL_KEYS:
            raise ValueError(f"unknown key '{key}'" + suggest(str(key), MODEL_KEYS, noun="keys"))
    parts = {key: item for key, item in value.items() if key in _NAME_KEYS}
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


class ReportedSpec(Schema):
    """A paper's figures, which are shown beside measured ones but never ranked with them.

    Attributes:
        table: Name of a packaged table, or a CSV file relative to the suite's file.
        models: Only rows whose model or name in the paper matches this glob.
    """

    table: Name
    models: Name = "*"


def _reported_spec(value: object) -> object:
    return {"table": value} if isinstance(value, str) else value


Reported = Annotated[ReportedSpec, BeforeValidator(_reported_spec)]


def _not_empty(value: tuple[ModelEntry, ...]) -> tuple[ModelEntry, ...]:
    # A length check by pydantic would hide errors in items.
    if not value:
        raise ValueError("give at least one model")
    return value


Models = Annotated[tuple[Annotated[ModelEntry, BeforeValidator(_model_entry)], ...], AfterValidator(_not_empty)]


class BudgetSpec(Schema):
    """A cheaper version of a suite: values given here replace the suite's.

    Attributes:
        models: Other or fewer models.
        datasets: Other or fewer data sets.
        seeds: Other or fewer seeds.
        train: Settings that override those of the suite's `train`, and those of its models unless `models` is given.
        validation: Other images on which trainings are validated; in YAML `validate`.
        description: Description for pages.
        budget: Description of its cost.
    """

    description: StrictStr | None = None
    models: Models | None = None
    datasets: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    seeds: Seeds | None = None
    train: dict[StrictStr, Any] | None = None
    validation: Annotated[Validate | None, Field(alias="validate")] = None
    budget: StrictStr = ""


def without_paths(value: Any) -> Any:
    """Reduce every absolute path in plain values to its last part, since folders do not affect results."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def keys_of_part(place: yaml_lines.Place) -> list[str]:
    """Return the valid keys at a place of a suite's file; none at its top level."""
    if len(place) > 2 and place[0] == "budgets":
        if len(place) > 3 and place[2] == "validate":
            return list(ValidateSpec.model_fields)
        return [field.alias or name for name, field in BudgetSpec.model_fields.items()]
    parts = {
        "models": list(MODEL_KEYS),
        "inference": list(DeploymentOptions.model_fields),
        "validate": list(ValidateSpec.model_fields),
        "reported": list(ReportedSpec.model_fields),
    }
    return parts.get(str(place[0]), []) if len(place) > 1 else []
