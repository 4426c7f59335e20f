"""A convolution's options, separate from its weights: for layers that generate their kernel, and for folding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import SharingError

__all__ = ["ConvOptions", "plain_conv"]

Pair = tuple[int, int]


@dataclass(frozen=True)
class ConvOptions:
    """Options of a 2-D convolution other than weight and bias, named as in `nn.Conv2d`.

    Attributes:
        transposed: Whether it is a transposed convolution; `output_padding` is used only then.
    """

    in_channels: int
    out_channels: int
    kernel_size: Pair
    stride: Pair
    padding: Pair
    output_padding: Pair
    dilation: Pair
    groups: int
    transposed: bool

    @classmethod
    def of(cls, layer: nn.Conv2d | nn.ConvTranspose2d, path: str = "") -> Self:
        """Read the options of a layer.

        Args:
            layer: The layer.
            path: Its path in the network, for error messages.

        Raises:
            SharingError: The layer uses anything other than zero padding by a number of pixels.
        """
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise SharingError(
                f"the layer '{path}' pads by '{layer.padding_mode}', {layer.padding}; only zero padding by a number of "
                "pixels on each side is supported"
            )
        return cls(
            layer.in_channels,
            layer.out_channels,
            _pair(layer.kernel_size),
            _pair(layer.stride),
            _pair(layer.padding),
            _pair(layer.output_padding),
            _pair(layer.dilation),
            layer.groups,
            isinstance(layer, nn.ConvTranspose2d),
        )

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve features `(N, in_channels, h, w)` with a weight laid out as in the torch layer of this kind."""
        if self.transposed:
            return F.conv_transpose2d(
                x, weight, bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
            )
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    @torch.no_grad()
    def plain(self, weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d | nn.ConvTranspose2d:
        """Return a plain layer with copies of a weight and a bias, on their device (also `meta`) and in their dtype.

        No random numbers are drawn.
        """
        made: Any = {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "bias": bias is not None,
            "device": "meta",
            "dtype": weight.dtype,
        }
        if self.transposed:
            made["output_padding"] = self.output_padding
        layer: nn.Conv2d | nn.ConvTranspose2d = (nn.ConvTranspose2d if self.transposed else nn.Conv2d)(**made)
        layer.weight = nn.Parameter(weight.detach().clone())
        if bias is not None:
            layer.bias = nn.Parameter(bias.detach().to(weight.dtype).clone())
        return layer


def plain_conv(
    like: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor, bias: Tensor | None = None
) -> nn.Conv2d | nn.ConvTranspose2d:
    """Return a plain layer with the options of another, and with copies of a weight and a bias.

    Args:
        like: The layer to take stride, padding, dilation and groups from.
        weight: In the layout of that layer; the new layer has its device (also `meta`) and dtype.
        bias: `(out_channels,)`, or None.

    Raises:
        SharingError: The layer uses anything other than zero padding by a number of pixels.
    """
    return ConvOptions.of(like).plain(weight, bias)


def _pair(value: Any) -> Pair:
    """Return a value that torch stores as a pair, although its annotations do not say so."""
    return (int(value[0]), int(value[1])) if isinstance(value, tuple) else (int(value), int(value))
