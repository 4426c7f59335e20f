"""Building blocks of all kinds of branches: serial and parallel convolutions and their merging into one kernel."""

from __future__ import annotations

import copy
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import ConvOptions

__all__ = [
    "BranchedConv",
    "ExpandedConv",
    "Merged",
    "identity_kernel",
    "is_same_size",
    "merged_bottleneck",
    "new_conv",
    "pointwise_padded",
]

# A kernel `(out, in/groups, k, k)` and a bias `(out,)` or None.
Merged = tuple[Tensor, Tensor | None]


class BranchedConv(nn.Module):
    """Base class of branches that replace a convolution and can be merged into one again.

    Args:
        layer: The convolution to replace; the merged one has its shape and options.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.num_out = layer.out_channels
        self.num_in = layer.in_channels
        self.groups = layer.groups
        self.options = ConvOptions.of(layer)

    def kernel_and_bias(self) -> Merged:
        """Return kernel and bias of the single convolution equivalent to the branches."""
        raise NotImplementedError

    @torch.no_grad()
    def merged(self) -> nn.Conv2d:
        """Return the merged convolution, computed in float64 and rounded once."""
        dtype = next(chain(self.parameters(), self.buffers())).dtype
        kernel, bias = copy.deepcopy(self).double().kernel_and_bias()
        conv = self.options.plain(kernel.to(dtype), bias)
        assert isinstance(conv, nn.Conv2d)  # a plain layer of the same kind
        return conv


class ExpandedConv(nn.Module):
    """A 1x1 convolution to more channels, then a 3x3 one; equivalent to one 3x3 convolution, including at borders.

    The features in between are padded with the bias of the 1x1 convolution, its output for zeros.

    Args:
        num_in: Input channels.
        num_inner: Channels between the two convolutions.
        num_out: Output channels.
        bias: Whether the two convolutions have a bias.
    """

    def __init__(self, num_in: int, num_inner: int, num_out: int, bias: bool) -> None:
        super().__init__()
        self.expand = nn.Conv2d(num_in, num_inner, 1, bias=bias)
        self.reduce = nn.Conv2d(num_inner, num_out, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, out, H, W)` of the same size."""
        return self.reduce(pointwise_padded(x, self.expand))  # type: ignore[no-any-return]

    def kernel_and_bias(self) -> Merged:
        """Return the kernel `(out, in, 3, 3)` and the bias."""
        kernel = torch.einsum("omhw,mi->oihw", self.reduce.weight, self.expand.weight[:, :, 0, 0])
        if self.expand.bias is None or self.reduce.bias is None:
            return kernel, None
        return kernel, self.reduce.bias + self.reduce.weight.sum((2, 3)) @ self.expand.bias


def pointwise_padded(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Apply a 1x1 convolution to features padded with zeros by one pixel, giving `(N, out, H + 2, W + 2)`."""
    features = F.pad(F.conv2d(x, conv.weight), (1, 1, 1, 1))
    return features if conv.bias is None else features + conv.bias[:, None, None]


def merged_bottleneck(expand: nn.Conv2d, kernel: Tensor, bias: Tensor | None, project: nn.Conv2d) -> Merged:
    """Return kernel and bias of a 1x1, a 3x3 and a 1x1 convolution, the first padded as in `pointwise_padded`.

    Args:
        expand: The first convolution.
        kernel: Kernel of the second one.
        bias: Its bias.
        project: The third convolution.
    """
    back = project.weight[:, :, 0, 0]
    merged = torch.einsum("om,mnhw,ni->oihw", back, kernel, expand.weight[:, :, 0, 0])
    if expand.bias is None or bias is None or project.bias is None:
        return merged, None
    return merged, project.bias + back @ (bias + kernel.sum((2, 3)) @ expand.bias)


def identity_kernel(conv: BranchedConv, size: int, like: Tensor) -> Tensor:
    """Return the kernel `(out, in/groups, size, size)` of the identity.

    Args:
        conv: Determines channels and groups.
        size: Height and width, odd.
        like: Determines dtype and device.
    """
    kernel = like.new_zeros(conv.num_out, conv.num_in // conv.groups, size, size)
    return nn.init.dirac_(kernel, conv.groups)


def new_conv(layer: nn.Conv2d) -> nn.Conv2d:
    """Return a copy of a layer: a branch initialised with its weights."""
    return copy.deepcopy(layer)


def is_same_size(layer: nn.Conv2d, kernel: int) -> bool:
    """Return whether a layer has a square kernel of this size and preserves the size of its input by zero padding."""
    return bool(
        layer.kernel_size == (kernel, kernel)
        and layer.stride == (1, 1)
        and layer.dilation == (1, 1)
        and layer.padding == (kernel // 2, kernel // 2)
        and layer.padding_mode == "zeros"
    )
