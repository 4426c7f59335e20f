"""PlainUSR (Wang et al., ACCV 2024): plain convolutions on part of the channels, in deployed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, SharingSite, register_backbone
from srbench_zoo.parts import pixel_shuffle_tail, single_scale
from srbench_zoo.sizes import extended

__all__ = [
    "LocalAttention",
    "PlainUSR",
    "plainusr",
    "plainusr_l",
    "plainusr_m",
    "plainusr_s",
    "plainusr_t",
    "plainusr_u",
]

_SLOPE = 0.05


class LocalAttention(nn.Module):
    """Scale features by weights from a soft-pooled neighbourhood and by the sigmoid of the first channel.

    Args:
        num_feat: Channels.
        num_inner: Channels inside the attention.
    """

    # Window (also the minimum height and width) and stride of the pooling.
    _WINDOW = 7
    _STRIDE = 3

    def __init__(self, num_feat: int, num_inner: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(num_feat, num_inner, 1)
        self.reduce = nn.Conv2d(num_inner, num_inner, 3, stride=2, padding=1)
        self.exit = nn.Conv2d(num_inner, num_feat, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`; inputs smaller than the pooling window are padded by edge replication."""
        inner = extended(self.entry(x), self._WINDOW)
        share = inner.exp()
        weighted = F.avg_pool2d(share * inner, self._WINDOW, self._STRIDE)
        pooled = weighted / F.avg_pool2d(share, self._WINDOW, self._STRIDE)
        weight = torch.sigmoid(self.exit(self.reduce(pooled)))
        weight = F.interpolate(weight, x.shape[2:], mode="bilinear", align_corners=False)
        return x * weight * torch.sigmoid(x[:, :1])


class PixelGate(nn.Module):
    """Scale features by weights that a convolution computes from them and by the sigmoid of the first channel.

    Args:
        num_feat: Channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(num_feat, num_feat, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return x * torch.sigmoid(self.weigh(x)) * torch.sigmoid(x[:, :1])


class PartialBlock(nn.Module):
    """Convolutions and optional attention on the first channels; the others pass through unchanged.

    Args:
        num_feat: Number of channels that the block works on.
        num_conv: Number of convolutions.
        attention: Module after the convolutions.
    """

    def __init__(self, num_feat: int, num_conv: int, attention: nn.Module) -> None:
        super().__init__()
        self.num_feat = num_feat
        self.convs = nn.ModuleList(nn.Conv2d(num_feat, num_feat, 3, padding=1) for _ in range(num_conv))
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`, where C is at least the number of channels that the block works on."""
        features, others = x[:, : self.num_feat], x[:, self.num_feat :]
        for number, conv in enumerate(self.convs):
            features = conv(F.leaky_relu(features, _SLOPE) if number else features)
        return torch.cat([self.attention(features), others], 1)


class PlainUSR(Backbone):
    """A chain of blocks without skips, with three additional channels that carry the image.

    Source: Wang, Li, Wang and Liu, "PlainUSR: Chasing Faster ConvNet for Efficient Super-Resolution", ACCV 2024.

    Args:
        scales: One of the scales 2, 3, 4.
        widths: Number of channels that each block works on; the network has the maximum of these plus three.
        num_conv: Number of convolutions in each block.
        num_inner: Channels of the blocks' local attention. None: only the middle block has attention, a pixel gate.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(
        self, scales: tuple[int, ...], widths: tuple[int, ...], num_conv: int = 2, num_inner: int | None = None
    ) -> None:
        scale = single_scale("PlainUSR", scales)
        super().__init__(scales)
        num_feat = max(widths) + 3
        self.widths = widths
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        with torch.no_grad():
            self.entry.weight[-3:] = 0
            self.entry.weight[range(-3, 0), range(3), 1, 1] = 1
            self.entry.bias[-3:] = 0  # type: ignore[index]  # it has one
        make = _gates(len(widths) // 2) if num_inner is None else lambda _, width: LocalAttention(width, num_inner)
        self.body = nn.Sequential(
            *(PartialBlock(width, num_conv, make(block, width)) for block, width in enumerate(widths))
        )
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        self.architecture = Architecture(depth=num_conv * len(widths) + 2, filters=num_feat)
        if num_inner is None:
            self.receptive_field = num_conv * len(widths) + 3

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions of each block, one bank per width."""
        return [
            SharingSite(
                f"body.{block}.convs.{number}",
                kind="conv",
                bank=f"body_{width}",
                tie=f"conv{number}_{width}",
                step=(block,),
            )
            for block, width in enumerate(self.widths)
            for number in range(len(self.body[block].convs))  # type: ignore[arg-type]  # a ModuleList
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        return self.upsample(self.body(self.entry(lr)))  # type: ignore[no-any-return]


def _gates(middle: int) -> Callable[[int, int], nn.Module]:
    """Return a factory of a block's attention by index and width: a gate in the middle block, none in the others."""
    return lambda block, width: PixelGate(width) if block == middle else nn.Identity()


@register_backbone
def plainusr_u(scales: tuple[int, ...]) -> PlainUSR:
    """Build PlainUSR-U: 3 blocks of 16, 8 and 16 channels (13,628 / 16,208 / 19,820 parameters at x2 / x3 / x4)."""
    return PlainUSR(scales, (16, 8, 16))


@register_backbone
def plainusr_t(scales: tuple[int, ...]) -> PlainUSR:
    """Build PlainUSR-T: 3 blocks of 32, 16 and 32 channels (48,724 / 53,464 / 60,100 at x2 / x3 / x4)."""
    return PlainUSR(scales, (32, 16, 32))


@register_backbone
def plainusr_s(scales: tuple[int, ...]) -> PlainUSR:
    """Build PlainUSR-S: 5 blocks of 32 to 8 channels (57,236 / 61,976 / 68,612 parameters at x2 / x3 / x4)."""
    return PlainUSR(scales, (32, 16, 8, 16, 32), num_inner=4)


@register_backbone
def plainusr_m(scales: tuple[int, ...]) -> PlainUSR:
    """Build PlainUSR-M: 5 blocks of 48 to 16 channels (148,932 / 155,832 / 165,492 parameters at x2 / x3 / x4)."""
    return PlainUSR(scales, (48, 32, 16, 32, 48), num_inner=8)


@register_backbone
def plainusr(scales: tuple[int, ...]) -> PlainUSR:
    """Build PlainUSR: 5 blocks of 64 to 32 channels (311,364 / 320,424 / 333,108 parameters at x2 / x3 / x4)."""
    return PlainUSR(scales, (64, 48, 32, 48, 64), num_inner=16)


@register_backbone
def plainusr_l(scales: tuple[int, ...]) -> PlainUSR:
    """Build PlainUSR-L: 5 blocks of 80 to 48 channels (707,076 / 718,296 / 734,004 parameters at x2 / x3 / x4)."""
    return PlainUSR(scales, (80, 64, 48, 64, 80), num_conv=3, num_inner=16)
