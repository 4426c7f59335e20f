"""RLFN (Kong et al., CVPRW 2022): blocks of three convolutions and spatial attention; fastest of NTIRE 2022."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, BlockSpec, SharingSite, register_backbone
from srbench_zoo.attention import SpatialAttention
from srbench_zoo.parts import pixel_shuffle_tail, single_scale

__all__ = ["RLFN", "rlfn"]

_SLOPE = 0.05
# The authors train on pixel values in 0..255.
_RANGE = 255
_CONVS = ("conv1", "conv2", "conv3")


class LocalFeatureBlock(nn.Module):
    """Three convolutions, a skip over them, a 1x1 convolution and spatial attention.

    Args:
        num_feat: Feature channels.
        num_inner: Channels inside the attention.
    """

    def __init__(self, num_feat: int, num_inner: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv3 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.fuse = nn.Conv2d(num_feat, num_feat, 1)
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


class RLFN(Backbone):
    """Residual local feature blocks in a chain, with one skip over all of them.

    Source: Kong et al., "Residual Local Feature Network for Efficient Super-Resolution", CVPRW 2022.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_block: Number of blocks.
        num_inner: Channels inside the blocks' attention.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 52, num_block: int = 6, num_inner: int = 16) -> None:
        scale = single_scale("RLFN", scales)
        super().__init__(scales)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        self.body = nn.Sequential(*(LocalFeatureBlock(num_feat, num_inner) for _ in range(num_block)))
        self.tail = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        self.architecture = Architecture(depth=4 * num_block + 3, filters=num_feat, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return each block and its three convolutions, the latter all in one bank."""
        parts = BlockSpec(convs=_CONVS, splits=(0,) * 3)
        sites = []
        for block in range(len(self.body)):
            path = f"body.{block}"
            sites.append(SharingSite(path, kind="block", bank="blocks", tie="block", step=(block,), parts=parts))
            sites += [
                SharingSite(f"{path}.{conv}", kind="conv", bank="body", tie=conv, step=(block,)) for conv in _CONVS
            ]
        return sites

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        entry = self.entry(lr * _RANGE)
        return self.upsample(self.tail(self.body(entry)) + entry) / _RANGE  # type: ignore[no-any-return]


@register_backbone
def rlfn(scales: tuple[int, ...]) -> RLFN:
    """Build RLFN: 6 blocks of 52 features (526,856 / 533,891 / 543,740 parameters at x2 / x3 / x4)."""
    return RLFN(scales)
