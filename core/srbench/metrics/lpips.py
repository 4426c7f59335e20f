"""LPIPS, a learned perceptual distance; importing this module needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from srbench.errors import DataError
from srbench.metrics import check_images, check_pair, check_values, crop
from srbench.metrics.files import MetricFile

if TYPE_CHECKING:
    from srbench.cache import Cache

__all__ = ["ALEXNET", "FEATURES", "LEAST", "LPIPS", "alexnet_file", "lpips_distance"]

ALEXNET = MetricFile(
    name="alexnet-owt-7be5be79.pth",
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    size=244_408_911,
    source="torchvision's AlexNet, trained on ImageNet (BSD-3-Clause)",
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
)
# The same convolutions without the classifier that LPIPS does not use: a twenty-fifth of the size.
FEATURES = MetricFile(
    name="alexnet_features_f32.pth",
    sha256="f810992f182a6c82ed87e42a6ca76ed47a1a728c3d932925b3a9d5464582bb99",
    size=9_883_029,
    source="the convolutions of torchvision's AlexNet (BSD-3-Clause), as float32",
)
LEAST = 31  # pixels each way: with fewer, nothing is left after AlexNet's second pooling


def alexnet_file(cache: Cache | None = None) -> Path:
    """Return a file with AlexNet's convolutions: one of the two that are known, from the cache, or a download.

    Raises:
        NetworkError: Neither is in the cache, and torchvision's cannot be downloaded.
    """
    from srbench.cache import Cache

    cache = cache or Cache()
    for file in (FEATURES, ALEXNET):
        if (path := cache.verified(file.sha256)) is not None:
            return path
    assert ALEXNET.url is not None
    return cache.fetch(ALEXNET.url, ALEXNET.sha256, ALEXNET.name, ALEXNET.size)


def lpips_distance(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return the LPIPS distance (AlexNet, version 0.1) of two RGB images: 0 for equal ones.

    Args:
        a: `(H, W, 3)`, uint8 or float in 0..1, at least 31 pixels each way.
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
    from srbench.engine.lpips_network import distance

    return distance(*(image / 127.5 - 1 if image.dtype == np.uint8 else image * 2.0 - 1 for image in (a, b)))


class LPIPS:
    """LPIPS with AlexNet (version 0.1) on RGB, computed on the CPU in float32."""

    name = "lpips"
    unit = ""
    higher_is_better = False
    files = (ALEXNET, FEATURES)

    def prepare(self) -> None:
        """Load the network, so that what is missing is missed before the first image.

        Raises:
            NetworkError: AlexNet's weights are not in the cache and cannot be downloaded.
            PluginError: The `lpips` package or torchvision cannot be imported.
        """
        from srbench.engine.lpips_network import network

        network()

    def __call__(self, sr: npt.NDArray[np.uint8], hr: npt.NDArray[np.uint8], crop_border: int) -> float:
        """Return the distance of uint8 RGB images `(H, W, 3)` without their borders."""
        check_images(self.name, sr, hr, crop_border, least=LEAST)
        return lpips_distance(crop(sr, crop_border), crop(hr, crop_border))
