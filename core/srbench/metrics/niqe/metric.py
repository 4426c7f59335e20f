"""NIQE, which judges an image without its original; importing this module needs neither torch nor basicsr."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from srbench.errors import DataError
from srbench.metrics.base import check_images

__all__ = ["BLOCK", "NIQE"]

BLOCK = 96  # side of the blocks whose statistics are fitted; two at least, for a covariance


class NIQE:
    """NIQE on BT.601 luma rounded to whole levels, in basicsr's implementation; the original is not looked at."""

    name = "niqe"
    unit = ""
    higher_is_better = False

    def prepare(self) -> None:
        """Load basicsr's implementation, so that what is missing is missed before the first image.

        Raises:
            PluginError: basicsr cannot be imported.
        """

    def __call__(self, sr: npt.NDArray[np.uint8], hr: npt.NDArray[np.uint8], crop_border: int) -> float:
        """Return the score of a uint8 RGB image `(H, W, 3)` without its border; lower is more natural.

        Raises:
            DataError: If the image holds fewer than two blocks of 96x96 pixels, or is too flat for the statistics.
            PluginError: If basicsr cannot be imported.

        Source: A. Mittal et al., "Making a 'Completely Blind' Image Quality Analyzer", 2013.
        """
        check_images(self.name, sr, hr, crop_border)
        blocks = math.prod((size - 2 * crop_border) // BLOCK for size in sr.shape[:2])
        if blocks < 2:
            raise DataError(
                f"niqe needs two blocks of {BLOCK}x{BLOCK} pixels; an image of {sr.shape[1]}x{sr.shape[0]} pixels, "
                f"{crop_border} cropped on each side, holds {blocks}; leave niqe out for so small images"
            )
        from srbench.metrics.niqe.basicsr_niqe import niqe

        value = niqe(sr, crop_border)
        if not math.isfinite(value):
            raise DataError(
                f"niqe is not defined for this image of {sr.shape[1]}x{sr.shape[0]} pixels: too many of its "
                f"{BLOCK}x{BLOCK} blocks are flat"
            )
        return value
