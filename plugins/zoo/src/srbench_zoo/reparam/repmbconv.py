"""Kind `repmbconv`: an inverted bottleneck with a constant gate, as PlainUSR is trained (Wang et al., ACCV 2024)."""

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

__all__ = ["ConstantGate", "GatedBottleneck", "branched"]

# Channels inside, in terms of those that go in.
_EXPANSION = 2
# Channels inside, in terms of the gate's hidden ones.
_SQUEEZE = 4


def branched(layer: nn.Conv2d, site: SharingSite) -> GatedBottleneck | None:
    """Return the bottleneck in the place of a 3x3 convolution of as many channels as it has inputs; else None."""
    fits = is_same_size(layer, 3) and layer.groups == 1 and layer.in_channels == layer.out_channels
    return GatedBottleneck(layer) if fits and layer.weight.requires_grad else None


class ConstantGate(nn.Module):
    """A factor in 0..1 for each channel that no image influences: squeeze and excitation of a learned vector.

    Args:
        num_feat: Channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        hidden = max(1, num_feat // _SQUEEZE)
        self.vector = nn.Parameter(torch.ones(num_feat))
        self.squeeze = nn.Linear(num_feat, hidden, bias=False)
        self.excite = nn.Linear(hidden, num_feat, bias=False)

    def forward(self) -> Tensor:
        """Return the factors `(C,)`."""
        return torch.sigmoid(self.excite(torch.relu(self.squeeze(self.vector))))


class GatedBottleneck(BranchedConv):
    """1x1 to twice the channels; a gated 3x3 with a skip over it; 1x1 back; and a skip over all.

    The features inside are padded with the first convolution's bias, as it makes it of zeros. The merged convolution
    does not start with the weights of the layer, which none of the branches has the shape of.

    Args:
        layer: The convolution.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        bias, inner = layer.bias is not None, _EXPANSION * self.num_in
        self.expand = nn.Conv2d(self.num_in, inner, 1, bias=bias)
        self.conv = nn.Conv2d(inner, inner, 3, bias=bias)
        self.gate = ConstantGate(inner)
        self.project = nn.Conv2d(inner, self.num_out, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        inner = pointwise_padded(x, self.expand)
        inner = self.conv(inner) * self.gate()[:, None, None] + inner[:, :, 1:-1, 1:-1]
        return self.project(inner) + x  # type: ignore[no-any-return]

    def kernel_and_bias(self) -> Merged:
        """Return the product of the three kernels with both skips in it, and the bias."""
        gate = self.gate()
        inner = self.conv.weight * gate[:, None, None, None]
        inner = inner + nn.init.dirac_(torch.zeros_like(inner))
        bias = None if self.conv.bias is None else self.conv.bias * gate
        kernel, bias = merged_bottleneck(self.expand, inner, bias, self.project)
        return kernel + identity_kernel(self, 3, kernel), bias
