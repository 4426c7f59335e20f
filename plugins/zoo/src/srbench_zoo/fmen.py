"""FMEN (Du et al., CVPRW 2022): a plain chain of convolutions and high-frequency attention, in deployed form."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, SharingSite, register_backbone
from srbench_zoo.parts import pixel_shuffle_tail, single_scale

__all__ = ["FMEN", "fmen"]

_SLOPE = 0.1
# The authors train on pixel values in 0..255.
_RANGE = 255


class ConvPair(nn.Module):
    """Two convolutions with an activation between them.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return self.conv2(F.leaky_relu(self.conv1(x), _SLOPE))  # type: ignore[no-any-return]


class HighFrequencyAttention(nn.Module):
    """Scale every value by a weight computed from its neighbourhood by convolutions of few channels.

    Args:
        num_feat: Channels.
        num_inner: Channels inside the attention.
        num_pair: Pairs of convolutions on the inner channels.
    """

    def __init__(self, num_feat: int, num_inner: int, num_pair: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(num_feat, num_inner, 3, padding=1)
        self.pairs = nn.Sequential(*(ConvPair(num_inner) for _ in range(num_pair)))
        self.excite = nn.Conv2d(num_inner, num_feat, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        inner = self.pairs(F.leaky_relu(self.squeeze(x), _SLOPE))
        return x * torch.sigmoid(self.excite(F.leaky_relu(inner, _SLOPE)))


class FMEN(Backbone):
    """Pairs of convolutions, each followed by attention, with a single skip over all of them.

    Source: Du et al., "Fast and Memory-Efficient Network Towards Efficient Image Super-Resolution", CVPRW 2022.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_block: Number of convolution pairs after the first, single convolution.
        num_inner: Channels inside the attention after each pair.
        num_warmup: Channels inside the attention after the first convolution.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(
        self, scales: tuple[int, ...], num_feat: int = 50, num_block: int = 4, num_inner: int = 16, num_warmup: int = 12
    ) -> None:
        scale = single_scale("FMEN", scales)
        super().__init__(scales)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        self.warmup = nn.Sequential(
            nn.Conv2d(num_feat, num_feat, 3, padding=1), HighFrequencyAttention(num_feat, num_warmup, 2)
        )
        self.body = nn.ModuleList(ConvPair(num_feat) for _ in range(num_block))
        self.attention = nn.ModuleList(HighFrequencyAttention(num_feat, num_inner, 1) for _ in range(num_block))
        self.tail = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        self.architecture = Architecture(depth=2 * num_block + 4, filters=num_feat, local_skips=True)
        # The attention after a pair has four convolutions, the first attention six.
        self.receptive_field = 6 * num_block + 10

    def sharing_sites(self) -> list[SharingSite]:
        """Return the two convolutions of each pair, all of the same shape and in one bank."""
        return [
            SharingSite(f"body.{block}.{conv}", kind="conv", bank="body", tie=conv, step=(block,))
            for block in range(len(self.body))
            for conv in ("conv1", "conv2")
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        entry = self.entry(lr * _RANGE)
        features = self.warmup(entry)
        for pair, attention in zip(self.body, self.attention, strict=True):
            features = attention(pair(features))
        return self.upsample(self.tail(features) + entry) / _RANGE  # type: ignore[no-any-return]


@register_backbone
def fmen(scales: tuple[int, ...]) -> FMEN:
    """Build FMEN: 4 pairs of 50 features (324,830 / 331,595 / 341,066 parameters at x2 / x3 / x4)."""
    return FMEN(scales)
