"""Bicubic interpolation, the baseline of every SR table."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from srbench.backbone import Backbone
from srbench.data.resize import imresize

__all__ = ["Bicubic", "bicubic"]


class Bicubic(Backbone):
    """Enlarge RGB images as Matlab's `imresize(..., 'bicubic')` does with uint8 images; it has no parameters.

    Input in 0..1 is rounded to the uint8 values that it came from; the result is uint8 again, divided by 255.
    """

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return the enlarged images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        factor = self.select_scale(scale)
        images = lr.detach().mul(255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        enlarged = np.stack([imresize(image, factor) for image in images])
        return torch.from_numpy(enlarged).permute(0, 3, 1, 2).to(device=lr.device, dtype=lr.dtype).div(255)


def bicubic(scales: tuple[int, ...]) -> Bicubic:
    """Build the bicubic baseline for any scales."""
    return Bicubic(scales)
