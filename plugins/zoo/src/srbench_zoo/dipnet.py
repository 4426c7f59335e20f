"""DIPNet (Yu et al., CVPRW 2023): RLFN's blocks pruned to unequal widths, without biases."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, SharingSite, register_backbone
from srbench_zoo.attention import SpatialAttention
from srbench_zoo.parts import single_scale

__all__ = ["DIPNet", "dipnet"]

_SLOPE = 0.05
_CONVS = ("conv1", "conv2", "conv3")


def _conv3(num_in: int, num_out: int) -> nn.Conv2d:
    return nn.Conv2d(num_in, num_out, 3, padding=1, bias=False)


class PrunedFeatureBlock(nn.Module):
    """Three convolutions with fewer channels in the middle, a skip over them, a 1x1 convolution, spatial attention.

    Args:
        num_feat: Feature channels.
        num_middle: Channels between the convolutions.
        num_inner: Channels inside the attention.
    """

    def __init__(self, num_feat: int, num_middle: int, num_inner: int) -> None:
        super().__init__()
        self.conv1 = _conv3(num_feat, num_middle)
        self.conv2 = _conv3(num_middle, num_middle)
        self.conv3 = _conv3(num_middle, num_feat)
        self.fuse = nn.Conv2d(num_feat, num_feat, 1, bias=False)
        self.attention = SpatialAttention(
            num_feat,
            num_inner,
            reduce=nn.Conv2d(num_inner, num_inner, 3, stride=2),
            context=nn.Conv2d(num_inner, num_inner, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        features = x
        for conv in (self.conv1, self.conv2, self.conv3):
            features = F.leaky_relu(conv(features), _SLOPE)
        return self.attention(self.fuse(features + x))  # type: ignore[no-any-return]


class DIPNet(Backbone):
    """Pruned residual blocks in a chain, with one skip over all of them; no biases outside the attention.

    Source: Yu et al., "DIPNet: Efficiency Distillation and Iterative Pruning for Image Super-Resolution", CVPRW 2023.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_middle: Channels between the convolutions of a block.
        num_block: Number of blocks.
        num_inner: Channels inside the blocks' attention.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(
        self,
        scales: tuple[int, ...],
        num_feat: int = 44,
        num_middle: int = 38,
        num_block: int = 4,
        num_inner: int = 16,
    ) -> None:
        scale = single_scale("DIPNet", scales)
        super().__init__(scales)
        self.entry = _conv3(3, num_feat)
        self.body = nn.Sequential(*(PrunedFeatureBlock(num_feat, num_middle, num_inner) for _ in range(num_block)))
        self.tail = _conv3(num_feat, num_feat)
        self.upsample = nn.Sequential(_conv3(num_feat, 3 * scale**2), nn.PixelShuffle(scale))
        self.architecture = Architecture(depth=4 * num_block + 3, filters=num_feat, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the three convolutions of each block, in three banks, one for each shape."""
        return [
            SharingSite(f"body.{block}.{conv}", kind="conv", bank=f"body_{conv}", tie=conv, step=(block,))
            for block in range(len(self.body))
            for conv in _CONVS
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        entry = self.entry(lr)
        return self.upsample(self.tail(self.body(entry)) + entry)  # type: ignore[no-any-return]


@register_backbone
def dipnet(scales: tuple[int, ...]) -> DIPNet:
    """Build DIPNet: 4 blocks of 44 features (228,996 / 234,936 / 243,252 parameters at x2 / x3 / x4)."""
    return DIPNet(scales)
