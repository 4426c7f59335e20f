"""The work that networks with masks actually execute, which depends on the images."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import torch

from srbench.cost.counts import lr_size
from srbench.errors import CostError
from srbench.models.backbone import Backbone
from srbench.models.image_batch import image_batch
from srbench.models.methods.sharing_method import SharingMethod

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset
    from srbench.protocols import Protocol

__all__ = ["executed_on", "skips_work"]


def skips_work(model: Backbone) -> bool:
    """Return whether a network may execute less than the dense computation (`Backbone.executed_macs`)."""
    by_method = model.method is not None and type(model.method).executed_macs is not SharingMethod.executed_macs
    return by_method or type(model).executed_macs is not Backbone.executed_macs


@torch.no_grad()
def executed_on(
    model: Backbone,
    dataset: Dataset,
    scale: int,
    protocol: Protocol,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float] | None:
    """Return image -> multiply-accumulates that a network executes on it, scaled by area to a 1280x720 SR image.

    Args:
        model: The network, with its weights, on its device.
        dataset: The images.
        scale: The scale.
        protocol: Makes the LR images.
        progress: Called with the number of finished images and the total.

    Returns:
        None if the network skips nothing.

    Raises:
        CostError: The network did not return exactly one count for one image.
    """
    if not skips_work(model):
        return None
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    area = prod(lr_size(scale))
    found: dict[str, float] = {}
    names = dataset.image_names()
    model = model.eval()
    for name in names:
        lr, _ = dataset.pair(name, scale, protocol)
        counts = model.executed_macs(image_batch(lr, device), scale)
        if counts is None:
            return None
        if len(counts) != 1:
            raise CostError(
                f"{type(model).__name__}.executed_macs returned {len(counts)} counts for one image; it must return one "
                "for each image of the batch"
            )
        found[name] = float(counts[0] * area / (lr.shape[0] * lr.shape[1]))
        if progress is not None:
            progress(len(found), len(names))
    return found
