"""The file with AlexNet's weights, which LPIPS uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from srbench.metrics.resources import MetricFile

if TYPE_CHECKING:
    from srbench.cache import Cache

__all__ = ["ALEXNET", "FEATURES", "alexnet_file"]

ALEXNET = MetricFile(
    name="alexnet-owt-7be5be79.pth",
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    size=244_408_911,
    source="torchvision's AlexNet, trained on ImageNet (BSD-3-Clause)",
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
)


# The same convolutions without the classifier, which LPIPS does not use: a twenty-fifth of the size.
FEATURES = MetricFile(
    name="alexnet_features_f32.pth",
    sha256="f810992f182a6c82ed87e42a6ca76ed47a1a728c3d932925b3a9d5464582bb99",
    size=9_883_029,
    source="the convolutions of torchvision's AlexNet (BSD-3-Clause), as float32",
)


def alexnet_file(cache: Cache | None = None) -> Path:
    """Return a file with AlexNet's convolutions: either known file from the cache, else torchvision's, downloaded.

    Raises:
        NetworkError: Neither file is in the cache, and torchvision's cannot be downloaded.
    """
    from srbench.cache import Cache

    cache = cache or Cache()
    for file in (FEATURES, ALEXNET):
        if (path := cache.verified(file.sha256)) is not None:
            return path
    assert ALEXNET.url is not None
    return cache.fetch(ALEXNET.url, ALEXNET.sha256, ALEXNET.name, ALEXNET.size)
