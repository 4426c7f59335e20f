"""A first pass of a network on a GPU, before anything is timed."""

from __future__ import annotations

from typing import Any, Literal

import numpy.typing as npt
import torch
from torch import nn

from srbench.data.datasets import Dataset
from srbench.evaluation.evaluate import super_resolve
from srbench.evaluation.execution import configured
from srbench.evaluation.options import DEFAULT, InferenceOptions
from srbench.machine import tf32
from srbench.protocols import Protocol

__all__ = ["first_pass", "warm_up"]


def warm_up(
    model: nn.Module,
    dataset: Dataset,
    scale: int,
    protocol: Protocol,
    *,
    device: str | torch.device,
    lr: Literal["generated", "shipped"] = "generated",
    inference: InferenceOptions = DEFAULT,
) -> bool:
    """Run a network on the first LR image of an evaluation, on a GPU, and return whether that was done.

    The first pass there loads kernels, chooses algorithms and allocates memory. On a CPU nothing of that kind happens,
    and `evaluate` itself warms up a compiled network.

    Args:
        model: As for `evaluate`, in evaluation mode.
        dataset: The HR images.
        scale: The scale.
        protocol: Generates the LR image.
        device: Where the network runs.
        lr: Whether the protocol generates the LR image or the data set's LR file is used.
        inference: How the network is run.
    """
    device = torch.device(device)
    if device.type != "cuda" or inference.compile:
        return False
    image = dataset.image_names()[0]
    try:
        pixels = dataset.shipped_lr(image, scale) if lr == "shipped" else dataset.pair(image, scale, protocol)[0]
        first_pass(model, pixels, scale, device, inference)
    except Exception:  # the evaluation fails in the same way, and says why
        return False
    return True


def first_pass(
    model: nn.Module, lr: npt.NDArray[Any], scale: int, device: torch.device, inference: InferenceOptions = DEFAULT
) -> None:
    """Run a network on one LR image as `evaluate` does, and discard the result.

    Args:
        model: As for `evaluate`, in evaluation mode.
        lr: RGB `(h, w, 3)` or luma `(h, w)`, uint8 or float64, in 0..255.
        scale: The scale.
        device: Where the network runs.
        inference: How the network is run.
    """
    with torch.inference_mode(), tf32(False):
        super_resolve(configured(model.to(device), inference, device), lr, scale, device)
