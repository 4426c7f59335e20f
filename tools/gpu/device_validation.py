"""PSNR on luma of images on the device, for learning curves without decoding or scoring on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srbench.data.datasets import Dataset
from srbench.images.color import BT601_WEIGHTS
from srbench.protocols import get_protocol

__all__ = ["DeviceValidator"]


class DeviceValidator:
    """Measure `psnr_y` under protocol matlab-y like `srbench eval`, but in float32 on the device."""

    def __init__(self, dataset: Dataset, scale: int, device: torch.device) -> None:
        protocol = get_protocol("matlab-y")
        self.scale, self.border = scale, protocol.crop(scale)
        self.pairs: list[tuple[Tensor, Tensor]] = []
        for name in dataset.image_names():
            lr, hr = dataset.pair(name, scale, protocol)
            self.pairs.append((_planes(lr).to(device).float().div_(255), _planes(hr).to(device).float()))
        self.weights = torch.tensor(BT601_WEIGHTS, device=device).float().div_(255)[:, None, None]

    @torch.no_grad()
    def __call__(self, net: Any) -> Mapping[str, float]:
        """Return the mean over the images with a key like `psnr_y x2`; the network's mode is restored."""
        training = net.training
        net.eval()
        tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        # Images have many sizes, and benchmarking kernels for each takes longer than it saves.
        benchmark = torch.backends.cudnn.benchmark
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        try:
            errors = [self._squared_error(net, lr, hr) for lr, hr in self.pairs]
            mean = (10 * torch.log10(255**2 / torch.stack(errors).double())).mean()
            return {f"psnr_y x{self.scale}": float(mean)}
        finally:
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
            torch.backends.cudnn.benchmark = benchmark
            net.train(training)

    def _squared_error(self, net: Any, lr: Tensor, hr: Tensor) -> Tensor:
        sr = net.image(net(lr, self.scale)).float().clamp(0, 1).mul(255).round()
        difference = ((sr - hr)[0] * self.weights).sum(0)
        border = self.border
        return difference[border:-border, border:-border].square().mean() if border else difference.square().mean()


def _planes(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
