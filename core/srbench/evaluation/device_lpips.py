"""LPIPS on a GPU."""

from __future__ import annotations

import copy
import functools
import threading
from typing import Any

import torch

from srbench.metrics.comparison import Comparison
from srbench.metrics.lpips.metric import LEAST, LPIPS

__all__ = ["LPIPS_TOLERANCE", "DeviceLPIPS"]

# Largest difference of an image's value from the CPU's: both compute in float32, with sums in another order.
LPIPS_TOLERANCE = 1e-5

_copying = threading.Lock()


class DeviceLPIPS:
    """LPIPS as `srbench.metrics.lpips.metric.LPIPS` computes it, on another device.

    Args:
        device: Where the network runs, e.g. `cuda`.
    """

    name = LPIPS.name
    unit = LPIPS.unit
    higher_is_better = LPIPS.higher_is_better
    files = LPIPS.files

    def __init__(self, device: str) -> None:
        self.device = device

    def prepare(self) -> None:
        """Load the network, so that missing files are reported before the first image.

        Raises:
            NetworkError: AlexNet's weights are not in the cache and cannot be downloaded.
            PluginError: The `lpips` package or torchvision cannot be imported.
        """
        _network_on(self.device)

    def __call__(self, comparison: Comparison) -> float:
        """Return the distance between the cropped RGB images, of uint8.

        `evaluate` keeps TF32 off while metrics are computed.

        Raises:
            DataError: If the protocol compares only luma, or the images have fewer than 31 pixels per side.
        """
        sr, hr = comparison.rgb(self.name)
        comparison.check_size(LEAST)
        with torch.inference_mode():
            # The division is made in float64 before rounding, as on the CPU.
            images = [
                (torch.from_numpy(image.copy()).to(self.device).permute(2, 0, 1)[None].double() / 127.5 - 1)
                .float()
                .contiguous()
                for image in (sr, hr)
            ]
            return float(_network_on(self.device)(*images))


def _network_on(device: str) -> Any:
    with _copying:  # two threads may compute scores at once
        return _copied(device)


@functools.cache
def _copied(device: str) -> Any:
    from srbench.metrics.lpips.network import network

    return copy.deepcopy(network()).to(device)
