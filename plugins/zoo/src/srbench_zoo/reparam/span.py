"""Kind `span`: 1x1, 3x3 and 1x1 convolutions beside a 1x1 one, as SPAN is trained (Wan et al., CVPRW 2024)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import SharingSite
from srbench_zoo.reparam.branches import BranchedConv, Merged, is_same_size, merged_bottleneck, pointwise_padded

__all__ = ["ExpandedProjected", "branched"]

# Channels around the 3x3 convolution, as a multiple of the layer's input and output channels.
_EXPANSION = 2


def branched(layer: nn.Conv2d, site: SharingSite) -> ExpandedProjected | None:
    """Return the branches that replace a full 3x3 convolution; None for any other layer and for a frozen one."""
    fits = is_same_size(layer, 3) and layer.groups == 1
    return ExpandedProjected(layer) if fits and layer.weight.requires_grad else None


class ExpandedProjected(BranchedConv):
    """1x1 to twice the input channels, 3x3 to twice the output channels, 1x1 back; a parallel 1x1 convolution.

    The input of the 3x3 convolution is padded with the first one's bias, its output for zeros. The merged convolution
    does not start with the layer's weights, since no branch has their shape.

    Args:
        layer: The convolution to replace.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        bias, inputs, outputs = layer.bias is not None, _EXPANSION * self.num_in, _EXPANSION * self.num_out
        self.expand = nn.Conv2d(self.num_in, inputs, 1, bias=bias)
        self.conv = nn.Conv2d(inputs, outputs, 3, bias=bias)
        self.project = nn.Conv2d(outputs, self.num_out, 1, bias=bias)
        self.point = nn.Conv2d(self.num_in, self.num_out, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the two branches, `(N, out, H, W)`."""
        return self.project(self.conv(pointwise_padded(x, self.expand))) + self.point(x)  # type: ignore[no-any-return]

    def kernel_and_bias(self) -> Merged:
        """Return the product of the three kernels plus the 1x1 kernel at its centre, and the bias."""
        kernel, bias = merged_bottleneck(self.expand, self.conv.weight, self.conv.bias, self.project)
        kernel = kernel + F.pad(self.point.weight, (1,) * 4)
        return kernel, None if bias is None or self.point.bias is None else bias + self.point.bias
