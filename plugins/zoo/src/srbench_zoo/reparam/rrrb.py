"""Kind `rrrb`: an inverted bottleneck with a skip over its 3x3 convolution and one over all, as FMEN is trained.

Source: Du et al., "Fast and Memory-Efficient Network Towards Efficient Image Super-Resolution", CVPRW 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srbench.plugin import SharingSite
from srbench_zoo.reparam.branches import (
    BranchedConv,
    Merged,
    identity_kernel,
    is_same_size,
    merged_bottleneck,
    pointwise_padded,
)

__all__ = ["ResidualBottleneck", "branched"]

# Channels inside, as a multiple of the input channels.
_EXPANSION = 2


def branched(layer: nn.Conv2d, site: SharingSite) -> ResidualBottleneck | None:
    """Return the bottleneck that replaces a full 3x3 convolution with as many outputs as inputs; else None.

    A frozen layer has none.
    """
    fits = is_same_size(layer, 3) and layer.groups == 1 and layer.in_channels == layer.out_channels
    return ResidualBottleneck(layer) if fits and layer.weight.requires_grad else None


class ResidualBottleneck(BranchedConv):
    """1x1 to twice the channels, 3x3 with a skip over it, 1x1 back, and a skip over all three.

    The input of the 3x3 convolution is padded with the first one's bias, its output for zeros. The merged convolution
    does not start with the layer's weights, since no branch has their shape.

    Args:
        layer: The convolution to replace.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        bias, inner = layer.bias is not None, _EXPANSION * self.num_in
        self.expand = nn.Conv2d(self.num_in, inner, 1, bias=bias)
        self.conv = nn.Conv2d(inner, inner, 3, bias=bias)
        self.project = nn.Conv2d(inner, self.num_out, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        inner = pointwise_padded(x, self.expand)
        return self.project(self.conv(inner) + inner[:, :, 1:-1, 1:-1]) + x  # type: ignore[no-any-return]

    def kernel_and_bias(self) -> Merged:
        """Return the product of the three kernels with both skips in it, and the bias."""
        inner = self.conv.weight + nn.init.dirac_(torch.zeros_like(self.conv.weight))
        kernel, bias = merged_bottleneck(self.expand, inner, self.conv.bias, self.project)
        return kernel + identity_kernel(self, 3, kernel), bias
