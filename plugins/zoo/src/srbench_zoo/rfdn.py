"""RFDN (Liu et al., ECCVW 2020): distillation by 1x1 convolutions parallel to shallow residual convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone
from srbench_zoo.attention import enhanced_spatial_attention
from srbench_zoo.parts import pixel_shuffle_tail, single_scale

__all__ = ["RFDN", "rfdn_aim"]

_SLOPE = 0.05
# The authors train on pixel values in 0..255.
_RANGE = 255


class ResidualDistillationBlock(nn.Module):
    """Three distillation steps, each keeping half the channels and refining all of them; no skip over the block.

    Args:
        num_feat: Feature channels.
        num_inner: Channels inside the attention.
    """

    def __init__(self, num_feat: int, num_inner: int) -> None:
        super().__init__()
        half = num_feat // 2
        self.distil = nn.ModuleList(nn.Conv2d(num_feat, half, 1) for _ in range(3))
        self.refine = nn.ModuleList(nn.Conv2d(num_feat, num_feat, 3, padding=1) for _ in range(3))
        self.last = nn.Conv2d(num_feat, half, 3, padding=1)
        self.fuse = nn.Conv2d(4 * half, num_feat, 1)
        self.attention = enhanced_spatial_attention(num_feat, num_inner)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        kept = []
        features = x
        for distil, refine in zip(self.distil, self.refine, strict=True):
            kept.append(F.leaky_relu(distil(features), _SLOPE))
            features = F.leaky_relu(refine(features) + features, _SLOPE)
        kept.append(F.leaky_relu(self.last(features), _SLOPE))
        return self.attention(self.fuse(torch.cat(kept, 1)))  # type: ignore[no-any-return]


class RFDN(Backbone):
    """Residual feature distillation blocks; the outputs of all blocks are fused before a sub-pixel upsampler.

    Source: Liu, Tang and Wu, "Residual Feature Distillation Network for Lightweight Image Super-Resolution", ECCVW
    2020.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, an even number.
        num_block: Number of blocks.
        num_inner: Channels inside the blocks' attention.

    Raises:
        ConfigError: More than one scale, an unsupported one, or an odd `num_feat`.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 50, num_block: int = 4, num_inner: int = 12) -> None:
        scale = single_scale("RFDN", scales)
        if num_feat % 2:
            raise ConfigError(f"RFDN halves its features; got num_feat={num_feat}")
        super().__init__(scales)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        self.body = nn.ModuleList(ResidualDistillationBlock(num_feat, num_inner) for _ in range(num_block))
        self.fuse = nn.Conv2d(num_block * num_feat, num_feat, 1)
        self.tail = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        self.architecture = Architecture(depth=5 * num_block + 4, filters=num_feat, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the three refining convolutions of each block, all of the same shape and in one bank."""
        return [
            SharingSite(f"body.{block}.refine.{step}", kind="conv", bank="body", tie=f"refine{step}", step=(block,))
            for block in range(len(self.body))
            for step in range(3)
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        features = entry = self.entry(lr * _RANGE)
        outputs = []
        for block in self.body:
            features = block(features)
            outputs.append(features)
        merged = F.leaky_relu(self.fuse(torch.cat(outputs, 1)), _SLOPE)
        return self.upsample(self.tail(merged) + entry) / _RANGE  # type: ignore[no-any-return]


@register_backbone
def rfdn_aim(scales: tuple[int, ...]) -> RFDN:
    """Build the RFDN that won AIM 2020: 4 blocks of 50 features (417,212 / 423,977 / 433,448 at x2 / x3 / x4)."""
    return RFDN(scales)
