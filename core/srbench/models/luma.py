"""Networks that process only luma: RGB in and out, with chroma upsampled by bicubic interpolation."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from srbench.errors import ConfigError
from srbench.images.color import BT601_OFFSET, BT601_WEIGHTS
from srbench.models.backbone import Backbone
from srbench.models.matlab_bicubic import matlab_bicubic

__all__ = ["LumaBackbone", "LumaOutputs", "rgb_to_chroma", "rgb_to_luma", "ycbcr_to_rgb"]

_CB = (-37.797, -74.203, 112.0)
_CR = (112.0, -93.786, -18.214)
# From luma without its offset and chroma around 0 back to RGB. This is the exact inverse: published tables of four
# digits would not reproduce luma.
_BACK: list[list[float]] = np.linalg.inv(np.array([BT601_WEIGHTS, _CB, _CR]) / 255.0).tolist()


def rgb_to_luma(rgb: Tensor) -> Tensor:
    """Return BT.601 luma in 16/255..235/255, `(N, 1, H, W)`, of RGB in 0..1, `(N, 3, H, W)`."""
    return _mix(rgb, [weight / 255 for weight in BT601_WEIGHTS]) + BT601_OFFSET / 255


def rgb_to_chroma(rgb: Tensor) -> Tensor:
    """Return BT.601 chroma (Cb, Cr) around 0, in +-112/255, `(N, 2, H, W)`, of RGB in 0..1, `(N, 3, H, W)`."""
    return torch.cat([_mix(rgb, [weight / 255 for weight in weights]) for weights in (_CB, _CR)], 1)


def ycbcr_to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """Invert `rgb_to_luma` and `rgb_to_chroma`: return RGB `(N, 3, H, W)`, not clamped."""
    ycbcr = torch.cat([luma - BT601_OFFSET / 255, chroma], 1)
    return torch.cat([_mix(ycbcr, weights) for weights in _BACK], 1)


def _mix(image: Tensor, weights: list[float]) -> Tensor:
    first, second, third = (image[:, channel : channel + 1] for channel in range(3))
    return first * weights[0] + second * weights[1] + third * weights[2]


class LumaOutputs(NamedTuple):
    """Outputs of a luma network.

    Attributes:
        luma: Luma images `(N, 1, H, W)` in 16/255..235/255, not clamped: one per pyramid level or recursion step, the
            SR image last.
        lr: The LR input; the SR image's chroma comes from it.
    """

    luma: tuple[Tensor, ...]
    lr: Tensor


class LumaBackbone(Backbone):
    """A network that processes BT.601 luma; the chroma of its SR image is upsampled by bicubic interpolation.

    A subclass overrides `luma`. If it has several outputs it also overrides `luma_targets`, and `luma_weights` if
    their loss weights differ. Given luma `(N, 1, h, w)` instead of RGB, the network returns luma: protocols such as
    `y-only` use this. Chroma is computed only when the SR image is requested, not in training.

    Chroma is upsampled with Matlab's bicubic, as in the papers' programs. Clamping RGB and rounding it to uint8
    couples luma to chroma, so another interpolation would change PSNR on luma too.
    """

    accepts_luma = True

    def luma(self, luma: Tensor, scale: int) -> Tensor | tuple[Tensor, ...]:
        """Return the SR luma `(N, 1, s*h, s*w)`, or several images with the SR luma last.

        Args:
            luma: `(N, 1, h, w)` in 16/255..235/255.
            scale: The active scale.
        """
        raise NotImplementedError

    def luma_targets(self, luma: Tensor, scale: int) -> tuple[Tensor, ...]:
        """Return each output's target, given HR luma `(N, 1, H, W)` (default: the HR luma for all)."""
        return (luma,)

    def luma_weights(self, outputs: tuple[Tensor, ...]) -> tuple[float, ...]:
        """Return the weight of each output in the loss (default: its share of the SR image's pixels).

        This minimizes the sum over all pixels of all levels, as in LapSRN, normalized by the SR image's pixels.
        """
        return tuple(output[0].numel() / outputs[-1][0].numel() for output in outputs)

    def forward(self, lr: Tensor, scale: int | None = None) -> LumaOutputs:
        """Upsample the luma of RGB LR images `(N, 3, h, w)` in 0..1, or luma `(N, 1, h, w)`.

        Raises:
            ConfigError: The images have neither 3 channels nor 1.
        """
        scale = self.select_scale(scale)
        if lr.shape[1] not in (1, 3):
            raise ConfigError(f"a luma network takes RGB (N, 3, h, w) or luma (N, 1, h, w), got {tuple(lr.shape)}")
        made = self.luma(lr if lr.shape[1] == 1 else rgb_to_luma(lr), scale)
        return LumaOutputs((made,) if isinstance(made, Tensor) else tuple(made), lr)

    def targets(self, hr: Tensor, scale: int) -> tuple[Tensor, ...]:
        """Return each output's target luma, given HR images `(N, 3, H, W)` or their luma."""
        return self.luma_targets(hr if hr.shape[1] == 1 else rgb_to_luma(hr), scale)

    def loss(self, outputs: Any, targets: Any, criterion: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Return the weighted sum of the criterion over the outputs' luma."""
        luma = outputs.luma
        if len(targets) == 1:
            targets = targets * len(luma)
        terms = [
            weight * criterion(output, target)
            for weight, output, target in zip(self.luma_weights(luma), luma, targets, strict=True)
        ]
        return torch.stack(terms).sum()

    def image(self, outputs: Any) -> Tensor:
        """Return the SR image: RGB `(N, 3, H, W)`, or luma if the input was luma."""
        return self._image(outputs.luma[-1], outputs.lr)

    def images(self, outputs: Any) -> list[Tensor]:
        """Return the image of every output; `image` returns only the last."""
        return [self._image(luma, outputs.lr) for luma in outputs.luma]

    @staticmethod
    def _image(luma: Tensor, lr: Tensor) -> Tensor:
        if lr.shape[1] == 1:
            return luma
        return ycbcr_to_rgb(luma, matlab_bicubic(rgb_to_chroma(lr), Fraction(luma.shape[-1], lr.shape[-1])))
