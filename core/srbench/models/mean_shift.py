"""The mean shift of CARN and SRFBN: a layer that subtracts the training images' mean color, or adds it back."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["DIV2K_MEAN", "mean_shift"]

# Mean RGB of DIV2K, in 0..1.
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


def mean_shift(sign: int, value_range: float = 1.0) -> nn.Conv2d:
    """Make a frozen 1x1 convolution that adds DIV2K's mean color times a sign to an RGB image.

    The authors implement it as a convolution, so published parameter counts include its 12 parameters.

    Args:
        sign: 1 adds the mean, -1 subtracts it.
        value_range: The largest pixel value, 1 or 255.
    """
    layer = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(3)[:, :, None, None])
        assert layer.bias is not None  # a convolution has a bias by default
        layer.bias.copy_(torch.tensor(DIV2K_MEAN) * sign * value_range)
    return layer.requires_grad_(False)
