"""Mask predictors: where a block computes, and which channels it computes everywhere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DynamicChannelMask", "GradientMask", "NoChannelMask", "SharedMask", "SpatialMask", "StaticChannelMask"]

# Features over those inside the predictors. With 4, networks with dynamic masks have the size that the supplement's
# Table I prints (1012K).
_REDUCTION = 4
# Of the luma's gradient, in 0..1 per pixel: marks about as many LR pixels as the authors' learned masks do on Set5.
_GRADIENT_THRESHOLD = 0.03


class SpatialMask(nn.Module):
    """Predict where a block computes its sparse channels, from features at half resolution.

    Args:
        in_channels: Channels of the features that it sees.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        inner = max(in_channels // _REDUCTION, 1)
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, inner, 3, padding=1),
            nn.ReLU(inplace=True),
            # The authors cut images to even sizes; with the last row or column pooled by itself any size will do.
            nn.AvgPool2d(2, ceil_mode=True),
            nn.Conv2d(inner, inner, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(inner, 2, 3, stride=2, padding=1, output_padding=1),
        )

    def logits(self, x: Tensor) -> Tensor:
        """Return logits `(N, 2, h, w)` of off and on, of features `(N, C, h, w)`."""
        height, width = x.shape[2:]
        found: Tensor = self.layers(x)
        return found[:, :, :height, :width]

    def forward(self, x: Tensor, temperature: float | None = None) -> Tensor:
        """Return the mask `(N, 1, h, w)`: 0 or 1, or drawn by Gumbel softmax in 0..1 where there is a temperature."""
        logits = self.logits(x)
        if temperature is None:
            return (logits[:, 1:] > logits[:, :1]).to(x.dtype)
        return F.gumbel_softmax(logits, temperature, dim=1)[:, 1:]


class SharedMask(SpatialMask):
    """The spatial mask of several blocks, predicted from the input of the first.

    Attributes:
        leader: Path of the first block.
        current: The mask of the current forward pass.

    Args:
        in_channels: Channels of that input.
        leader: Path of the first block.
    """

    def __init__(self, in_channels: int, leader: str) -> None:
        super().__init__(in_channels)
        self.leader = leader
        self.current: tuple[Tensor, ...] = ()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "current": ()}  # a copy has no current pass


class GradientMask(nn.Module):
    """Mark the edges of the LR image: one mask for the whole network, without parameters.

    The luma's central differences, by Euclidean length and the largest in 3x3 pixels, must exceed a fixed threshold.
    """

    def __init__(self) -> None:
        super().__init__()
        self._mask: tuple[Tensor, ...] = ()

    def see(self, network: nn.Module, args: tuple[Tensor, ...]) -> None:
        """Note the LR image `(N, 3, h, w)`, 0..1, that the network is called with: a forward pre-hook."""
        self._mask = (self.mask_of(args[0]),)

    @staticmethod
    def mask_of(lr: Tensor) -> Tensor:
        """Return the mask `(N, 1, h, w)`, 0 or 1, of LR images `(N, 3, h, w)` in 0..1."""
        luma = (lr * lr.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
        wide = F.pad(luma, (1, 1, 1, 1), mode="replicate")
        across = (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) / 2
        down = (wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]) / 2
        strength = F.max_pool2d(torch.hypot(across, down), 3, stride=1, padding=1)
        return (strength > _GRADIENT_THRESHOLD).to(lr.dtype)

    def forward(self, x: Tensor, temperature: float | None = None) -> Tensor:
        """Return the mask `(N, 1, h, w)` of the LR image that was seen last."""
        return self._mask[0]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_mask": ()}  # a copy has seen no image


class StaticChannelMask(nn.Module):
    """Learn which channels are computed everywhere, alike for all images.

    Args:
        channels: Channels of all masked layers together.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.rand(channels, 2))  # of dense and sparse

    def forward(self, x: Tensor, temperature: float | None = None) -> Tensor:
        """Return the dense share `(1, channels)`: 0 or 1, or drawn in 0..1 where there is a temperature."""
        return _dense_share(self.logits[None], temperature)


class DynamicChannelMask(nn.Module):
    """Predict from a block's input, averaged over the image, which channels are computed everywhere.

    Args:
        in_channels: Channels of the input.
        channels: Channels of all masked layers together.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        inner = max(in_channels // _REDUCTION, 1)
        self.layers = nn.Sequential(nn.Linear(in_channels, inner), nn.ReLU(inplace=True), nn.Linear(inner, channels))

    def forward(self, x: Tensor, temperature: float | None = None) -> Tensor:
        """Return the dense share `(N, channels)`: 0 or 1, or drawn in 0..1 where there is a temperature."""
        found: Tensor = self.layers(x.mean((2, 3)))
        return _dense_share(torch.stack([found, torch.zeros_like(found)], 2), temperature)


class NoChannelMask(nn.Module):
    """Compute every channel where the spatial mask is on, and nowhere else.

    Args:
        channels: Channels of all masked layers together.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor, temperature: float | None = None) -> Tensor:
        """Return the dense share `(1, channels)`: zeros."""
        return x.new_zeros(1, self.channels)


def _dense_share(logits: Tensor, temperature: float | None) -> Tensor:
    if temperature is None:
        return (logits[..., 0] > logits[..., 1]).to(logits.dtype)
    return F.gumbel_softmax(logits, temperature, dim=2)[..., 0]
