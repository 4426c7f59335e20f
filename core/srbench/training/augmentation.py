"""Scale augmentation: patches of images that are first downscaled by a random factor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

# Bit-exact Matlab arithmetic, so that a window has exactly the pixels of the whole image.
from srbench.images.resize import _apply, _to_uint8, contributions

__all__ = ["scaled_pair", "scaled_size", "smallest_factor"]

Image = npt.NDArray[np.uint8]
Taps = tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]


def scaled_size(image: Image, factor: float) -> tuple[int, int]:
    """Return height and width of an image `(H, W, 3)` after downscaling by a factor."""
    return math.ceil(image.shape[0] * factor), math.ceil(image.shape[1] * factor)


def smallest_factor(image: Image, side: int) -> float:
    """Return the factor at which the shorter side of an image `(H, W, 3)` is still `side` pixels long."""
    shorter: int = min(image.shape[:2])
    return side / shorter


def scaled_pair(
    image: Image, factor: float, scale: int, position: npt.NDArray[np.float64], side: int
) -> tuple[Image, Image]:
    """Return an LR patch and its HR patch from an image that is first downscaled.

    They equal patches cut from files: the whole image is downscaled by `factor` with Matlab's bicubic, cropped to a
    multiple of the scale, and downscaled by the scale. Only the pixels of the patches are computed.

    Args:
        image: The HR image, uint8 `(H, W, 3)`.
        factor: 0..1; the result must be at least as large as a patch.
        scale: Scale of the LR patch.
        position: Row and column of the patch's corner, as fractions in [0, 1) of the possible range.
        side: Side length of the LR patch in pixels.

    Returns:
        LR `(side, side, 3)` and HR `(scale * side, scale * side, 3)`, uint8.

    Source: Lai et al., "Deep Laplacian pyramid networks for fast and accurate super-resolution", CVPR 2017, section 4.
    """
    lr_taps, hr_taps, starts = [], [], []
    for size, reduced, where in zip(image.shape, scaled_size(image, factor), position, strict=False):
        lr_size = reduced // scale
        corner = int(where * (lr_size - side + 1))
        weights, index = _taps(lr_size * scale, lr_size, 1 / scale)
        weights, index = weights[:, corner : corner + side], index[:, corner : corner + side]
        start = min(int(index.min()), corner * scale)
        stop = max(int(index.max()) + 1, (corner + side) * scale)
        lr_taps.append((weights, index - start))
        starts.append(corner * scale - start)
        weights, index = _taps(size, reduced, factor)
        hr_taps.append((weights[:, start:stop], index[:, start:stop]))
    window = _reduced(image, hr_taps)
    row, column = starts
    return _reduced(window, lr_taps), window[row : row + side * scale, column : column + side * scale]


def _taps(size: int, out_size: int, factor: float) -> Taps:
    # Bypass the cache: random factors would only evict entries that recur.
    compute: Any = contributions.__wrapped__
    taps: Taps = compute(size, out_size, factor, "symmetric")
    return taps


def _reduced(image: Image, taps: list[Taps]) -> Image:
    """Filter rows, then columns, each pass rounded to uint8; unused pixels are dropped first."""
    for axis, (weights, index) in enumerate(taps):
        first = int(index.min())
        image = image.take(range(first, int(index.max()) + 1), axis)
        taps[axis] = weights, index - first
    for axis, (weights, index) in enumerate(taps):
        image = _to_uint8(_apply(image, weights, index, axis))
    return image
