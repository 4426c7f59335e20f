"""The parts of basicsr's NIQE that are computed on the CPU for every device: the smaller image and the distance."""

from __future__ import annotations

import functools
import inspect
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.compat.basicsr import load_basicsr

load_basicsr()

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # as in srbench.metrics.niqe.basicsr_niqe
    from basicsr.metrics.niqe import calculate_niqe
    from basicsr.utils.matlab_functions import imresize

__all__ = ["distance", "halved", "window"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def halved(luma: Float32) -> Float32:
    """Return luma at half the size, bicubic with antialiasing.

    basicsr's own function, since its float32 sums are made by the BLAS library in an order that depends on the CPU.

    Args:
        luma: `(H, W)` in 0..255, of even sizes.
    """
    smaller: Float32 = imresize(luma / 255.0, scale=0.5, antialiasing=True) * 255.0
    return smaller


def window() -> Float64:
    """Return the 7x7 Gaussian weights of local means and deviations."""
    weights: Float64 = _pristine()["gaussian_window"]
    return weights


def distance(features: Float64) -> float:
    """Return the distance of an image's features from those of pristine images; NaN if too few blocks have all.

    Args:
        features: `(blocks, 36)`.

    Source: A. Mittal et al., "Making a 'Completely Blind' Image Quality Analyzer", 2013, equations 9 and 10.
    """
    complete = features[~np.isnan(features).any(axis=1)]
    if len(complete) < 2:
        return math.nan
    pristine = _pristine()
    # The mean also counts what the incomplete blocks have.
    difference = pristine["mu_pris_param"] - np.nanmean(features, axis=0)
    covariance = (pristine["cov_pris_param"] + np.cov(complete, rowvar=False)) / 2
    try:
        inverse = np.linalg.pinv(covariance)
    except np.linalg.LinAlgError:
        return math.nan
    with np.errstate(invalid="ignore"):
        return float(np.sqrt((difference @ inverse @ difference.T).item()))


@functools.cache
def _pristine() -> dict[str, Any]:
    path = Path(inspect.getfile(calculate_niqe)).with_name("niqe_pris_params.npz")
    with np.load(path) as arrays:
        return {name: arrays[name] for name in ("mu_pris_param", "cov_pris_param", "gaussian_window")}
