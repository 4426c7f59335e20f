"""The interface of metrics, and checks that all metrics share."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from srbench.errors import DataError
from srbench.metrics.comparison import Comparison

__all__ = ["Metric", "check_pair", "check_values", "crop", "prepare"]


@runtime_checkable
class Metric(Protocol):
    """Compare an SR image with its HR image.

    A class may also have an attribute `files`, the files that it needs as `srbench.metrics.resources.MetricFile`, and a
    method `prepare()` that downloads or loads them: it is called before the first image.

    Attributes:
        name: The name for the registry and for results, e.g. `psnr_y`.
        unit: `dB`, or "" for a number without a unit.
        higher_is_better: The sorting direction on leaderboards.
    """

    name: str
    unit: str
    higher_is_better: bool

    def __call__(self, comparison: Comparison) -> float:
        """Return the metric's value for two images.

        The protocol decides color, border, data range and window; a metric takes them from the comparison.

        Args:
            comparison: The SR and the HR image, prepared by a protocol.

        Raises:
            DataError: If the metric is not defined for these images, e.g. too small ones.
        """
        ...


def check_pair(a: npt.NDArray[Any], b: npt.NDArray[Any], crop_border: int, *, least: int = 1) -> None:
    """Raise `DataError` unless both images have the same shape and at least `least` pixels per side after cropping."""
    if a.shape != b.shape:
        raise DataError(f"two images to compare must have the same shape, got {a.shape} and {b.shape}")
    if crop_border < 0:
        raise DataError(f"crop_border is a number of pixels, 0 or more, got {crop_border}")
    if min(a.shape[:2]) - 2 * crop_border < least:
        raise DataError(
            f"images of {a.shape[1]}x{a.shape[0]} pixels are too small for this metric: after cropping {crop_border} "
            f"on each side it needs {least}x{least}"
        )


def check_values(metric: str, image: npt.NDArray[Any], data_range: float) -> None:
    """Raise `DataError` unless all values of an image are finite and in 0..data_range."""
    if image.dtype == np.uint8 and data_range >= 255:
        return
    low, high = (float(image.min()), float(image.max())) if image.size else (0.0, 0.0)
    # Comparisons with NaN are false, so this tests for what is valid.
    if not (low >= 0 and high <= data_range):
        raise DataError(
            f"{metric} takes values in 0..{data_range:g}, got {image.dtype} values in {low:.4g}..{high:.4g}; scale and "
            "clamp the image first"
        )


def crop(image: npt.NDArray[Any], border: int) -> npt.NDArray[Any]:
    """Return a view without `border` pixels on each side."""
    return image[border : image.shape[0] - border, border : image.shape[1] - border]


def prepare(metric: Metric) -> None:
    """Load what a metric needs, so that a missing file is reported before hours of work.

    Raises:
        SRBenchError: A file or library is not available.
    """
    if (own := getattr(metric, "prepare", None)) is not None:
        own()
