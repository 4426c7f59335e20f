"""Matlab's bicubic interpolation of tensors: what `srbench.images.resize.imresize` does to images, differentiable."""

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

    Nothing is rounded. In float64 the result is that of `imresize(..., rounding="none")` to the last bit. Torch's own
    bicubic has a = -0.75 and repeats the last pixel beyond the border: other pixels.

    Args:
        images: `(N, C, h, w)`, floating-point, any range.
        scale: Factor of both axes, e.g. 2 or `Fraction(1, 2)`.

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
        # One tap after the other, in the order of `imresize`.
        for weight, source in zip(weights, index, strict=True):
            total = total + weight.view(shape) * images.index_select(axis, source)
        images = total
    return images


@lru_cache(maxsize=64)
def _taps(
    size: int, out_size: int, scale: Fraction, dtype: torch.dtype, device: torch.device
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return weights and source indices of each tap of one axis."""
    weights, index = contributions(size, out_size, float(scale), "symmetric")
    # Kept for trainings too, which could not use tensors that were made in inference mode.
    with torch.inference_mode(False):
        return (
            tuple(torch.tensor(weights, dtype=dtype, device=device)),
            tuple(torch.tensor(index, dtype=torch.int64, device=device)),
        )
