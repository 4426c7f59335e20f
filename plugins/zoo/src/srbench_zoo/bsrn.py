"""BSRN (Li et al., CVPRW 2022): distillation blocks of blueprint separable convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone
from srbench_zoo.attention import ContrastAttention, SpatialAttention
from srbench_zoo.parts import pixel_shuffle_tail, single_scale

__all__ = ["BSRN", "bsrn"]

# The input image is concatenated this many times along the channels.
_COPIES = 4


class BlueprintConv(nn.Sequential):
    """A pointwise convolution without bias, then a depthwise 3x3 one (Haase and Amthor, CVPR 2020).

    Args:
        num_in: Input channels.
        num_out: Output channels.
        stride: Stride of the depthwise convolution.
        padding: Padding of the depthwise convolution.
    """

    def __init__(self, num_in: int, num_out: int, stride: int = 1, padding: int = 1) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(num_in, num_out, 1, bias=False)
        self.depthwise = nn.Conv2d(num_out, num_out, 3, stride=stride, padding=padding, groups=num_out)


class SeparableDistillationBlock(nn.Module):
    """Three distillation steps, each keeping half the channels and refining all of them, then both kinds of attention.

    Args:
        num_feat: Feature channels.
        num_inner: Channels inside the spatial attention.
        reduction: Channel reduction factor of the channel attention.
    """

    def __init__(self, num_feat: int, num_inner: int, reduction: int) -> None:
        super().__init__()
        half = num_feat // 2
        self.distil = nn.ModuleList(nn.Conv2d(num_feat, half, 1) for _ in range(3))
        self.refine = nn.ModuleList(BlueprintConv(num_feat, num_feat) for _ in range(3))
        self.last = BlueprintConv(num_feat, half)
        self.fuse = nn.Conv2d(4 * half, num_feat, 1)
        self.spatial = SpatialAttention(
            num_feat,
            num_inner,
            reduce=BlueprintConv(num_inner, num_inner, stride=2, padding=0),
            context=nn.Sequential(
                BlueprintConv(num_inner, num_inner),
                nn.GELU(),
                BlueprintConv(num_inner, num_inner),
                nn.GELU(),
                BlueprintConv(num_inner, num_inner),
            ),
        )
        self.channels = ContrastAttention(num_feat, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        kept = []
        features = x
        for distil, refine in zip(self.distil, self.refine, strict=True):
            kept.append(F.gelu(distil(features)))
            features = F.gelu(refine(features) + features)
        kept.append(F.gelu(self.last(features)))
        return self.channels(self.spatial(self.fuse(torch.cat(kept, 1)))) + x  # type: ignore[no-any-return]


class BSRN(Backbone):
    """Separable distillation blocks; the outputs of all blocks are fused before a sub-pixel upsampler.

    Source: Li et al., "Blueprint Separable Residual Network for Efficient Image Super-Resolution", CVPRW 2022.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, an even number.
        num_block: Number of blocks.
        num_inner: Channels inside the blocks' spatial attention.
        reduction: Channel reduction factor of the blocks' channel attention.

    Raises:
        ConfigError: More than one scale, an unsupported one, or an odd `num_feat`.
    """

    def __init__(
        self,
        scales: tuple[int, ...],
        num_feat: int = 64,
        num_block: int = 8,
        num_inner: int = 16,
        reduction: int = 16,
    ) -> None:
        scale = single_scale("BSRN", scales)
        if num_feat % 2:
            raise ConfigError(f"BSRN halves its features; got num_feat={num_feat}")
        super().__init__(scales)
        self.entry = BlueprintConv(3 * _COPIES, num_feat)
        self.body = nn.ModuleList(SeparableDistillationBlock(num_feat, num_inner, reduction) for _ in range(num_block))
        self.fuse = nn.Conv2d(num_block * num_feat, num_feat, 1)
        self.tail = BlueprintConv(num_feat, num_feat)
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        # A separable convolution has two layers; a block has four of them in a row and one fusing layer.
        self.architecture = Architecture(depth=9 * num_block + 6, filters=num_feat, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the layers of the refining convolutions: a bank of the pointwise and a bank of the depthwise ones."""
        return [
            SharingSite(
                f"body.{block}.refine.{step}.{layer}",
                kind="conv",
                bank=f"body_{layer}",
                tie=f"{layer}{step}",
                step=(block,),
            )
            for block in range(len(self.body))
            for step in range(3)
            for layer in ("pointwise", "depthwise")
        ]

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
def bsrn(scales: tuple[int, ...]) -> BSRN:
    """Build BSRN: 8 blocks of 64 features (331,628 / 340,283 / 352,400 parameters at x2 / x3 / x4)."""
    return BSRN(scales)
