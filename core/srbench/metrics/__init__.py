"""Metrics: a pure numpy function each, and an object around it that the registry knows by name."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from srbench.errors import DataError

__all__ = ["Metric", "check_pair", "crop"]


@runtime_checkable
class Metric(Protocol):
    """Compare an SR image with its HR image.

    Attributes:
        name: What it is registered and stored under, e.g. `psnr_y`.
        unit: `dB`, or "" for a number without a unit.
        higher_is_better: Which way a leaderboard sorts.
    """

    name: str
    unit: str
    higher_is_better: bool

    def __call__(self, sr: npt.NDArray[np.uint8], hr: npt.NDArray[np.uint8], crop_border: int) -> float:
        """Return the value for two uint8 RGB images `(H, W, 3)`, `crop_border` pixels cut off each side.

        Under a protocol that compares luma alone, they are uint8 luma `(H, W)`; a metric that has no use for that
        raises DataError.
        """
        ...


def check_pair(a: npt.NDArray[Any], b: npt.NDArray[Any], crop_border: int, *, least: int = 1) -> None:
    """Raise `DataError` unless both images have one shape and `least` pixels remain each way between the borders."""
    if a.shape != b.shape:
        raise DataError(f"two images to compare must have the same shape, got {a.shape} and {b.shape}")
    if crop_border < 0:
        raise DataError(f"crop_border is a number of pixels, 0 or more, got {crop_border}")
    if min(a.shape[:2]) - 2 * crop_border < least:
        raise DataError(
            f"images of {a.shape[1]}x{a.shape[0]} pixels are too small for this metric: after cropping {crop_border} "
            f"on each side it needs {least}x{least}"
        )


def crop(image: npt.NDArray[Any], border: int) -> npt.NDArray[Any]:
    """Return a view without `border` pixels on each side (all of it where `border` is 0)."""
    return image[border : image.shape[0] - border, border : image.shape[1] - border]
