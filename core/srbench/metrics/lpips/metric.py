"""LPIPS, a learned perceptual distance; importing this module needs no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.errors import DataError
from srbench.metrics.base import check_pair, check_values
from srbench.metrics.comparison import Comparison
from srbench.metrics.lpips.alexnet import ALEXNET, FEATURES

__all__ = ["LEAST", "LPIPS", "lpips_distance"]

LEAST = 31  # pixels per side: with fewer, nothing is left after AlexNet's second pooling


def lpips_distance(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return the LPIPS distance (AlexNet, version 0.1) of two RGB images: 0 for equal ones.

    Args:
        a: `(H, W, 3)`, uint8 or float in 0..1, at least 31 pixels per side.
        b: The same shape.

    Raises:
        DataError: If the shapes differ or are too small, or values are outside the range.
        NetworkError: If AlexNet's weights are not in the cache and cannot be downloaded.
        PluginError: If the `lpips` package or torchvision cannot be imported.

    Source: R. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018, eq. 1.
    """
    check_pair(a, b, 0, least=LEAST)
    if a.ndim != 3 or a.shape[2] != 3:
        raise DataError(f"lpips compares RGB images (H, W, 3), got shape {a.shape}")
    for image in (a, b):
        if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
            raise DataError(f"lpips takes uint8 images, or float images in 0..1, got {image.dtype}")
        check_values("lpips", image, 255 if image.dtype == np.uint8 else 1)
    from srbench.metrics.lpips.network import distance

    return distance(*(image / 127.5 - 1 if image.dtype == np.uint8 else image * 2.0 - 1 for image in (a, b)))


class LPIPS:
    """LPIPS with AlexNet (version 0.1) on RGB, computed on the CPU in float32."""

    name = "lpips"
    unit = ""
    higher_is_better = False
    files = (ALEXNET, FEATURES)

    def prepare(self) -> None:
        """Load the network, so that missing files are reported before the first image.

        Raises:
            NetworkError: AlexNet's weights are not in the cache and cannot be downloaded.
            PluginError: The `lpips` package or torchvision cannot be imported.
        """
        from srbench.metrics.lpips.network import network

        network()

    def __call__(self, comparison: Comparison) -> float:
        """Return the distance between the cropped RGB images.

        Raises:
            DataError: If the protocol compares only luma, or the images have fewer than 31 pixels per side.
        """
        sr, hr = comparison.rgb(self.name)
        comparison.check_size(LEAST)
        return lpips_distance(sr, hr)
