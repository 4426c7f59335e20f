"""NIQE on a GPU."""

from __future__ import annotations

import importlib
import math
import threading
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from srbench.metrics.comparison import Comparison
from srbench.metrics.niqe.metric import BLOCK, NIQE

if TYPE_CHECKING:
    from srbench.metrics.niqe.features import FitTable

__all__ = ["NIQE_TOLERANCE", "DeviceNIQE"]

# Largest difference of an image's score from the CPU's, which is the same to the last bit where all steps are rounded
# alike. A larger difference would mean that they are not: one last bit can change which distribution is nearest.
NIQE_TOLERANCE = 1e-6

_preparing = threading.Lock()


class DeviceNIQE:
    """NIQE as `srbench.metrics.niqe.metric.NIQE` computes it, with the statistics of its blocks on another device.

    Args:
        device: Where the statistics are computed, e.g. `cuda`.
    """

    name = NIQE.name
    unit = NIQE.unit
    higher_is_better = NIQE.higher_is_better

    def __init__(self, device: str) -> None:
        self.device = device

    def prepare(self) -> None:
        """Load basicsr's parts and the table of distributions.

        Raises:
            PluginError: basicsr cannot be imported.
        """
        importlib.import_module("srbench.metrics.niqe.basicsr_parts")
        _table_on(self.device)

    def __call__(self, comparison: Comparison) -> float:
        """Return the score of the cropped SR image; lower is more natural.

        Raises:
            DataError: If the protocol compares only luma, the image has fewer than two blocks of 96x96 pixels, or it is
                too flat for the statistics.
            PluginError: If basicsr cannot be imported.

        Source: A. Mittal et al., "Making a 'Completely Blind' Image Quality Analyzer", 2013.
        """
        sr, _ = comparison.rgb(self.name)
        value = math.nan
        if math.prod(size // BLOCK for size in sr.shape[:2]) >= 2:
            value = self._score(sr)
        # Where there is no score, the metric on the CPU says why.
        return value if math.isfinite(value) else NIQE()(comparison)

    def _score(self, image: npt.NDArray[np.uint8]) -> float:
        from srbench.metrics.niqe import basicsr_parts as parts
        from srbench.metrics.niqe.features import scale_features
        from srbench.metrics.niqe.luma_levels import rounded_luma

        height, width = (size // BLOCK * BLOCK for size in image.shape[:2])
        table = _table_on(self.device)
        with torch.inference_mode():
            luma = rounded_luma(torch.from_numpy(image[:height, :width].copy()).to(self.device))
            half = torch.from_numpy(parts.halved(luma.cpu().numpy())).to(self.device)
            both = [scale_features(*scale, parts.window(), table) for scale in ((luma, BLOCK), (half, BLOCK // 2))]
            return parts.distance(torch.cat(both, 1).cpu().numpy())


def _table_on(device: str) -> FitTable:
    from srbench.metrics.niqe.features import fit_table

    with _preparing:  # two threads may compute scores at once
        return fit_table(device)
