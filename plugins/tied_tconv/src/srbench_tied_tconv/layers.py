"""Transposed convolutions without their own kernel: the adjoint of a convolution, or of a mixture of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from srbench.plugin import GeneratedConv, SharingError, SharingSite

__all__ = ["AdjointConv"]


class AdjointConv(GeneratedConv):
    """A transposed convolution with the weights of convolutions, unmodified, and with a bias of its own.

    A kernel `(out, in, k, k)` of a convolution goes into `conv_transpose2d` as it is, which then maps `out` channels to
    `in`: without the bias, that is the adjoint of the convolution with that kernel and this layer's stride and padding
    (docs/tied_tconv.md). With several convolutions the kernel is their mixture with the weights `softmax(logits)`, all
    equal at first.

    Args:
        site: Where it is; the first of its sites where the network ties several.
        layer: The transposed convolution that it replaces.
        convs: The convolutions, by path.
        scales: The scales at which the layer is used.

    Raises:
        SharingError: The shapes do not match; all that do not are listed.
    """

    def __init__(
        self,
        site: SharingSite,
        layer: nn.ConvTranspose2d,
        convs: Sequence[tuple[str, nn.Conv2d]],
        scales: tuple[int, ...],
    ) -> None:
        _check_shapes(layer, convs, site.path)
        super().__init__(site, layer, None, scales, bias="own")
        self._referred = tuple(conv for _, conv in convs)
        self.logits = nn.Parameter(layer.weight.new_zeros(len(convs))) if len(convs) > 1 else None

    def kernel(self) -> Tensor:
        """Return the kernel `(in, out, k, k)`, as `conv_transpose2d` wants it."""
        kernels = [cast(nn.Conv2d, conv).weight for conv in self._referred]
        if self.logits is None:
            return kernels[0]
        shares = self.logits.softmax(0)
        return torch.stack([share * kernel for share, kernel in zip(shares, kernels, strict=True)]).sum(0)

    def extra_repr(self) -> str:
        """Describe the layer for `print(model)`."""
        return f"{_shape(self.kernel_shape)} of {len(self._referred)} convolution(s), stride={self.options.stride}"


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
