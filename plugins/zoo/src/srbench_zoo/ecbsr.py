"""ECBSR (Zhang et al., ACM MM 2021) with basicsr's block: five branches in training, one convolution deployed."""

from __future__ import annotations

from typing import Self, cast

import torch
from torch import Tensor, nn

from srbench.plugin import Architecture, LumaBackbone, register_backbone
from srbench.plugin import basicsr_archs as archs
from srbench_zoo.parts import single_scale

__all__ = ["ECBSR", "EdgeBlock", "ecbsr"]


class EdgeBlock(archs.ECB):  # type: ignore[misc]  # basicsr has no types
    """basicsr's edge-oriented block, merged into one kernel by matrix products in the dtype of its weights.

    basicsr's own merging works in float32 only.

    Args:
        num_in: Input channels.
        num_out: Output channels.
        act: `prelu`, or `linear` for none.
    """

    def __init__(self, num_in: int, num_out: int, act: str) -> None:
        super().__init__(num_in, num_out, depth_multiplier=2.0, act_type=act, with_idt=False)

    def rep_params(self) -> tuple[Tensor, Tensor]:
        """Return kernel `(out, in, 3, 3)` and bias of the single convolution equivalent to the branches."""
        weight, bias = self.conv3x3.weight, self.conv3x3.bias
        branch = self.conv1x1_3x3
        weight = weight + torch.einsum("omhw,mi->oihw", branch.k1, branch.k0[:, :, 0, 0])
        bias = bias + branch.b1 + branch.k1.sum((2, 3)) @ branch.b0
        for branch in (self.conv1x1_sbx, self.conv1x1_sby, self.conv1x1_lpl):
            edges = branch.scale * branch.mask
            weight = weight + edges * branch.k0
            bias = bias + branch.bias + edges.sum((1, 2, 3)) * branch.b0
        return weight, bias

    @torch.no_grad()
    def merged(self) -> nn.Sequential:
        """Return an equivalent plain convolution and the activation."""
        weight, bias = self.rep_params()
        conv = nn.Conv2d(self.in_channels, self.out_channels, 3, padding=1).to(weight)
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)  # type: ignore[union-attr]  # it has one
        return nn.Sequential(conv) if self.act_type == "linear" else nn.Sequential(conv, self.act)


class ECBSR(LumaBackbone):
    """Edge-oriented blocks on luma and a sub-pixel upsampler, added to the nearest-neighbour enlargement.

    In training, a block has five parallel branches: 3x3, 1x1 then 3x3, and three of 1x1 then a scaled Sobel or
    Laplacian filter. The deployed network (`at_scale`) has one convolution per block. Blocks are not sharing sites,
    because their branches form one kernel together.

    Source: Zhang, Zeng and Zhang, "Edge-oriented Convolution Block for Real-time Super Resolution on Mobile Devices",
    ACM MM 2021.

    Args:
        scales: One of the scales 2, 3, 4.
        num_block: Number of blocks between the first and the last.
        num_feat: Feature channels.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(self, scales: tuple[int, ...], num_block: int, num_feat: int) -> None:
        scale = single_scale("ECBSR", scales)
        super().__init__(scales)
        self.body = nn.Sequential(
            EdgeBlock(1, num_feat, "prelu"),
            *(EdgeBlock(num_feat, num_feat, "prelu") for _ in range(num_block)),
            EdgeBlock(num_feat, scale**2, "linear"),
        )
        self.shuffle = nn.PixelShuffle(scale)
        self.architecture = Architecture(depth=num_block + 2, filters=num_feat, global_skip=True)
        self.receptive_field = num_block + 2

    def at_scale(self, scale: int) -> Self:
        """Return a copy in deployed form, with one convolution per block."""
        view = super().at_scale(scale)
        view.body = nn.Sequential(*(block.merged() if isinstance(block, EdgeBlock) else block for block in view.body))
        return view

    def luma(self, luma: Tensor, scale: int) -> Tensor:
        """Return the SR luma `(N, 1, s*h, s*w)`."""
        return cast(Tensor, self.shuffle(self.body(luma) + luma))


@register_backbone
def ecbsr(scales: tuple[int, ...]) -> ECBSR:
    """Build ECBSR-M16C64: 16 blocks of 64 features (594,884 parameters deployed at x2)."""
    return ECBSR(scales, num_block=16, num_feat=64)
