"""basicsr's NIQE."""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt

from srbench.compat.basicsr import load_basicsr

load_basicsr()

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # about scipy.ndimage.filters, an older name of scipy.ndimage
    from basicsr.metrics.niqe import calculate_niqe

__all__ = ["niqe"]


def niqe(image: npt.NDArray[np.uint8]) -> float:
    """Return basicsr's NIQE of a whole uint8 RGB image `(H, W, 3)`; not finite for flat images."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # flat blocks give 0/0 and are left out
        try:
            # basicsr takes OpenCV's channel order.
            return float(calculate_niqe(image[..., ::-1], crop_border=0))
        except np.linalg.LinAlgError:  # if all blocks were left out
            return math.nan
