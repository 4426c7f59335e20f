"""LR images by each of the kernels that a protocol may name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from srbench.images.resize import Padding, Rounding, imresize

__all__ = ["LRKernel", "LRPadding", "downsample"]

LRKernel = Literal["matlab-bicubic", "pillow-bicubic", "nearest"]
LRPadding = Literal["symmetric", "replicate", "none"]


def downsample(
    image: npt.NDArray[np.uint8], scale: int, kernel: LRKernel, padding: LRPadding, rounding: Rounding
) -> npt.NDArray[Any]:
    """Return an image made `scale` times smaller.

    Args:
        image: uint8 `(H, W)` or `(H, W, 3)`, a multiple of the scale each way.
        scale: 1 or more.
        kernel: Matlab's bicubic; Pillow's, which is cut off at the border and rounds after each pass, columns first;
            or every `scale`-th pixel.
        padding: For Matlab's bicubic, what is assumed beyond the border; the other kernels have `none`.
        rounding: For Matlab's bicubic, when values are rounded to uint8.

    Returns:
        `(H // scale, W // scale)`, with the last axis if there was one, uint8, or float64 where nothing is rounded.
    """
    if kernel == "nearest":
        return np.ascontiguousarray(image[::scale, ::scale])
    if kernel == "pillow-bicubic":
        from PIL import Image

        size = (image.shape[1] // scale, image.shape[0] // scale)
        return np.array(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BICUBIC))
    beyond: Padding = "replicate" if padding == "replicate" else "symmetric"
    return imresize(image, Fraction(1, scale), padding=beyond, rounding=rounding)
