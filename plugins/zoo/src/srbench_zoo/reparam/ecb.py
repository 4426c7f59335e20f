"""Kind `ecb`: the edge-oriented convolution block (Zhang, Zeng and Zhang, ACM MM 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import SharingSite
from srbench_zoo.reparam.branches import (
    BranchedConv,
    ExpandedConv,
    Merged,
    is_same_size,
    new_conv,
    pointwise_padded,
)

__all__ = ["EdgeConv", "EdgeOrientedConv", "branched"]

_SOBEL = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
_LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
# Channels between the 1x1 and the 3x3 convolution, as a multiple of the output channels.
_EXPANSION = 2
# Standard deviation of the initial scales and biases of the edge filters.
_START = 1e-3


def branched(layer: nn.Conv2d, site: SharingSite) -> EdgeOrientedConv | None:
    """Return the five branches that replace a 3x3 convolution; None for any other layer."""
    return EdgeOrientedConv(layer) if is_same_size(layer, 3) and layer.groups == 1 else None


class EdgeConv(nn.Module):
    """A 1x1 convolution, then a fixed 3x3 filter on each channel with a learned scale and bias.

    Args:
        num_in: Input channels.
        num_out: Output channels.
        bias: Whether the convolution and the filters have a bias.
        edges: The filter `(3, 3)`.
    """

    def __init__(self, num_in: int, num_out: int, bias: bool, edges: Tensor) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(num_in, num_out, 1, bias=bias)
        self.scale = nn.Parameter(torch.randn(num_out, 1, 1, 1) * _START)
        self.bias = nn.Parameter(torch.randn(num_out) * _START) if bias else None
        # A frozen parameter, not a buffer: published parameter counts of this block include it.
        self.edges = nn.Parameter(edges.repeat(num_out, 1, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, out, H, W)` of the same size."""
        features = pointwise_padded(x, self.pointwise)
        return F.conv2d(features, self.scale * self.edges, self.bias, groups=len(self.scale))

    def kernel_and_bias(self) -> Merged:
        """Return the kernel `(out, in, 3, 3)` and the bias."""
        filters = self.scale * self.edges
        kernel = filters * self.pointwise.weight
        if self.bias is None or self.pointwise.bias is None:
            return kernel, None
        return kernel, self.bias + filters.sum((1, 2, 3)) * self.pointwise.bias


class EdgeOrientedConv(BranchedConv):
    """Five parallel branches: 3x3; 1x1 then 3x3; three of 1x1 then a scaled edge filter (Sobel x, Sobel y, Laplacian).

    Args:
        layer: The 3x3 convolution to replace; the first branch is initialised with its weights.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        bias = layer.bias is not None
        sobel = torch.tensor(_SOBEL)
        self.conv = new_conv(layer)
        self.expanded = ExpandedConv(self.num_in, _EXPANSION * self.num_out, self.num_out, bias)
        self.edges = nn.ModuleList(
            EdgeConv(self.num_in, self.num_out, bias, edges) for edges in (sobel, sobel.T, torch.tensor(_LAPLACIAN))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the branches, `(N, out, H, W)`."""
        features: Tensor = self.conv(x) + self.expanded(x)
        for branch in self.edges:
            features = features + branch(x)
        return features

    def kernel_and_bias(self) -> Merged:
        """Return the sum of the branches' kernels and biases."""
        kernel, bias = self.conv.weight, self.conv.bias
        for branch in (self.expanded, *self.edges):
            more, offset = branch.kernel_and_bias()
            kernel = kernel + more
            bias = None if bias is None else bias + offset
        return kernel, bias
