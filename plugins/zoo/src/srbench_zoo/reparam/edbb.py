"""Kind `edbb`: a 3x3 and a 1x1 convolution and three edge filters, as EFDN is trained (Wang, CVPRW 2022)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import SharingSite
from srbench_zoo.reparam.branches import BranchedConv, Merged, is_same_size, new_conv
from srbench_zoo.reparam.ecb import EdgeConv, EdgeOrientedConv

__all__ = ["EdgeDiverseConv", "branched"]


def branched(layer: nn.Conv2d, site: SharingSite) -> EdgeDiverseConv | None:
    """Return the five branches that replace a full 3x3 convolution; None for any other layer and for a frozen one."""
    fits = is_same_size(layer, 3) and layer.groups == 1
    return EdgeDiverseConv(layer) if fits and layer.weight.requires_grad else None


class EdgeDiverseConv(BranchedConv):
    """Five parallel branches: 3x3; 1x1; and the three edge filters of kind `ecb`.

    The authors' block has two more branches, which are off by default: 1x1 then 3x3, and a skip.

    Args:
        layer: The 3x3 convolution to replace; the first branch is initialised with its weights.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.conv = new_conv(layer)
        self.point = nn.Conv2d(self.num_in, self.num_out, 1, bias=layer.bias is not None)
        self.edges = EdgeOrientedConv(layer).edges

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the branches, `(N, out, H, W)`."""
        features: Tensor = self.conv(x) + self.point(x)
        for branch in self.edges:
            features = features + branch(x)
        return features

    def kernel_and_bias(self) -> Merged:
        """Return the sum of the branches' kernels and biases."""
        kernel = self.conv.weight + F.pad(self.point.weight, (1,) * 4)
        bias = None
        if self.conv.bias is not None and self.point.bias is not None:
            bias = self.conv.bias + self.point.bias
        for branch in self.edges:
            assert isinstance(branch, EdgeConv)  # a ModuleList has no element type
            more, offset = branch.kernel_and_bias()
            kernel = kernel + more
            bias = None if bias is None or offset is None else bias + offset
        return kernel, bias
