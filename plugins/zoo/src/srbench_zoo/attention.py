"""Attention that several of these networks have, on channels and on positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench_zoo.sizes import extended

__all__ = ["ContrastAttention", "SpatialAttention", "enhanced_spatial_attention"]


class ContrastAttention(nn.Module):
    """Scale channels by weights made of their contrast: standard deviation plus mean, over the whole image.

    Hui et al., ACM MM 2019, section 3.2.

    Args:
        num_feat: Channels.
        reduction: How many times fewer channels there are between the two 1x1 convolutions.
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
        # A channel that is constant over the image has no contrast, and the root would have no gradient there.
        positive = variance > 0
        contrast = torch.where(positive, torch.where(positive, variance, 1.0).sqrt(), 0.0)
        return x * self.weigh(contrast + mean)  # type: ignore[no-any-return]


class SpatialAttention(nn.Module):
    """Scale every position of every channel by a weight seen from far around: enhanced spatial attention.

    Few channels go through a convolution of stride 2, a maximum over 7x7 (stride 3) and `context`, and are enlarged
    again: Liu et al., "Residual Feature Aggregation Network for Image Super-Resolution", CVPR 2020, section 3.3.

    Args:
        num_feat: Channels.
        num_inner: Channels inside.
        reduce: The 3x3 convolution of stride 2, without padding, on the inner channels.
        context: What follows the maximum, on the inner channels.
    """

    # The least height and width that the convolution and the maximum take.
    _LEAST = 15

    def __init__(self, num_feat: int, num_inner: int, reduce: nn.Module, context: nn.Module) -> None:
        super().__init__()
        self.entry = nn.Conv2d(num_feat, num_inner, 1)
        self.reduce = reduce
        self.context = context
        self.skip = nn.Conv2d(num_inner, num_inner, 1)
        self.exit = nn.Conv2d(num_inner, num_feat, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`; small ones are extended by their edges to 15 pixels for the attention."""
        inner = self.entry(x)
        seen = extended(inner, self._LEAST)
        context = self.context(F.max_pool2d(self.reduce(seen), kernel_size=7, stride=3))
        context = F.interpolate(context, x.shape[2:], mode="bilinear", align_corners=False)
        return x * torch.sigmoid(self.exit(context + self.skip(inner)))


def enhanced_spatial_attention(num_feat: int, num_inner: int) -> SpatialAttention:
    """Make the attention in its first form: three convolutions of the context, with a ReLU between them."""
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
