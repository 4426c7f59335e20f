"""Conversion of an image to a network's input batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["image_batch"]


def image_batch(image: npt.NDArray[Any], device: str | torch.device = "cpu") -> Tensor:
    """Convert an image to a batch `(1, C, h, w)` in 0..1, float32.

    Args:
        image: RGB `(h, w, 3)` or luma `(h, w)`, uint8 or float64, in 0..255.
        device: Device of the batch.
    """
    pixels = torch.from_numpy(np.array(image if image.ndim == 3 else image[..., None])).to(device)
    return pixels.permute(2, 0, 1)[None].contiguous().float().div(255)
