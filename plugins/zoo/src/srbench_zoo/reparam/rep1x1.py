"""Kind `rep1x1`: skips and 1x1 branches, as in the training of LKDN-S (Xie et al., CVPR Workshops 2023)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import SharingSite
from srbench_zoo.reparam.branches import (
    BranchedConv,
    ExpandedConv,
    Merged,
    identity_kernel,
    is_same_size,
    new_conv,
)

__all__ = ["DepthwiseWithSkip", "ExpandedSum", "PointwiseWithSkip", "branched"]

# Channels between the 1x1 and the 3x3 convolution, as a multiple of the input channels.
_EXPANSION = 2


def branched(layer: nn.Conv2d, site: SharingSite) -> BranchedConv | None:
    """Return the branches that replace a pointwise, depthwise or 3x3 convolution.

    A pointwise convolution that changes the number of channels, any other kernel, and a frozen layer have none.
    """
    if not layer.weight.requires_grad:
        return None
    channels = layer.in_channels
    if channels == layer.out_channels == layer.groups and layer.kernel_size[0] > 1:
        return DepthwiseWithSkip(layer) if is_same_size(layer, layer.kernel_size[0] | 1) else None
    if layer.groups != 1:
        return None
    if is_same_size(layer, 1):
        return PointwiseWithSkip(layer) if channels == layer.out_channels else None
    return ExpandedSum(layer) if is_same_size(layer, 3) else None


class PointwiseWithSkip(BranchedConv):
    """A 1x1 convolution and a skip over it.

    Args:
        layer: The convolution.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.conv = new_conv(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the branches, `(N, C, H, W)`."""
        return self.conv(x) + x  # type: ignore[no-any-return]

    def kernel_and_bias(self) -> Merged:
        """Return the kernel plus the identity, and the bias."""
        return self.conv.weight + identity_kernel(self, 1, self.conv.weight), self.conv.bias


class DepthwiseWithSkip(BranchedConv):
    """A depthwise convolution, a parallel depthwise 1x1 one, and a skip over both.

    Args:
        layer: The convolution.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.conv = new_conv(layer)
        self.point = nn.Conv2d(self.num_in, self.num_in, 1, groups=self.num_in, bias=layer.bias is not None)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the branches, `(N, C, H, W)`."""
        return self.conv(x) + x + self.point(x)  # type: ignore[no-any-return]

    def kernel_and_bias(self) -> Merged:
        """Return the kernel plus the identity and the 1x1 kernel at its centre, and the bias."""
        kernel = self.conv.weight
        size = kernel.shape[-1]
        kernel = kernel + identity_kernel(self, size, kernel) + F.pad(self.point.weight, (size // 2,) * 4)
        if self.conv.bias is None or self.point.bias is None:
            return kernel, None
        return kernel, self.conv.bias + self.point.bias


class ExpandedSum(BranchedConv):
    """Three parallel branches: a 3x3 convolution, a 1x1 one, and 1x1 then 3x3.

    Args:
        layer: The 3x3 convolution.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        bias = layer.bias is not None
        self.conv = new_conv(layer)
        self.point = nn.Conv2d(self.num_in, self.num_out, 1, bias=bias)
        self.expanded = ExpandedConv(self.num_in, _EXPANSION * self.num_in, self.num_out, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the branches, `(N, out, H, W)`."""
        return self.conv(x) + self.point(x) + self.expanded(x)  # type: ignore[no-any-return]

    def kernel_and_bias(self) -> Merged:
        """Return the sum of the branches' kernels and biases."""
        kernel, bias = self.expanded.kernel_and_bias()
        kernel = kernel + self.conv.weight + F.pad(self.point.weight, (1,) * 4)
        if self.conv.bias is None or self.point.bias is None or bias is None:
            return kernel, None
        return kernel, bias + self.conv.bias + self.point.bias
