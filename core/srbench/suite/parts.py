"""The parts of a suite's file: models, training, budgets, papers' figures."""

from __future__ import annotations

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
from srbench.registry import names as naming

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
    "merged_settings",
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
    """Refuse unknown keys and changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class TrainSpec(BaseModel):
    """How models without weights are trained: `data` and the settings of a recipe.

    Attributes:
        data: A data set's name or a folder of HR images.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    data: Name

    @property
    def recipe(self) -> dict[str, Any]:
        """Return the settings that the training engine takes."""
        return dict(self.__pydantic_extra__ or {})


def merged_settings(base: TrainSpec | dict[str, Any] | None, changes: dict[str, Any]) -> dict[str, Any]:
    """Return a training's settings with others in their place; one patch size replaces the other."""
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
        weights: A checkpoint that is measured instead of training the model: its path, from the suite's file or from
            where the run is started.
        multi_scale: Whether one network is trained for all the suite's scales; as the suite says where not given.
        scales: Scales at which this model is measured, of the suite's; all of them where not given.
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
            raise ValueError(f"'{self.model}' has weights, '{self.weights}', and settings to train it with; keep one")
        if naming.parse(self.model).tag is not None:
            raise ValueError(
                f"'{self.model}' names its weights by a tag, and '{self.weights}' is another file; leave out one"
            )
        return self


_NAME_KEYS = ("backbone", "method", "args", "tag")
MODEL_KEYS = ("model", *_NAME_KEYS, "train", "weights", "multi_scale", "scale")


def _model_entry(value: object) -> object:
    """Read a model's two forms: a name, or a mapping with the parts of a name; each may carry `train`."""
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
    """A paper's figures, which are shown next to measured ones but never ranked with them.

    Attributes:
        table: A packaged table's name, or a CSV file relative to the suite's.
        models: Only rows whose model or name in the paper matches this glob.
    """

    table: Name
    models: Name = "*"


def _reported_spec(value: object) -> object:
    return {"table": value} if isinstance(value, str) else value


Reported = Annotated[ReportedSpec, BeforeValidator(_reported_spec)]


def _not_empty(value: tuple[ModelEntry, ...]) -> tuple[ModelEntry, ...]:
    # A length that pydantic checks itself would hide what is wrong with an item.
    if not value:
        raise ValueError("give at least one model")
    return value


Models = Annotated[tuple[Annotated[ModelEntry, BeforeValidator(_model_entry)], ...], AfterValidator(_not_empty)]


class BudgetSpec(Schema):
    """A cheaper version of a suite: values given here replace the suite's.

    Attributes:
        models: Other models, or fewer.
        datasets: Other data sets, or fewer.
        seeds: Other seeds, or fewer.
        train: Settings that replace those of the suite's `train`, and of its models' where there are no other models.
        description: What it is, for the page's head.
        budget: What it costs, in words.
    """

    description: StrictStr | None = None
    models: Models | None = None
    datasets: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    seeds: Seeds | None = None
    train: dict[StrictStr, Any] | None = None
    budget: StrictStr = ""
