"""Matlab's `imresize(..., 'bicubic')`, to the last bit of every pixel."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from srbench.errors import ConfigError

__all__ = ["Padding", "Rounding", "contributions", "imresize"]

Padding = Literal["symmetric", "replicate"]
Rounding = Literal["per_pass", "once", "none"]
Floats = npt.NDArray[np.float64]

# Rows that are filtered together: the strip and its accumulator stay in a core's own cache.
_STRIP_BYTES = 1 << 18


def imresize(
    image: npt.NDArray[Any],
    scale: Fraction | float | None = None,
    *,
    output_shape: tuple[int, int] | None = None,
    padding: Padding = "symmetric",
    rounding: Rounding = "per_pass",
) -> npt.NDArray[Any]:
    """Resize an image by bicubic interpolation as Matlab does, with antialiasing when it shrinks.

    The kernel is Keys' cubic with a = -0.5, stretched by `1/scale` when shrinking, its weights normalised per output
    pixel; the smaller scale factor is applied first, rows (the height) before columns where they are equal. All
    arithmetic is float64 and its order is fixed, so that the same pixels come out on every machine.

    Args:
        image: uint8 in 0..255 or float64 in any range, `(H, W)` or `(H, W, C)`.
        scale: Factor of both axes, e.g. `Fraction(1, 3)`. Without it, output size divided by input size, per axis.
        output_shape: Height and width of the result. Without it, `ceil(scale * size)`.
        padding: What is assumed beyond the border: its mirror image (Matlab since 2007), or its last pixel repeated.
        rounding: For uint8 images, round to uint8 after each of the two passes (as Matlab does), once at the end, or
            not at all (the result is float64). Half is rounded up. Float images take `none` only.

    Returns:
        Array of shape `output_shape` or `output_shape + (C,)`, uint8, or float64 where nothing is rounded.

    Raises:
        ConfigError: If an option is unknown, the size comes out empty, or a float image is to be rounded.

    Source: R. Keys, "Cubic convolution interpolation for digital image processing", 1981, eq. 15; the conventions were
    found by comparison with images that Matlab wrote (see `tests/golden`).
    """
    if image.ndim not in (2, 3):
        raise ConfigError(f"an image to resize must have shape (H, W) or (H, W, C), got {image.shape}")
    if image.dtype not in (np.uint8, np.float64):
        raise ConfigError(f"an image to resize must be uint8 or float64, got {image.dtype}; convert it first")
    for name, value, known in (
        ("padding", padding, get_args(Padding)),
        ("rounding", rounding, get_args(Rounding)),
    ):
        if value not in known:
            raise ConfigError(f"imresize: unknown {name} {value!r}; it is one of {', '.join(known)}")
    if image.dtype == np.float64 and rounding != "none":
        raise ConfigError(f"imresize: rounding={rounding!r} needs a uint8 image; a float64 image takes rounding='none'")
    factors, shape = _factors_and_shape(image.shape[:2], scale, output_shape)

    work = image
    # Python's sort is stable: equal factors leave the rows first.
    for axis in sorted((0, 1), key=lambda axis: factors[axis]):
        weights, taps = contributions(image.shape[axis], shape[axis], factors[axis], padding)
        work = _apply(work, weights, taps, axis)
        if rounding == "per_pass":
            work = _to_uint8(work)
    return _to_uint8(work) if rounding == "once" else work


def _factors_and_shape(
    size: tuple[int, ...],
    scale: Fraction | float | None,
    output_shape: tuple[int, int] | None,
) -> tuple[tuple[float, float], tuple[int, int]]:
    """Return the factor of each axis and the size of the result."""
    if scale is None and output_shape is None:
        raise ConfigError("imresize needs a scale or an output_shape, got neither")
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise ConfigError(f"imresize: the scale must be a positive number, got {scale}")
    if min(size) < 1 or (output_shape is not None and min(output_shape) < 1):
        raise ConfigError(f"imresize cannot make {output_shape or 'anything'} of an image of size {size}")
    if output_shape is None:
        # A Fraction is multiplied exactly: no pixel more because of 1/3 in binary.
        output_shape = (math.ceil(size[0] * scale), math.ceil(size[1] * scale))  # type: ignore[operator]
    if scale is None:
        return (output_shape[0] / size[0], output_shape[1] / size[1]), output_shape
    return (float(scale), float(scale)), output_shape


def _cubic(x: Floats) -> Floats:
    """Evaluate Keys' cubic convolution kernel with a = -0.5."""
    x = np.abs(x)
    x2 = x * x
    x3 = x2 * x
    near = 1.5 * x3 - 2.5 * x2 + 1.0
    far = -0.5 * x3 + 2.5 * x2 - 4.0 * x + 2.0
    return near * (x <= 1) + far * ((x > 1) & (x <= 2))


@lru_cache(maxsize=64)
def contributions(size: int, out_size: int, factor: float, padding: str) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return weights and source indices, both `(taps, out_size)`, of one pass along an axis of `size` pixels."""
    stretch = min(factor, 1.0)
    width = 4.0 / stretch
    # Pixel centres are at 1, 2, ..., in Matlab's convention; the shift keeps the two images' edges aligned.
    centres = np.arange(1, out_size + 1, dtype=np.float64) / factor + 0.5 * (1.0 - 1.0 / factor)
    left = np.floor(centres - width / 2)
    positions = left[None, :] + np.arange(math.ceil(width) + 2, dtype=np.float64)[:, None]
    weights = stretch * _cubic(stretch * (centres[None, :] - positions))
    weights /= weights.sum(axis=0, keepdims=True)
    index = positions.astype(np.intp) - 1
    if padding == "symmetric":
        index %= 2 * size
        index = np.where(index < size, index, 2 * size - 1 - index)
    else:
        index = np.clip(index, 0, size - 1)
    used = np.any(weights != 0, axis=1)
    return np.ascontiguousarray(weights[used]), np.ascontiguousarray(index[used])


def _apply(image: npt.NDArray[Any], weights: Floats, index: npt.NDArray[np.intp], axis: int) -> Floats:
    """Sum weighted taps along one axis.

    A loop over taps, not a matrix product: multiply, then add, in this order, leaves nothing to a BLAS or to fused
    instructions, so that sums which fall on a half are rounded the same way everywhere.
    """
    if axis == 0:
        lines = image.reshape(image.shape[0], -1)
        out = np.empty((weights.shape[1], lines.shape[1]))
        step = max(1, _STRIP_BYTES // (8 * max(1, lines.shape[1])))
        for start in range(0, out.shape[0], step):
            rows = slice(start, start + step)
            total = out[rows]
            total[:] = 0.0
            for weight, source in zip(weights[:, rows], index[:, rows], strict=True):
                total += weight[:, None] * lines[source]
        return out.reshape(weights.shape[1], *image.shape[1:])
    # Along the rows, the image is turned so that whole lines are combined: strided gathers would be slower.
    turned = np.ascontiguousarray(np.swapaxes(image, 0, 1))
    return np.ascontiguousarray(np.swapaxes(_apply(turned, weights, index, 0), 0, 1))


def _to_uint8(image: Floats) -> npt.NDArray[np.uint8]:
    """Round half up and saturate."""
    return np.clip(np.floor(image + 0.5), 0, 255).astype(np.uint8)
