"""Replacements for convolutions, for the methods `dsconv` and `basis`."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from srbench.plugin import SharingError
from srbench_ps.bank import truncated_svd

__all__ = ["BasisConv", "DepthwiseSeparable", "plain_convolution"]


def plain_convolution(method: str, path: str, layer: nn.Module) -> nn.Conv2d:
    """Return a layer that is a plain convolution.

    Raises:
        SharingError: It is not.
    """
    if not isinstance(layer, nn.Conv2d):
        raise SharingError(f"method '{method}' needs a plain convolution at '{path}' and found {type(layer).__name__}")
    return layer


def _conv(like: nn.Conv2d, inputs: int, outputs: int, groups: int, *, bias: bool) -> nn.Conv2d:
    """Return a convolution with the stride, padding and dilation of another."""
    # torch's layers keep these as pairs, which their annotations do not say.
    how: dict[str, Any] = {"stride": like.stride, "padding": like.padding, "dilation": like.dilation}
    kernel: Any = like.kernel_size
    made = nn.Conv2d(inputs, outputs, kernel, groups=groups, bias=bias, padding_mode=like.padding_mode, **how)
    return made.to(like.weight)


class DepthwiseSeparable(nn.Module):
    """A depthwise and a pointwise convolution, without an activation between them.

    Args:
        layer: The convolution that it replaces; gives shape, stride, padding, groups (of the pointwise one) and whether
            there are biases.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        inputs, outputs, bias = layer.in_channels, layer.out_channels, layer.bias is not None
        self.depthwise = _conv(layer, inputs, inputs, inputs, bias=bias)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, groups=layer.groups, bias=bias).to(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `(N, C, H, W)`."""
        return cast(Tensor, self.pointwise(self.depthwise(x)))


class BasisConv(nn.Module):
    """One basis of filters for all parts of the input channels, and a 1x1 convolution that combines their outputs.

    Args:
        layer: The convolution that it replaces; gives shape, stride, padding, groups and whether there is a bias.
        num_basis: Filters of the basis.
        splits: Parts of each group's input channels.
        path: The layer's path, for messages.

    Raises:
        SharingError: `splits` does not divide the input channels, or the basis would be larger than the rank of the
            layer's filters.
    """

    def __init__(self, layer: nn.Conv2d, num_basis: int, splits: int, path: str) -> None:
        super().__init__()
        per_group = layer.in_channels // layer.groups
        if per_group % splits:
            of = "" if layer.groups == 1 else f" of each of the {layer.groups} groups"
            raise SharingError(
                f"splits={splits} does not divide the {per_group} input channels{of} of the layer '{path}'"
            )
        self.width = per_group // splits
        height, width = layer.kernel_size
        rank = min(layer.out_channels * splits, self.width * height * width)
        if num_basis > rank:
            raise SharingError(
                f"num_basis={num_basis} exceeds {rank}, the largest rank that the filters of the layer '{path}' can "
                f"have in {splits} {'part' if splits == 1 else 'parts'}; give at most {rank}"
            )
        slices = layer.groups * splits
        self.basis = _conv(layer, self.width, num_basis, 1, bias=False)
        self.coefficients = nn.Conv2d(
            slices * num_basis, layer.out_channels, 1, groups=layer.groups, bias=layer.bias is not None
        ).to(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `(N, C, H, W)`."""
        batch, channels, height, width = x.shape
        maps = self.basis(x.reshape(batch * (channels // self.width), self.width, height, width))
        return cast(Tensor, self.coefficients(maps.reshape(batch, -1, *maps.shape[-2:])))

    @torch.no_grad()
    def kernel(self) -> Tensor:
        """Return the weight `(out, in/groups, k_h, k_w)` of the one convolution that computes the same."""
        filters = self.basis.weight
        parts = self.coefficients.weight.reshape(-1, filters.shape[0]) @ filters.flatten(1)
        return parts.reshape(self.coefficients.out_channels, -1, *filters.shape[2:])

    @torch.no_grad()
    def approximate(self, layer: nn.Module) -> None:
        """Take the best basis and coefficients for a convolution's weights (truncated SVD), and its bias."""
        rows = cast(Tensor, layer.weight).reshape(-1, self.basis.weight[0].numel())
        left, right = truncated_svd(rows, self.basis.out_channels)
        self.basis.weight.copy_(right.reshape(self.basis.weight.shape))
        self.coefficients.weight.copy_(left.reshape(self.coefficients.weight.shape))
        if self.coefficients.bias is not None:
            self.coefficients.bias.copy_(cast(Tensor, layer.bias))
