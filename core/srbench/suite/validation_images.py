"""Validation of a suite's trainings: how the command line changes it, and how often it happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from srbench.errors import ConfigError
from srbench.suite.parts import ValidateSpec

if TYPE_CHECKING:
    from srbench.suite.definition import Suite

__all__ = ["iterations_between", "validated_on"]

_VALIDATIONS = 20  # of a training, if nothing says how many


def validated_on(suite: Suite, data: str | None, images: str | None, every: int | None) -> Suite:
    """Return a suite with other validation of its trainings; what is None stays as it is.

    Args:
        suite: The suite.
        data: The name of a data set, or a folder of HR images.
        images: Names and globs of its images, separated by commas.
        every: Iterations between validations.

    Raises:
        ConfigError: There are no validation images, or nothing is trained in this suite.
    """
    known = {} if suite.validation is None or data is not None else suite.validation.model_dump()
    given = {key: value for key, value in (("data", data), ("images", images), ("every", every)) if value is not None}
    if not {**known, **given}.get("data"):
        raise ConfigError(f"suite '{suite.name}' has no validation images; give them as --validate NAME or a folder")
    if suite.train is None and not any(entry.train for entry in suite.models):
        raise ConfigError(f"suite '{suite.name}' trains no models, so there is nothing to validate")
    return suite.model_copy(update={"validation": ValidateSpec(**{**known, **given})})


def iterations_between(spec: ValidateSpec, iterations: int, settings: Mapping[str, Any]) -> int:
    """Return the number of iterations between validations of a training.

    Args:
        spec: The validation.
        iterations: The training's iterations.
        settings: The settings of its recipe, as given.
    """
    return int(spec.every or settings.get("validate_every") or max(1, iterations // _VALIDATIONS))
