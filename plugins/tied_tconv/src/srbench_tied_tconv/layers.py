"""Transposed convolutions without their own kernel: the adjoint of a convolution, or of a mixture of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from srbench.plugin import ConvOptions, SharedModuleRef, SharingError

__all__ = ["AdjointConv"]


class AdjointConv(SharedModuleRef):
    """A transposed convolution with the weights of convolutions, unmodified, and with a bias of its own.

    A kernel `(out, in, k, k)` of a convolution goes into `conv_transpose2d` as it is, which then maps `out` channels to
    `in`: without the bias, that is the adjoint of the convolution with that kernel and this layer's stride and padding
    (docs/tied_tconv.md). With several convolutions the kernel is their mixture with the weights `softmax(logits)`, all
    equal at first.

    Args:
        layer: The transposed convolution that it replaces; gives stride, padding and bias.
        convs: The convolutions, by path.
        path: The layer's path, for messages.

    Raises:
        SharingError: The shapes do not match; all that do not are listed.
    """

    def __init__(self, layer: nn.ConvTranspose2d, convs: Sequence[tuple[str, nn.Conv2d]], path: str) -> None:
        _check_shapes(layer, convs, path)
        super().__init__(convs[0][1])
        self._referred = tuple(conv for _, conv in convs)
        self.options = ConvOptions.of(layer, path)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        self.logits = nn.Parameter(layer.weight.new_zeros(len(convs))) if len(convs) > 1 else None

    @property
    def weight(self) -> Tensor:
        """The kernel `(in, out, k, k)`, as `conv_transpose2d` wants it."""
        kernels = [conv.weight for conv in self._referred]
        if self.logits is None:
            kernel = kernels[0]
            assert isinstance(kernel, Tensor)  # of a convolution
            return kernel
        shares = self.logits.softmax(0)
        return torch.stack([share * kernel for share, kernel in zip(shares, kernels, strict=True)]).sum(0)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(N, out, H, W)` of features `(N, in, h, w)`."""
        return self.options.apply(x, self.weight, self.bias)

    @torch.no_grad()
    def untied(self) -> nn.ConvTranspose2d:
        """Return the plain transposed convolution that computes the same."""
        return cast(nn.ConvTranspose2d, self.options.plain(self.weight, self.bias))

    def extra_repr(self) -> str:
        """Describe the layer for `print(model)`."""
        size = "x".join(map(str, self.weight.shape))
        return f"{size} of {len(self._referred)} convolution(s), stride={self.options.stride}"


def _check_shapes(layer: nn.ConvTranspose2d, convs: Sequence[tuple[str, nn.Conv2d]], path: str) -> None:
    wanted = (layer.in_channels, layer.out_channels // layer.groups, *layer.kernel_size)
    faults = [
        f"'{name}' has {_shape(conv.weight.shape)}"
        + ("" if conv.groups == layer.groups else f" in {conv.groups} groups")
        for name, conv in convs
        if tuple(conv.weight.shape) != wanted or conv.groups != layer.groups
    ]
    if faults:
        raise SharingError(
            f"the transposed convolution '{path}' needs a kernel of {_shape(wanted)} (input x output x height x width)"
            f"{'' if layer.groups == 1 else f' in {layer.groups} groups'}, and {'; '.join(faults)} (output x input)"
        )


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
