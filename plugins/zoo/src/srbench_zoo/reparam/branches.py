"""What all kinds of branches are made of: convolutions in a row or side by side, and their merging into one kernel."""

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
    "new_conv",
    "pointwise_padded",
]

# A kernel `(out, in/groups, k, k)` and a bias `(out,)`, if there is one.
Merged = tuple[Tensor, Tensor | None]


class BranchedConv(nn.Module):
    """Branches in the place of one convolution, which computes the same once they are merged.

    Args:
        layer: The convolution, whose shape and options the merged one has.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.num_out = layer.out_channels
        self.num_in = layer.in_channels
        self.groups = layer.groups
        self.options = ConvOptions.of(layer)

    def kernel_and_bias(self) -> Merged:
        """Return kernel and bias of the one convolution that computes what the branches do."""
        raise NotImplementedError

    @torch.no_grad()
    def merged(self) -> nn.Conv2d:
        """Return the convolution; products are made in float64 and rounded once."""
        dtype = next(chain(self.parameters(), self.buffers())).dtype
        kernel, bias = copy.deepcopy(self).double().kernel_and_bias()
        conv = self.options.plain(kernel.to(dtype), bias)
        assert isinstance(conv, nn.Conv2d)  # a plain layer of the same kind
        return conv


class ExpandedConv(nn.Module):
    """A 1x1 convolution to more channels and a 3x3 one, which together are one 3x3 convolution, borders included.

    The features between them are padded with the first one's bias, as the 1x1 convolution makes it of zeros.

    Args:
        num_in: Channels that go in.
        num_inner: Channels between the two.
        num_out: Channels that come out.
        bias: Whether the two have one.
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
    """Return what a 1x1 convolution makes of features padded with zeros by one pixel, `(N, out, H + 2, W + 2)`."""
    features = F.pad(F.conv2d(x, conv.weight), (1, 1, 1, 1))
    return features if conv.bias is None else features + conv.bias[:, None, None]


def identity_kernel(conv: BranchedConv, size: int, like: Tensor) -> Tensor:
    """Return the kernel `(out, in/groups, size, size)` with which a convolution leaves features as they are.

    Args:
        conv: Gives the channels and groups.
        size: Height and width, odd.
        like: Gives dtype and device.
    """
    kernel = like.new_zeros(conv.num_out, conv.num_in // conv.groups, size, size)
    return nn.init.dirac_(kernel, conv.groups)


def new_conv(layer: nn.Conv2d) -> nn.Conv2d:
    """Return a copy of a layer: a branch that starts with its weights."""
    return copy.deepcopy(layer)


def is_same_size(layer: nn.Conv2d, kernel: int) -> bool:
    """Say whether a layer has a square kernel of this size and pads with zeros to the size of its input."""
    return bool(
        layer.kernel_size == (kernel, kernel)
        and layer.stride == (1, 1)
        and layer.dilation == (1, 1)
        and layer.padding == (kernel // 2, kernel // 2)
        and layer.padding_mode == "zeros"
    )
