"""Training recipes: everything that determines the weights, apart from model, scales and images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from srbench.errors import ConfigError
from srbench.training.clipping import Clip
from srbench.untrusted import parse_yaml, read_text
from srbench.validation import Problem, problems_in

__all__ = ["Constant", "CosineRestart", "MultiStep", "Recipe", "load_recipe", "make_recipe"]

# More than any training needs, and less than torch's largest integer.
_MOST_ITERATIONS = 10**9
_STRICT = ConfigDict(frozen=True, extra="forbid")


class Constant(BaseModel):
    """Keep the learning rate constant."""

    model_config = _STRICT

    type: Literal["none"] = "none"


class MultiStep(BaseModel):
    """Multiply the learning rate by `gamma` at each milestone (basicsr's `MultiStepRestartLR`).

    Attributes:
        milestones: Iterations, counted from 1.
        gamma: Factor, 0..1.
        restarts: Iterations after which the rate is reset, for training in phases; none by default.
        restart_weights: Factor of the initial learning rate at each restart.
    """

    model_config = _STRICT

    type: Literal["MultiStepRestartLR"] = "MultiStepRestartLR"
    milestones: tuple[Annotated[int, Field(gt=0)], ...]
    gamma: float = Field(0.5, gt=0, le=1)
    restarts: tuple[Annotated[int, Field(ge=0)], ...] = ()
    restart_weights: tuple[Annotated[float, Field(gt=0)], ...] = ()

    @model_validator(mode="after")
    def _one_weight_per_restart(self) -> MultiStep:
        if len(self.restarts) != len(self.restart_weights):
            raise ValueError(
                f"restart_weights has {len(self.restart_weights)} values for {len(self.restarts)} restarts"
            )
        return self


class CosineRestart(BaseModel):
    """Anneal the learning rate along half cosines (basicsr's `CosineAnnealingRestartLR`).

    Attributes:
        periods: Lengths of the half cosines in iterations; none means one over the whole training.
        restart_weights: Factor of each period's initial learning rate; none means 1 for all.
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


Factor = Annotated[float, Field(gt=0, le=1)]
Scheduler = Annotated[Constant | MultiStep | CosineRestart, Field(discriminator="type")]


class Recipe(BaseModel):
    """Settings of a training.

    Attributes:
        iterations: Optimizer steps.
        batch_size: Patches per step.
        gt_size: Side of the HR patches in pixels, a multiple of every scale; LR patches have `gt_size / scale`.
            Default: 96 if neither size is given.
        lr_size: Side of the LR patches in pixels, instead of `gt_size`; HR patches have `lr_size * scale`.
        optimizer: Name of a torch optimizer.
        optimizer_options: Its other options, such as `{momentum: 0.9}`.
        lr: Initial learning rate.
        betas: Decay rates of the two moments of Adam and similar optimizers.
        weight_decay: The optimizer's weight decay; in Adam an L2 penalty.
        scheduler: The learning rate schedule: `type` is `none`, `MultiStepRestartLR` or
            `CosineAnnealingRestartLR`.
        warmup: Iterations over which the learning rate rises linearly to the scheduler's value.
        clip: How gradients are clipped: `type` is `norm`, `value` or `adjustable`, `threshold` the bound. Default: no
            clipping.
        loss: Name of a basicsr loss; Charbonnier is sqrt(x^2 + 1e-6) for images in 0..1, as in LapSRN.
        loss_options: Its options by name.
        extra_losses: Additional losses, each a mapping of `type` and options.
        ema_decay: Decay of the exponential moving average of the weights, which is then evaluated and saved; 0
            disables it.
        seed: Seed of the initial weights and of all random choices.
        hflip: Flip patches horizontally at random.
        rot90: Rotate patches by multiples of 90 degrees at random.
        scale_augmentation: Range of a random factor, 0..1, by which the image is downscaled before a patch is cut.
            Images are never made smaller than a patch. None by default.
        precision: Arithmetic of the convolutions: `float32`; `tf32`, float32 with factors of 10 bits on NVIDIA GPUs; or
            `bf16`, forward and backward pass in bfloat16 with weights, loss and optimizer in float32.
        channels_last: Store features and kernels with channels innermost, which is faster on GPUs in `bf16`.
        compile: `none`; `graph`, one CUDA graph of the whole step, which removes launch overhead; or `inductor`,
            PyTorch's compiler applied to the network.
        deterministic: Give bit-identical results every time. If false, the fastest kernels are chosen by
            benchmarking, and a training that is repeated or resumed ends with slightly different weights.
        checkpoint_every: Iterations between checkpoints.
        validate_every: Iterations between validations, if there is a validation set.
    """

    model_config = _STRICT

    iterations: int = Field(gt=0, le=_MOST_ITERATIONS)
    batch_size: int = Field(16, gt=0, le=2**16)
    gt_size: int | None = Field(96, gt=0, le=2**14)
    lr_size: int | None = Field(None, gt=0, le=2**14)
    optimizer: str = "Adam"
    optimizer_options: dict[str, Any] = Field({})
    lr: float = Field(2e-4, gt=0, le=1e30, allow_inf_nan=False)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.99)
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False)
    scheduler: Scheduler = Constant()
    warmup: int = Field(0, ge=0)
    clip: Clip | None = None
    loss: str = "L1Loss"
    loss_options: dict[str, Any] = Field({})
    extra_losses: tuple[dict[str, Any], ...] = ()
    ema_decay: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**63)
    hflip: bool = True
    rot90: bool = True
    scale_augmentation: tuple[Factor, Factor] | None = None
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    channels_last: bool = False
    compile: Literal["none", "graph", "inductor"] = "none"
    deterministic: bool = True
    checkpoint_every: int = Field(500, gt=0, le=_MOST_ITERATIONS)
    validate_every: int = Field(5000, gt=0, le=_MOST_ITERATIONS)

    @model_validator(mode="before")
    @classmethod
    def _default_gt_size_gives_way(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("lr_size") is not None and "gt_size" not in values:
            return {**values, "gt_size": None}
        return values

    @model_validator(mode="after")
    def _one_patch_size(self) -> Recipe:
        if (self.gt_size is None) == (self.lr_size is None):
            given = "neither" if self.gt_size is None else f"gt_size {self.gt_size} and lr_size {self.lr_size}"
            raise ValueError(f"give the patches' size as gt_size (HR pixels) or as lr_size (LR pixels); got {given}")
        return self

    @model_validator(mode="after")
    def _factors_are_a_range(self) -> Recipe:
        if self.scale_augmentation is not None and self.scale_augmentation[0] > self.scale_augmentation[1]:
            raise ValueError(
                f"scale_augmentation is the smallest and the largest factor; got {list(self.scale_augmentation)}"
            )
        return self

    @model_validator(mode="after")
    def _optimizer_and_losses_can_be_made(self) -> Recipe:
        # torch and basicsr are imported only to check settings that this module cannot check itself.
        if self.optimizer != "Adam" or self.optimizer_options:
            from srbench.training.optimizers import check_optimizer

            check_optimizer(self)
        if self.loss not in _KNOWN_LOSSES or self.loss_options or self.extra_losses:
            from srbench.training.losses import check_losses

            check_losses(self)
        return self

    @model_validator(mode="after")
    def _periods_cover_the_training(self) -> Recipe:
        if isinstance(self.scheduler, CosineRestart) and self.scheduler.periods:
            covered = sum(self.scheduler.periods)
            if covered < self.iterations:
                raise ValueError(f"the scheduler's periods cover {covered} of {self.iterations} iterations")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """Return all settings as plain values; newer settings only if not at their defaults."""
        values = self.model_dump(mode="json")
        for key in _NEWER:
            if values[key] == _plain(type(self).model_fields[key].default):
                del values[key]
        if isinstance(self.scheduler, MultiStep) and not self.scheduler.restarts:
            del values["scheduler"]["restarts"], values["scheduler"]["restart_weights"]
        return values

    @property
    def hashed_settings(self) -> dict[str, Any]:
        """Return all settings that determine the weights, as plain values; checkpointing and validation do not."""
        return {key: value for key, value in self.settings.items() if key not in _NOT_HASHED}

    @property
    def digest(self) -> str:
        """Return the SHA-256 (hex) of all settings that determine the weights."""
        return hashlib.sha256(json.dumps(self.hashed_settings, sort_keys=True).encode()).hexdigest()

    @property
    def patch_size(self) -> str:
        """Return the patch size in words."""
        return (
            f"{self.gt_size}x{self.gt_size}" if self.gt_size is not None else f"{self.lr_size}x{self.lr_size} LR pixels"
        )

    def lr_side(self, scale: int) -> int:
        """Return the side length of LR patches at a scale; HR patches are `scale` times as large."""
        return self.gt_size // scale if self.gt_size is not None else int(self.lr_size or 0)

    def check_scales(self, scales: tuple[int, ...]) -> None:
        """Raise ConfigError if `gt_size` is not a multiple of every scale."""
        for scale in scales:
            if self.gt_size is not None and self.gt_size % scale:
                lower = self.gt_size // scale * scale
                fitting = [str(size) for size in (lower, lower + scale) if size]
                raise ConfigError(
                    f"gt_size {self.gt_size} is not a multiple of scale {scale}: "
                    f"HR patches must cover whole LR pixels; try {' or '.join(fitting)}, or lr_size."
                )


# Left out of a recipe's settings and digest at their defaults, so that older recipes keep their digests.
_NEWER = (
    "lr_size", "optimizer_options", "warmup", "clip", "loss_options", "extra_losses", "scale_augmentation",
    "precision", "channels_last", "compile", "deterministic",
)  # fmt: skip
_NOT_HASHED = frozenset({"checkpoint_every", "validate_every"})
_KNOWN_LOSSES = frozenset({"L1Loss", "MSELoss", "CharbonnierLoss"})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def make_recipe(values: dict[str, Any], *, source: str = "recipe") -> Recipe:
    """Build a recipe from plain values.

    Args:
        values: Field names and values, as in a YAML file.
        source: Origin of the values, for the beginning of error messages.

    Raises:
        ConfigError: A key is unknown or a value is wrong; the message lists all of them.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        sentences = [problem.sentence(_known_keys(problem)) for problem in problems_in(error)]
        raise ConfigError(f"{source}: {'; '.join(sentences)}") from None


def load_recipe(path: Path, *, noun: str = "recipe") -> dict[str, Any]:
    """Read a recipe's values from a YAML file, without validating them.

    Args:
        path: The file.
        noun: The kind of file, for messages.

    Raises:
        ConfigError: The file cannot be read, is not YAML or is not a mapping.
    """
    values = parse_yaml(read_text(path, what=noun, error=ConfigError), f"the {noun} {path}")
    if not isinstance(values, dict):
        raise ConfigError(f"the {noun} {path} must be a mapping such as `iterations: 1000`.")
    return {str(key): value for key, value in values.items()}


def _known_keys(problem: Problem) -> Iterable[str]:
    """Return the valid keys at a problem's place: those of a scheduler, of clipping, or of a recipe."""
    schedulers: dict[str | int, type[BaseModel]] = {
        "MultiStepRestartLR": MultiStep,
        "CosineAnnealingRestartLR": CosineRestart,
        "none": Constant,
        "clip": Clip,
    }
    inside = problem.place[-2] if len(problem.place) > 1 else ""
    return schedulers.get(inside, Recipe).model_fields
