"""PAN (Zhao et al., ECCVW 2020): self-calibrated blocks and an upsampler with pixel attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone
from srbench_zoo.parts import single_scale

__all__ = ["PAN", "pan"]

_SLOPE = 0.2
_FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}


def _conv3(num_in: int, num_out: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(num_in, num_out, 3, padding=1, bias=bias)


class SelfCalibratedBlock(nn.Module):
    """Two parallel convolutions on half the channels each, one of them with pixel attention.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        half = num_feat // 2
        self.plain_entry = nn.Conv2d(num_feat, half, 1, bias=False)
        self.plain = _conv3(half, half, bias=False)
        self.calibrated_entry = nn.Conv2d(num_feat, half, 1, bias=False)
        self.weigh = nn.Conv2d(half, half, 1)
        self.conv1 = _conv3(half, half, bias=False)
        self.conv2 = _conv3(half, half, bias=False)
        self.fuse = nn.Conv2d(2 * half, num_feat, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        plain = self.plain(F.leaky_relu(self.plain_entry(x), _SLOPE))
        calibrated = F.leaky_relu(self.calibrated_entry(x), _SLOPE)
        calibrated = self.conv2(self.conv1(calibrated) * torch.sigmoid(self.weigh(calibrated)))
        return self.fuse(F.leaky_relu(torch.cat([plain, calibrated], 1), _SLOPE)) + x  # type: ignore[no-any-return]


class AttentiveUpsampler(nn.Module):
    """Nearest-neighbour enlargement, a convolution, pixel attention, and another convolution.

    Args:
        num_in: Input channels.
        num_out: Output channels.
        factor: Enlargement factor.
    """

    def __init__(self, num_in: int, num_out: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv1 = _conv3(num_in, num_out)
        self.weigh = nn.Conv2d(num_out, num_out, 1)
        self.conv2 = _conv3(num_out, num_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, factor*H, factor*W)`."""
        features = self.conv1(F.interpolate(x, scale_factor=self.factor, mode="nearest"))
        features = F.leaky_relu(features * torch.sigmoid(self.weigh(features)), _SLOPE)
        return F.leaky_relu(self.conv2(features), _SLOPE)


class PAN(Backbone):
    """Self-calibrated blocks with pixel attention, added to the bilinearly enlarged image.

    Source: Zhao, Kong, He, Qiao and Dong, "Efficient Image Super-Resolution Using Pixel Attention", ECCVW 2020.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, an even number.
        num_block: Number of blocks.
        num_up: Channels of the upsampler.

    Raises:
        ConfigError: More than one scale, an unsupported one, or an odd `num_feat`.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 40, num_block: int = 16, num_up: int = 24) -> None:
        scale = single_scale("PAN", scales)
        if num_feat % 2:
            raise ConfigError(f"PAN halves its features; got num_feat={num_feat}")
        super().__init__(scales)
        factors = _FACTORS[scale]
        self.entry = _conv3(3, num_feat)
        self.body = nn.Sequential(*(SelfCalibratedBlock(num_feat) for _ in range(num_block)))
        self.tail = _conv3(num_feat, num_feat)
        self.upsample = nn.Sequential(
            *(AttentiveUpsampler(num_up if stage else num_feat, num_up, factor) for stage, factor in enumerate(factors))
        )
        self.exit = _conv3(num_up, 3)
        self.architecture = Architecture(
            depth=4 * num_block + 2 * len(factors) + 3, filters=num_feat, global_skip=True, local_skips=True
        )
        self.receptive_field = 2 + 2 * num_block + _reach(factors)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the three 3x3 convolutions of each block, all of the same shape and in one bank."""
        return [
            SharingSite(f"body.{block}.{conv}", kind="conv", bank="body", tie=conv, step=(block,))
            for block in range(len(self.body))
            for conv in ("plain", "conv1", "conv2")
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        scale = self.select_scale(scale)
        entry = self.entry(lr)
        detail = self.exit(self.upsample(self.tail(self.body(entry)) + entry))
        return detail + F.interpolate(lr, scale_factor=scale, mode="bilinear", align_corners=False)  # type: ignore[no-any-return]


def _reach(factors: tuple[int, ...]) -> int:
    """Return how many LR pixels the upsampler and the last convolution reach on each side."""
    pixels = 1
    for factor in reversed(factors):
        pixels = -(-(pixels + 2) // factor)
    return pixels


@register_backbone
def pan(scales: tuple[int, ...]) -> PAN:
    """Build PAN: 16 blocks of 40 features (261,403 parameters at x2 and x3, 272,419 at x4)."""
    return PAN(scales)
