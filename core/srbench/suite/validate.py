"""Checks of a suite beyond types: recipes, seeds, duplicates, and models of budgets."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from srbench.errors import ConfigError, UnknownNameError
from srbench.suite import yaml_lines

if TYPE_CHECKING:
    from srbench.suite.definition import Suite

__all__ = ["check_duplicates", "check_models", "check_recipes", "check_seeds"]


def check_duplicates(suite: Suite) -> None:
    """Refuse duplicate data sets, protocols and metrics, including two spellings of one path.

    Raises:
        ConfigError: There is a duplicate; the message gives both lines.
    """
    for key, names in (("datasets", suite.datasets), ("protocol", suite.protocols), ("metrics", suite.metrics or ())):
        seen: dict[str, int] = {}
        for index, name in enumerate(names):
            same = suite.resolve(name) if key == "datasets" else name
            if "/" in same or "\\" in same or Path(same).exists():
                with suppress(ValueError, RuntimeError):  # no path, or a link to itself
                    same = str(Path(same).resolve())
            earlier = seen.setdefault(same, index)
            if earlier != index:
                spelled = "" if names[earlier] == name else f", spelled '{names[earlier]}'"
                raise ConfigError(
                    f"{suite.where(key, index)}: '{name}' is given at {suite.where(key, earlier)} already{spelled}; "
                    "keep one."
                )


def check_models(suite: Suite) -> None:
    """Refuse models that neither an installed plugin nor an extra of sr-bench provides.

    Raises:
        UnknownNameError: There is one; the message gives its line and the nearest name.
    """
    from srbench.registry import canonical_name

    for index, entry in enumerate(suite.models):
        try:
            with suite.locate_errors("models", index):
                canonical_name(entry.model)
        except UnknownNameError as error:
            if "pip install" not in str(error):
                raise


def check_seeds(suite: Suite) -> None:
    """Refuse a seed in a recipe if the suite has `seeds`."""
    if suite.seeds is None:
        return
    settings: list[tuple[tuple[str | int, ...], dict[str, Any]]] = [
        (("train",), suite.train.recipe if suite.train is not None else {}),
        *((("models", index), entry.train or {}) for index, entry in enumerate(suite.models)),
    ]
    for place, values in settings:
        if "seed" in values:
            raise ConfigError(f"{suite.where(*place)}: give 'seeds' or a 'seed' to train with, not both.")


def check_recipes(suite: Suite, document: yaml_lines.Document) -> None:
    """Refuse unknown recipe settings; the message gives the line in the file."""
    places: list[tuple[tuple[str | int, ...], dict[str, Any]]] = []
    if suite.train is not None:
        places.append((("train",), suite.train.recipe))
    for index, entry in enumerate(suite.models):
        if entry.train is not None:
            spec = suite.training(entry)
            places.append((("models", index, "train"), spec.recipe if spec is not None else {}))
    if not places:
        return
    from srbench.training.recipe import Recipe

    for place, settings in places:
        try:
            Recipe.model_validate(settings)
        except ValidationError as error:
            raise yaml_lines.explain(error, document, _recipe_keys, suite.place(*place)) from error


def _recipe_keys(_: yaml_lines.Place) -> list[str]:
    from srbench.training.recipe import Recipe

    return ["data", *Recipe.model_fields]
