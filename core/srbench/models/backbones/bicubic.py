"""Bicubic interpolation, the baseline of every SR table."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from srbench.images.resize import imresize
from srbench.models.backbone import Backbone

__all__ = ["Bicubic", "bicubic"]


class Bicubic(Backbone):
    """Enlarge images as Matlab's `imresize(..., 'bicubic')` does; it has no parameters.

    Images of whole levels (multiples of 1/255) are taken for uint8 ones: the result is rounded to uint8 after each
    pass, and divided by 255. Any others are enlarged in float64, and nothing is rounded.
    """

    receptive_field = 2
    accepts_luma = True

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return the enlarged images `(N, C, s*h, s*w)` of LR images `(N, C, h, w)` in 0..1, RGB or luma."""
        factor = self.select_scale(scale)
        levels = lr.detach().permute(0, 2, 3, 1).cpu().double().mul(255).numpy()
        whole = np.rint(levels)
        # In float32 a level is off by 1e-5 at most; an image that was not rounded is not whole everywhere by chance.
        if np.abs(levels - whole).max(initial=0.0) < 1e-4 and whole.min() >= 0 and whole.max() <= 255:
            enlarged = np.stack([imresize(image, factor) for image in whole.astype(np.uint8)]).astype(np.float64)
        else:
            enlarged = np.stack([imresize(image, factor, rounding="none") for image in levels])
        return torch.from_numpy(enlarged).permute(0, 3, 1, 2).to(device=lr.device, dtype=lr.dtype).div(255)


def bicubic(scales: tuple[int, ...]) -> Bicubic:
    """Build the bicubic baseline for any scales."""
    return Bicubic(scales)
