"""EFDN (Wang, CVPRW 2022): distillation cells of re-parameterised convolutions, in deployed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone
from srbench_zoo.attention import enhanced_spatial_attention
from srbench_zoo.parts import pixel_shuffle_tail, single_scale

__all__ = ["EFDN", "efdn"]

_CONVS = ("conv2", "conv3")


class DistillationCell(nn.Module):
    """Three convolutions in a chain; the input and each output are distilled to half the channels and fused.

    Args:
        num_feat: Feature channels.
        num_inner: Channels inside the attention.
    """

    def __init__(self, num_feat: int, num_inner: int) -> None:
        super().__init__()
        half = num_feat // 2
        self.conv1 = nn.Conv2d(num_feat, num_feat, 1)
        self.act1 = nn.PReLU(num_feat)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.act2 = nn.PReLU(num_feat)
        self.conv3 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.act3 = nn.PReLU(num_feat)
        self.distil = nn.ModuleList(nn.Conv2d(num_feat, half, 1) for _ in range(4))
        self.fuse = nn.Conv2d(4 * half, num_feat, 1)
        self.attention = enhanced_spatial_attention(num_feat, num_inner)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        first = self.act1(self.conv1(x))
        second = self.act2(self.conv2(first))
        third = self.act3(self.conv3(second))
        features = (x, first, second, third)
        kept = [distil(part) for distil, part in zip(self.distil, features, strict=True)]
        return self.attention(self.fuse(torch.cat(kept, 1))) + x  # type: ignore[no-any-return]


class EFDN(Backbone):
    """Four distillation cells, with outputs of earlier cells fused between them.

    The authors' network clamps its output to 0..1; here `super_resolve` does so, as for all networks.

    Source: Wang, "Edge-Enhanced Feature Distillation Network for Efficient Super-Resolution", CVPRW 2022.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, an even number.
        num_inner: Channels inside the cells' attention.

    Raises:
        ConfigError: More than one scale, an unsupported one, or an odd `num_feat`.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 48, num_inner: int = 12) -> None:
        scale = single_scale("EFDN", scales)
        if num_feat % 2:
            raise ConfigError(f"EFDN halves its features; got num_feat={num_feat}")
        super().__init__(scales)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        self.body = nn.ModuleList(DistillationCell(num_feat, num_inner) for _ in range(4))
        self.fuse = nn.ModuleList(nn.Conv2d(2 * num_feat, num_feat, 1) for _ in range(3))
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        # A cell has three layers in a row, a distilling and a fusing one; then three fusions and a layer at each end.
        self.architecture = Architecture(depth=5 * 4 + 3 + 2, filters=num_feat, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the two 3x3 convolutions of each cell, with their activations, in one bank."""
        return [
            SharingSite(
                f"body.{cell}.{conv}",
                kind="conv",
                bank="body",
                tie=conv,
                step=(cell,),
                companions=(f"body.{cell}.{conv.replace('conv', 'act')}",),
            )
            for cell in range(len(self.body))
            for conv in _CONVS
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        entry = self.entry(lr)
        first = self.body[0](entry)
        second = self.body[1](first)
        third = self.body[2](self.fuse[0](torch.cat([first, second], 1)))
        fourth = self.body[3](self.fuse[1](torch.cat([second, third], 1)))
        # Fused with the second cell, not the third: as in the authors' code, with which the weights were trained.
        merged = self.fuse[2](torch.cat([second, fourth], 1))
        return self.upsample(merged + entry)  # type: ignore[no-any-return]


@register_backbone
def efdn(scales: tuple[int, ...]) -> EFDN:
    """Build EFDN: 4 cells of 48 features (260,604 / 267,099 / 276,192 parameters at x2 / x3 / x4)."""
    return EFDN(scales)
