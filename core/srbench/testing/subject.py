"""The subject of checks, their exceptions and common helpers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from srbench.models.backbone import Backbone
from srbench.models.methods.sharing_method import SharingMethod
from srbench.registry.names import ModelName

__all__ = [
    "Check",
    "CheckFailedError",
    "CheckSkipped",
    "Example",
    "Subject",
    "close",
    "require",
    "require_equal",
    "require_method",
    "sr_image",
]

# Rounding error of reordered sums in float32 for deep networks, relative to the output's range.
_TOLERANCE = 1e-4


class CheckFailedError(AssertionError):
    """A model violates the law of a check.

    Attributes:
        layer: Path of the layer at fault; "" for the network as a whole or if unknown.
    """

    def __init__(self, message: str, layer: str = "") -> None:
        super().__init__(message)
        self.layer = layer


class CheckSkipped(Exception):  # noqa: N818 - an outcome, not an error
    """A check does not apply to this model; the message states why."""


@dataclass(frozen=True)
class Example:
    """The input of a check.

    Attributes:
        seed: Seed of the weights and the images.
        batch: Number of images in the batch.
        height: Height of the LR images in pixels.
        width: Width of the LR images in pixels.
    """

    seed: int = 0
    batch: int = 2
    height: int = 9
    width: int = 7

    def images(self, batch: int | None = None) -> Tensor:
        """Return random LR images `(N, 3, h, w)` in 0..1."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.rand(batch or self.batch, 3, self.height, self.width, generator=generator)


@dataclass(frozen=True)
class Subject:
    """The model under test.

    Attributes:
        make: Creates the model, initialized from a seed.
        scales: The scales that it is created for.
        name: Its canonical name without a tag; None for a network without a name.
    """

    make: Callable[[int], Backbone]
    scales: tuple[int, ...]
    name: ModelName | None = None

    def fresh(self, example: Example, *, spread: bool = True) -> Backbone:
        """Return a new model in evaluation mode, with parameters perturbed away from special values such as zero."""
        model = self.make(example.seed).eval()
        if spread:
            generator = torch.Generator().manual_seed(example.seed + 1)
            with torch.no_grad():
                for parameter in model.parameters():
                    noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
                    parameter.add_(noise * 0.1 / math.sqrt(max(parameter[0].numel(), 1) if parameter.dim() else 1))
        return model


Check = Callable[[Subject, Example], None]


def require(condition: bool, message: str, layer: str = "") -> None:
    """Fail the check unless the condition holds."""
    if not condition:
        raise CheckFailedError(message, layer)


@torch.no_grad()
def sr_image(model: Backbone, lr: Tensor, scale: int) -> Tensor:
    """Return the SR image of an LR batch, not clamped."""
    return model.image(model(lr, scale))


def close(a: Tensor, b: Tensor) -> tuple[bool, float]:
    """Return whether two results are equal up to rounding, and the largest difference."""
    if a.shape != b.shape:
        return False, float("inf")
    error = float((a - b).abs().max())
    return error <= _TOLERANCE * max(1.0, float(a.abs().max())), error


def require_equal(a: Backbone, b: Backbone, scales: tuple[int, ...], example: Example, when: str) -> None:
    """Fail the check unless two networks have bitwise equal outputs."""
    lr = example.images()
    for scale in scales:
        require(torch.equal(sr_image(a, lr, scale), sr_image(b, lr, scale)), f"x{scale}: the outputs differ {when}")


def require_method(model: Backbone) -> SharingMethod:
    """Return the network's sharing method; skip the check if it has none."""
    if model.method is None:
        raise CheckSkipped("no sharing method")
    return model.method
