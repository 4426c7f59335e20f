"""NIQE, which judges an image without its original; importing this module needs neither torch nor basicsr."""

from __future__ import annotations

import importlib
import math

from srbench.errors import DataError
from srbench.metrics.comparison import Comparison

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
        importlib.import_module("srbench.metrics.niqe.basicsr_niqe")

    def __call__(self, comparison: Comparison) -> float:
        """Return the score of the SR image without its border; lower is more natural.

        Raises:
            DataError: If the protocol compares luma alone, the image holds fewer than two blocks of 96x96 pixels, or it
                is too flat for the statistics.
            PluginError: If basicsr cannot be imported.

        Source: A. Mittal et al., "Making a 'Completely Blind' Image Quality Analyzer", 2013.
        """
        sr, _ = comparison.rgb(self.name)
        border = comparison.crop_border
        height, width = (size + 2 * border for size in sr.shape[:2])
        if math.prod(size // BLOCK for size in sr.shape[:2]) < 2:
            raise DataError(
                f"niqe needs two blocks of {BLOCK}x{BLOCK} pixels; an image of {width}x{height} pixels, {border} "
                "cropped on each side, holds fewer; leave niqe out for so small images"
            )
        from srbench.metrics.niqe.basicsr_niqe import niqe

        value = niqe(sr)
        if not math.isfinite(value):
            raise DataError(
                f"niqe is not defined for this image of {width}x{height} pixels: too many of its {BLOCK}x{BLOCK} "
                "blocks are flat"
            )
        return value
