"""LKDN (Xie et al., CVPR Workshops 2023): blueprint distillation blocks with large-kernel attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone
from srbench_zoo.bsrn import BlueprintConv
from srbench_zoo.parts import pixel_shuffle_tail, single_scale

__all__ = ["LKDN", "lkdn", "lkdn_s"]

# The input image is concatenated this many times along the channels.
_COPIES = 4
_STEPS = 3


class LargeKernelAttention(nn.Module):
    """Scale features by 1x1, 5x5 depthwise and dilated 5x5 depthwise convolutions of themselves, 17x17 in all.

    Source: Guo et al., "Visual Attention Network", Computational Visual Media 2023, section 3.1.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(num_feat, num_feat, 1)
        self.depthwise = nn.Conv2d(num_feat, num_feat, 5, padding=2, groups=num_feat)
        self.dilated = nn.Conv2d(num_feat, num_feat, 5, padding=6, dilation=3, groups=num_feat)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return x * self.dilated(self.depthwise(self.pointwise(x)))  # type: ignore[no-any-return]


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels at each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class LargeKernelDistillationBlock(nn.Module):
    """Three distillation steps, each keeping half the channels and refining all, then attention and normalisation.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        half = num_feat // 2
        self.distil = nn.ModuleList(nn.Conv2d(num_feat, half, 1) for _ in range(_STEPS))
        self.refine = nn.ModuleList(BlueprintConv(num_feat, num_feat) for _ in range(_STEPS))
        self.last = BlueprintConv(num_feat, half)
        self.fuse = nn.Conv2d(4 * half, num_feat, 1)
        self.attention = LargeKernelAttention(num_feat)
        self.mix = nn.Conv2d(num_feat, num_feat, 1)
        self.norm = ChannelNorm(num_feat)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        kept = []
        features = x
        for distil, refine in zip(self.distil, self.refine, strict=True):
            kept.append(F.gelu(distil(features)))
            features = F.gelu(refine(features))
        kept.append(F.gelu(self.last(features)))
        return self.norm(self.mix(self.attention(self.fuse(torch.cat(kept, 1))))) + x  # type: ignore[no-any-return]


class LKDN(Backbone):
    """Large-kernel distillation blocks; the outputs of all blocks are fused before a sub-pixel upsampler.

    Source: Xie et al., "Large Kernel Distillation Network for Efficient Single Image Super-Resolution", CVPR Workshops
    2023.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, an even number.
        num_block: Number of blocks.

    Raises:
        ConfigError: More than one scale, an unsupported one, or an odd `num_feat`.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 56, num_block: int = 8) -> None:
        scale = single_scale("LKDN", scales)
        if num_feat % 2:
            raise ConfigError(f"LKDN halves its features; got num_feat={num_feat}")
        super().__init__(scales)
        self.entry = BlueprintConv(3 * _COPIES, num_feat)
        self.body = nn.ModuleList(LargeKernelDistillationBlock(num_feat) for _ in range(num_block))
        self.fuse = nn.Conv2d(num_block * num_feat, num_feat, 1)
        self.tail = BlueprintConv(num_feat, num_feat)
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        # A block has four separable convolutions of two layers each, three layers of attention, and one layer on either
        # side of it. The attention has no gate, so its layers are on the path of the features too.
        self.architecture = Architecture(depth=13 * num_block + 6, filters=num_feat, local_skips=True)
        # In a block, four separable convolutions reach one pixel on each side and the attention eight.
        self.receptive_field = 12 * num_block + 3

    def sharing_sites(self) -> list[SharingSite]:
        """Return the layers of the refining convolutions, one bank per kind, and the upsampler, in no bank."""
        sites = [
            SharingSite(
                f"body.{block}.refine.{step}.{layer}",
                kind="conv",
                bank=f"body_{layer}",
                tie=f"{layer}{step}",
                step=(block,),
            )
            for block in range(len(self.body))
            for step in range(_STEPS)
            for layer in ("pointwise", "depthwise")
        ]
        return [*sites, SharingSite("upsample.0", kind="conv", bank=None, tie="upsample")]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        features = entry = self.entry(lr.repeat(1, _COPIES, 1, 1))
        outputs = []
        for block in self.body:
            features = block(features)
            outputs.append(features)
        merged = F.gelu(self.fuse(torch.cat(outputs, 1)))
        return self.upsample(self.tail(merged) + entry)  # type: ignore[no-any-return]


@register_backbone
def lkdn(scales: tuple[int, ...]) -> LKDN:
    """Build LKDN: 8 blocks of 56 features (303,812 / 311,387 / 321,992 parameters at x2 / x3 / x4)."""
    return LKDN(scales)


@register_backbone
def lkdn_s(scales: tuple[int, ...]) -> LKDN:
    """Build LKDN-S: 5 blocks of 42 features (129,177 parameters at x4; trained as `+reparam(kind=rep1x1)`)."""
    return LKDN(scales, num_feat=42, num_block=5)
