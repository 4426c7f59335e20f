"""Matlab's bicubic interpolation on tensors: a differentiable version of `srbench.images.resize.imresize`."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from srbench.errors import ConfigError
from srbench.images.resize import contributions

__all__ = ["matlab_bicubic"]


def matlab_bicubic(images: Tensor, scale: Fraction | int) -> Tensor:
    """Resize images as Matlab's `imresize(..., 'bicubic')` does: Keys' cubic, a = -0.5, antialiased when it shrinks.

    Nothing is rounded. In float64 the result equals `imresize(..., rounding="none")` to the last bit. Torch's own
    bicubic gives different pixels: it has a = -0.75 and repeats the last pixel beyond the border.

    Args:
        images: `(N, C, h, w)`, floating-point, any range.
        scale: Scale factor of both axes, e.g. 2 or `Fraction(1, 2)`.

    Returns:
        `(N, C, ceil(scale * h), ceil(scale * w))`.

    Raises:
        ConfigError: The factor is not positive.
    """
    if scale <= 0:
        raise ConfigError(f"matlab_bicubic: the scale must be a positive number, got {scale}")
    for axis in (-2, -1):
        size = images.shape[axis]
        weights, index = _taps(size, math.ceil(size * scale), Fraction(scale), images.dtype, images.device)
        shape = (-1, 1) if axis == -2 else (-1,)
        total = torch.zeros((), dtype=images.dtype, device=images.device)
        # Add the taps in the order of `imresize`, for equal rounding.
        for weight, source in zip(weights, index, strict=True):
            total = total + weight.view(shape) * images.index_select(axis, source)
        images = total
    return images


@lru_cache(maxsize=64)
def _taps(
    size: int, out_size: int, scale: Fraction, dtype: torch.dtype, device: torch.device
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return the weights and source indices of each tap along one axis."""
    weights, index = contributions(size, out_size, float(scale), "symmetric")
    # The cache also serves training, which cannot use tensors created in inference mode.
    with torch.inference_mode(False):
        return (
            tuple(torch.tensor(weights, dtype=dtype, device=device)),
            tuple(torch.tensor(index, dtype=torch.int64, device=device)),
        )
