"""Channel and spatial attention used by several networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench_zoo.sizes import extended

__all__ = ["ContrastAttention", "SpatialAttention", "enhanced_spatial_attention"]


class ContrastAttention(nn.Module):
    """Scale each channel by a weight computed from its contrast: standard deviation plus mean over the whole image.

    Source: Hui et al., ACM MM 2019, section 3.2.

    Args:
        num_feat: Channels.
        reduction: Channel reduction factor between the two 1x1 convolutions.
    """

    def __init__(self, num_feat: int, reduction: int = 16) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Conv2d(num_feat, num_feat // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(num_feat // reduction, num_feat, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        mean = x.mean((2, 3), keepdim=True)
        variance = (x - mean).square().mean((2, 3), keepdim=True)
        # A channel that is constant over the image has zero variance, where the square root has no finite gradient.
        positive = variance > 0
        contrast = torch.where(positive, torch.where(positive, variance, 1.0).sqrt(), 0.0)
        return x * self.weigh(contrast + mean)  # type: ignore[no-any-return]


class SpatialAttention(nn.Module):
    """Scale every position of every channel by a weight with a large receptive field: enhanced spatial attention.

    A reduced number of channels passes through a convolution of stride 2, 7x7 max pooling (stride 3) and `context`, and
    is interpolated back to the input size.

    Source: Liu et al., "Residual Feature Aggregation Network for Image Super-Resolution", CVPR 2020, section 3.3.

    Args:
        num_feat: Channels.
        num_inner: Channels inside the attention.
        reduce: 3x3 convolution of stride 2, without padding, on the inner channels.
        context: Layers after the max pooling, on the inner channels.
    """

    # The minimum height and width that the convolution and the pooling accept.
    _LEAST = 15

    def __init__(self, num_feat: int, num_inner: int, reduce: nn.Module, context: nn.Module) -> None:
        super().__init__()
        self.entry = nn.Conv2d(num_feat, num_inner, 1)
        self.reduce = reduce
        self.context = context
        self.skip = nn.Conv2d(num_inner, num_inner, 1)
        self.exit = nn.Conv2d(num_inner, num_feat, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`; inputs under 15 pixels are padded by edge replication for the attention."""
        inner = self.entry(x)
        seen = extended(inner, self._LEAST)
        context = self.context(F.max_pool2d(self.reduce(seen), kernel_size=7, stride=3))
        context = F.interpolate(context, x.shape[2:], mode="bilinear", align_corners=False)
        return x * torch.sigmoid(self.exit(context + self.skip(inner)))


def enhanced_spatial_attention(num_feat: int, num_inner: int) -> SpatialAttention:
    """Make the original form of the attention: a context of three convolutions with ReLUs in between."""
    return SpatialAttention(
        num_feat,
        num_inner,
        reduce=nn.Conv2d(num_inner, num_inner, 3, stride=2),
        context=nn.Sequential(
            nn.Conv2d(num_inner, num_inner, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(num_inner, num_inner, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(num_inner, num_inner, 3, padding=1),
        ),
    )
