"""NIQE, a no-reference metric; importing this module needs neither torch nor basicsr."""

from __future__ import annotations

import importlib
import math

from srbench.errors import DataError
from srbench.metrics.comparison import Comparison

__all__ = ["BLOCK", "NIQE"]

BLOCK = 96  # side of the blocks whose statistics are fitted; a covariance needs at least two blocks


class NIQE:
    """NIQE on BT.601 luma rounded to integers, in basicsr's implementation; the HR image is ignored."""

    name = "niqe"
    unit = ""
    higher_is_better = False

    def prepare(self) -> None:
        """Load basicsr's implementation, so that missing packages are reported before the first image.

        Raises:
            PluginError: basicsr cannot be imported.
        """
        importlib.import_module("srbench.metrics.niqe.basicsr_niqe")

    def __call__(self, comparison: Comparison) -> float:
        """Return the score of the cropped SR image; lower is more natural.

        Raises:
            DataError: If the protocol compares only luma, the image has fewer than two blocks of 96x96 pixels, or it is
                too flat for the statistics.
            PluginError: If basicsr cannot be imported.

        Source: A. Mittal et al., "Making a 'Completely Blind' Image Quality Analyzer", 2013.
        """
        sr, _ = comparison.rgb(self.name)
        border = comparison.crop_border
        height, width = (size + 2 * border for size in sr.shape[:2])
        if math.prod(size // BLOCK for size in sr.shape[:2]) < 2:
            raise DataError(
                f"niqe needs two blocks of {BLOCK}x{BLOCK} pixels; an image of {width}x{height} pixels, {border} "
                "cropped on each side, has fewer; leave out niqe for such small images"
            )
        from srbench.metrics.niqe.basicsr_niqe import niqe

        value = niqe(sr)
        if not math.isfinite(value):
            raise DataError(
                f"niqe is not defined for this image of {width}x{height} pixels: too many of its {BLOCK}x{BLOCK} "
                "blocks are flat"
            )
        return value
