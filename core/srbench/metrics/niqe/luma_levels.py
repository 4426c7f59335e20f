"""NIQE's luma, rounded to whole levels, on any device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from srbench.images.color import BT601_OFFSET, BT601_WEIGHTS

__all__ = ["rounded_luma"]


def rounded_luma(image: Tensor) -> Tensor:
    """Return the luma of an image, rounded to whole levels as basicsr does: for each of the 2**24 colors its level.

    Halves are rounded according to float32 values in 0..1, so that each step here has basicsr's type.

    Args:
        image: RGB `(H, W, 3)`, uint8.

    Returns:
        `(H, W)`, float32, in 16..235.
    """
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    red, green, blue = (
        torch.from_numpy(levels.astype(np.float64) * weight).to(image.device)[image[..., channel].int()]
        for channel, weight in enumerate(BT601_WEIGHTS)
    )
    # A tensor, since a GPU multiplies by the reciprocal of a number.
    white = torch.tensor(255.0, dtype=torch.float64, device=image.device)
    luma: Tensor = ((blue + green + red + BT601_OFFSET) / white).float() * 255.0
    return luma.round()
