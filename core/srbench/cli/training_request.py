"""The training requested by `srbench train`, from a model and a recipe or from a basicsr option file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import ConfigError

if TYPE_CHECKING:
    from srbench.training.recipe import Recipe

__all__ = ["TrainingRequest", "read_request"]


@dataclass(frozen=True)
class TrainingRequest:
    """The validated parts of a training.

    Attributes:
        model: The model's canonical name.
        scales: The scales to train for.
        data: Training images: a folder or a registered data set.
        recipe: The recipe.
        folder: Default folder for the results.
        val: Validation images in the option file.
        weights: Checkpoint to start from in the option file.
        tensorboard: Whether the option file enables logs.
        not_honoured: Keys of the option file that have no effect, with reasons.
    """

    model: str
    scales: tuple[int, ...]
    data: str
    recipe: Recipe
    folder: Path
    val: str | None = None
    weights: Path | None = None
    tensorboard: bool = False
    not_honoured: tuple[str, ...] = ()


def read_request(
    model: str | None,
    *,
    scale: int | None,
    scales: str | None,
    data: str | None,
    recipe: Path | None,
    basicsr_options: Path | None,
    overrides: Mapping[str, Any],
) -> TrainingRequest:
    """Check the arguments of `srbench train`.

    Args:
        model: A model's name.
        scale: One scale.
        scales: Several scales, separated by commas.
        data: Training images.
        recipe: A YAML file with recipe fields.
        basicsr_options: A basicsr option file.
        overrides: Recipe fields given as options, None if not given.

    Raises:
        ConfigError: Something is missing, wrong or given twice.
    """
    from srbench.registry import canonical_name
    from srbench.suite.parts import merged_settings
    from srbench.training.recipe import load_recipe, make_recipe

    given = {key: value for key, value in overrides.items() if value is not None}
    if basicsr_options is not None:
        return _from_options(basicsr_options, model, scale, scales, data, recipe, given)
    wanted = _scales(scale, scales)
    if model is None or data is None:
        what = "MODEL" if model is None else "--data"
        raise ConfigError(f"{what} is missing: srbench train MODEL --data DIR; or give --basicsr-options FILE.")
    values = merged_settings(load_recipe(recipe) if recipe else {}, given)
    if "iterations" not in values:
        raise ConfigError("say how long to train: --iterations N, or a --recipe file with `iterations`.")
    checked = make_recipe(values, source=f"recipe {recipe}" if recipe else "options")
    name = canonical_name(model)
    folder = Path("runs", "train", f"{name.slug}_x{'x'.join(map(str, wanted))}")
    return TrainingRequest(str(name), wanted, data, checked, folder)


def _from_options(
    path: Path,
    model: str | None,
    scale: int | None,
    scales: str | None,
    data: str | None,
    recipe: Path | None,
    given: Mapping[str, Any],
) -> TrainingRequest:
    from srbench.interop.basicsr_options import read_options
    from srbench.suite.parts import merged_settings
    from srbench.training.recipe import make_recipe

    for what, value in (("MODEL", model), ("--scales", scales), ("--recipe", recipe)):
        if value is not None:
            raise ConfigError(f"--basicsr-options already specifies the training; leave out {what} ({value}).")
    options = read_options(path)
    if scale is not None and scale != options.scale:
        raise ConfigError(f"--scale {scale} contradicts option file {path}, which is for scale {options.scale}.")
    images = data or options.data
    if images is None:
        raise ConfigError(f"option file {path} has no 'datasets.train.dataroot_gt'; give the images as --data.")
    not_honoured = options.not_honoured
    if data is not None and options.data is not None:
        not_honoured = (f"datasets.train.dataroot_gt: --data {data} is given", *not_honoured)
    return TrainingRequest(
        options.model,
        (options.scale,),
        images,
        make_recipe(merged_settings(options.recipe, dict(given)), source=f"option file {path}"),
        Path("runs", "train", f"{options.name}_x{options.scale}"),
        options.val,
        options.weights,
        options.tensorboard,
        not_honoured,
    )


def _scales(scale: int | None, scales: str | None) -> tuple[int, ...]:
    if (scale is None) == (scales is None):
        raise ConfigError("say what to train for: either --scale 2, or --scales 2,3,4 for a multi-scale network.")
    if scale is not None:
        return (scale,)
    try:
        return tuple(int(part) for part in str(scales).split(","))
    except ValueError:
        raise ConfigError(f"--scales takes whole numbers separated by commas, such as 2,3,4; got '{scales}'.") from None
