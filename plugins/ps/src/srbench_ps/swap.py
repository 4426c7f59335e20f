"""Coefficient swap: a multi-scale network at one scale with another scale's coefficients.

The paper (Park and Cho, WACV 2025, supplement, Table 2) uses it to show how much a network's filters depend on the
scale that they were trained for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from srbench.plugin import Backbone, ConfigError, evaluate, fold
from srbench_ps.loading import shared_layers

if TYPE_CHECKING:
    from srbench.plugin import Dataset, Metric, Protocol

__all__ = ["SwapCell", "measure_swaps", "with_coefficients_of"]


@dataclass(frozen=True)
class SwapCell:
    """Scores of a network at one scale with the coefficients of another.

    Attributes:
        task: The scale by which images are enlarged.
        coefficients_of: The scale whose coefficient matrices are used.
        metrics: Means over the images.
        images: One row per image: `image` and the metrics.
    """

    task: int
    coefficients_of: int
    metrics: dict[str, float]
    images: list[dict[str, Any]]


@torch.no_grad()
def with_coefficients_of(model: Backbone, task: int, source: int) -> Backbone:
    """Return the network for one scale with the coefficient matrices of another.

    Everything else (bank, biases, entry, exit) is that of the first scale; with `source` equal to `task` it is
    `model.at_scale(task)`.

    Raises:
        ConfigError: The network lacks one of the scales.
        SharingError: The network does not use PS.
    """
    check_scales(model, (task, source))
    swapped = copy.deepcopy(model)
    for layer in shared_layers(swapped).values():
        layer.coefficients[f"x{task}"].copy_(layer.coefficients[f"x{source}"])
    return swapped.at_scale(task)


def check_scales(model: Backbone, scales: Iterable[int]) -> None:
    """Refuse scales that a network lacks.

    Raises:
        ConfigError: It lacks one.
    """
    for scale in scales:
        if scale not in model.scales:
            known = ", ".join(map(str, model.scales))
            raise ConfigError(f"'{model.model_name}' has coefficients for scale {known}; scale {scale} was asked for")


def measure_swaps(
    model: Backbone,
    pairs: Sequence[tuple[int, int]],
    dataset: Dataset,
    protocol: Protocol,
    metrics: Sequence[Metric],
    *,
    images: Sequence[str] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    progress: Callable[[], None] | None = None,
) -> list[SwapCell]:
    """Measure a multi-scale network at scales with coefficients of scales.

    Args:
        model: A multi-scale network with PS.
        pairs: (task, coefficients of) for each cell.
        dataset: The images.
        protocol: How they are compared.
        metrics: What is computed.
        images: Names of the images to take; all where it is not given.
        device: Where the network runs.
        threads: Torch's threads.
        progress: Called after each image of each cell.

    Raises:
        ConfigError: The network lacks a scale.
        SharingError: The network does not use PS.
        DataError: An image, or the network's output, is not right.
    """
    check_scales(model, (scale for pair in pairs for scale in pair))
    cells = []
    for task, source in pairs:
        found = evaluate(
            fold(with_coefficients_of(model, task, source)),  # the same bits, without making each kernel again
            dataset,
            task,
            protocol,
            metrics,
            device=device,
            threads=threads,
            image_filter=images,
            progress=None if progress is None else lambda *_: progress(),
        )
        rows = [{str(key): row[key] for key in row} for row in found.scores.to_dict(orient="records")]
        cells.append(SwapCell(task, source, found.means, rows))
    return cells
