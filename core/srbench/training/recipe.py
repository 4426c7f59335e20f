"""The recipe of a training run: everything that decides the weights, apart from model, scales and images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from srbench.errors import ConfigError
from srbench.untrusted import check_expansion, read_text
from srbench.validation import Problem, problems_in

__all__ = ["Constant", "CosineRestart", "MultiStep", "Recipe", "load_recipe", "make_recipe"]

# Beyond what any training takes, and within what torch can count.
_MOST_ITERATIONS = 10**9
_STRICT = ConfigDict(frozen=True, extra="forbid")


class Constant(BaseModel):
    """Keep the learning rate as it is."""

    model_config = _STRICT

    type: Literal["none"] = "none"


class MultiStep(BaseModel):
    """Multiply the learning rate by `gamma` at each milestone (basicsr's `MultiStepRestartLR`).

    Attributes:
        milestones: Iterations, from 1 on.
        gamma: Factor, 0..1.
    """

    model_config = _STRICT

    type: Literal["MultiStepRestartLR"] = "MultiStepRestartLR"
    milestones: tuple[Annotated[int, Field(gt=0)], ...]
    gamma: float = Field(0.5, gt=0, le=1)


class CosineRestart(BaseModel):
    """Anneal the learning rate along half cosines (basicsr's `CosineAnnealingRestartLR`).

    Attributes:
        periods: Lengths of the half cosines in iterations; none means one over the whole training.
        restart_weights: Factor of each period's first learning rate; none means 1 for all.
        eta_min: The learning rate at the end of a period.
    """

    model_config = _STRICT

    type: Literal["CosineAnnealingRestartLR"] = "CosineAnnealingRestartLR"
    periods: tuple[Annotated[int, Field(gt=0)], ...] = ()
    restart_weights: tuple[Annotated[float, Field(gt=0)], ...] = ()
    eta_min: float = Field(1e-7, ge=0)

    @model_validator(mode="after")
    def _one_weight_per_period(self) -> CosineRestart:
        if self.restart_weights and len(self.restart_weights) != max(len(self.periods), 1):
            raise ValueError(
                f"restart_weights has {len(self.restart_weights)} values for {max(len(self.periods), 1)} periods"
            )
        return self


Scheduler = Annotated[Constant | MultiStep | CosineRestart, Field(discriminator="type")]


class Recipe(BaseModel):
    """State how a network is trained.

    Attributes:
        iterations: Optimiser steps.
        batch_size: Patches per step.
        gt_size: Side of the HR patches in pixels, a multiple of every scale; LR patches have `gt_size / scale`.
        lr: Learning rate at the start.
        betas: Adam's decay rates of its two moments.
        weight_decay: Adam's L2 penalty.
        scheduler: What happens to the learning rate: `type` is `none`, `MultiStepRestartLR` or
            `CosineAnnealingRestartLR`.
        loss: A pixel loss of basicsr; Charbonnier's is sqrt(x^2 + 1e-6) for images in 0..1, as LapSRN has it.
        ema_decay: Decay of the exponential moving average of the weights, which is then what is evaluated and saved;
            0 keeps none.
        seed: Decides the initial weights and every draw.
        hflip: Mirror patches at random.
        rot90: Turn patches by multiples of 90 degrees at random.
        checkpoint_every: Iterations between checkpoints.
        validate_every: Iterations between validations, where a validation set is given.
    """

    model_config = _STRICT

    iterations: int = Field(gt=0, le=_MOST_ITERATIONS)
    batch_size: int = Field(16, gt=0, le=2**16)
    gt_size: int = Field(96, gt=0, le=2**14)
    optimizer: Literal["Adam"] = "Adam"
    lr: float = Field(2e-4, gt=0, le=1e6, allow_inf_nan=False)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.99)
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False)
    scheduler: Scheduler = Constant()
    loss: Literal["L1Loss", "MSELoss", "CharbonnierLoss"] = "L1Loss"
    ema_decay: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**63)
    hflip: bool = True
    rot90: bool = True
    checkpoint_every: int = Field(500, gt=0, le=_MOST_ITERATIONS)
    validate_every: int = Field(5000, gt=0, le=_MOST_ITERATIONS)

    @model_validator(mode="after")
    def _periods_cover_the_training(self) -> Recipe:
        if isinstance(self.scheduler, CosineRestart) and self.scheduler.periods:
            covered = sum(self.scheduler.periods)
            if covered < self.iterations:
                raise ValueError(f"the scheduler's periods cover {covered} of {self.iterations} iterations")
        return self

    @property
    def hashed_settings(self) -> dict[str, Any]:
        """Return all that decides the weights, as plain values: checkpointing and validation do not."""
        return self.model_dump(mode="json", exclude={"checkpoint_every", "validate_every"})

    @property
    def digest(self) -> str:
        """Return the SHA-256 (hex) of all that decides the weights."""
        return hashlib.sha256(json.dumps(self.hashed_settings, sort_keys=True).encode()).hexdigest()

    def check_scales(self, scales: tuple[int, ...]) -> None:
        """Raise ConfigError where `gt_size` is not a multiple of every scale."""
        for scale in scales:
            if self.gt_size % scale:
                lower = self.gt_size // scale * scale
                fitting = [str(size) for size in (lower, lower + scale) if size]
                raise ConfigError(
                    f"gt_size {self.gt_size} is not a multiple of scale {scale}: "
                    f"HR patches must cover whole LR pixels; try {' or '.join(fitting)}."
                )


def make_recipe(values: dict[str, Any], *, source: str = "recipe") -> Recipe:
    """Build a recipe from plain values.

    Args:
        values: Field names and values, as in a YAML file.
        source: What the values came from; it begins the error message.

    Raises:
        ConfigError: A key is unknown or a value is wrong; each is named.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        sentences = [problem.sentence(_known_keys(problem)) for problem in problems_in(error)]
        raise ConfigError(f"{source}: {'; '.join(sentences)}") from None


def load_recipe(path: Path) -> dict[str, Any]:
    """Read a recipe's values from a YAML file, without judging them.

    Raises:
        ConfigError: The file cannot be read, is not YAML or is not a mapping.
    """
    text = read_text(path, what="recipe", error=ConfigError)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            check_expansion(root, f"the recipe {path}")
        values = yaml.safe_load(text)
    except RecursionError:
        raise ConfigError(f"the recipe {path} is nested too deeply.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"the recipe {path} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"the recipe {path} must be a mapping such as `iterations: 1000`.")
    return {str(key): value for key, value in values.items()}


def _known_keys(problem: Problem) -> Iterable[str]:
    """Return the keys that are known where a problem is: those of a scheduler, or of a recipe."""
    schedulers: dict[str | int, type[BaseModel]] = {
        "MultiStepRestartLR": MultiStep,
        "CosineAnnealingRestartLR": CosineRestart,
        "none": Constant,
    }
    inside = problem.place[-2] if len(problem.place) > 1 else ""
    return schedulers.get(inside, Recipe).model_fields
