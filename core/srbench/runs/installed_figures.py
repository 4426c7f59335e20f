"""Find what installed plugins say is published of their weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import TypeVar

from srbench.errors import ConfigError, PluginError, SRBenchError
from srbench.registry import canonical_name
from srbench.registry.entry_points import Contribution, PluginStatus, attempt, contributions
from srbench.results.published_figures import Published, PublishedFigure, TrainingFacts
from srbench.results.reported import parse_rows

__all__ = ["FIGURES", "TRAININGS", "installed_published"]

# Beside the module that registers weights. They are kept apart from the weights' sources, which are part of the code
# that decides a result.
FIGURES, TRAININGS = "published.csv", "training.csv"

Row = TypeVar("Row", PublishedFigure, TrainingFacts)


@cache
def installed_published(*, strict: bool = False) -> Published:
    """Return the published figures and training recipes of all installed weights, under the models' canonical names.

    Each package that registers weights may have the tables `published.csv` and `training.csv`. A package that cannot
    be imported is left out, as its weights are.

    Args:
        strict: Raise an error for a wrong table, instead of leaving it out: pages must not depend on every plugin.

    Raises:
        PluginError: A table of a plugin is wrong; file and line are named.
    """
    figures: list[PublishedFigure] = []
    trainings: list[TrainingFacts] = []
    for package, item in sorted(_packages().items()):
        if attempt(item).status is PluginStatus.OK:
            figures += _canonical(_table(package, FIGURES, PublishedFigure, item, strict=strict))
            trainings += _canonical(_table(package, TRAININGS, TrainingFacts, item, strict=strict))
    return Published(tuple(figures), tuple(trainings))


def _packages() -> dict[str, Contribution]:
    """Return the packages that register weights: name -> one of the contributions."""
    return {
        item.value.partition(":")[0].rpartition(".")[0]: item
        for items in contributions()["weights"].values()
        for item in items
        if "." in item.value.partition(":")[0]
    }


def _table(package: str, name: str, kind: type[Row], item: Contribution, *, strict: bool) -> list[Row]:
    file = resources.files(package) / name
    if not file.is_file():
        return []
    try:
        return parse_rows(kind, file.read_text(encoding="utf-8").splitlines(), f"{package}/{name}")
    except (ConfigError, OSError, UnicodeError) as error:
        if strict:
            raise PluginError(f"a table of {item.distribution} is wrong: {error}") from error
        return []


def _canonical(rows: list[Row]) -> list[Row]:
    """Return rows under the canonical names of their models, which records have."""
    names: Callable[[str], str] = cache(_canonical_name)
    return [row.model_copy(update={"model": names(row.model)}) for row in rows]


def _canonical_name(model: str) -> str:
    try:
        return str(canonical_name(model))
    except SRBenchError:
        return model  # of a backbone or a method that cannot be used: nothing of it can be measured either
