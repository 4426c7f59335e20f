"""Bicubic interpolation, the baseline of every SR table."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from srbench.images.resize import imresize
from srbench.models.backbone import Backbone

__all__ = ["Bicubic", "bicubic"]


class Bicubic(Backbone):
    """Upsample images as Matlab's `imresize(..., 'bicubic')` does; it has no parameters.

    Images whose values are all multiples of 1/255 are treated as uint8: the result is rounded to uint8 after each
    pass and divided by 255. All others are upsampled in float64 without rounding.
    """

    receptive_field = 2
    accepts_luma = True

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Upsample LR images `(N, C, h, w)` in 0..1, RGB or luma, to `(N, C, s*h, s*w)`."""
        factor = self.select_scale(scale)
        levels = lr.detach().permute(0, 2, 3, 1).cpu().double().mul(255).numpy()
        whole = np.rint(levels)
        # In float32 a level is off by at most 1e-5; an unrounded image does not have whole levels everywhere by
        # chance.
        if np.abs(levels - whole).max(initial=0.0) < 1e-4 and whole.min() >= 0 and whole.max() <= 255:
            enlarged = np.stack([imresize(image, factor) for image in whole.astype(np.uint8)]).astype(np.float64)
        else:
            enlarged = np.stack([imresize(image, factor, rounding="none") for image in levels])
        return torch.from_numpy(enlarged).permute(0, 3, 1, 2).to(device=lr.device, dtype=lr.dtype).div(255)


def bicubic(scales: tuple[int, ...]) -> Bicubic:
    """Build the bicubic baseline for any scales."""
    return Bicubic(scales)
