"""Convolutions without their pruned channels, for folding."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.models.feeds import Feed
from srbench.models.plain_conv import ConvOptions

__all__ = ["PrunedConv", "pruned_conv"]


@torch.no_grad()
def pruned_conv(
    options: ConvOptions, kernel: Tensor, bias: Tensor | None, feed: Feed, inputs: Tensor, outputs: Tensor
) -> nn.Module:
    """Return a convolution without its pruned channels.

    It is a plain layer if its input and output can shrink; otherwise it gathers the channels that it reads, and
    scatters those that it produces among channels of zeros. A grouped convolution keeps its size, with zeros. So does
    every layer on the `meta` device, where masks have no values.

    Args:
        options: Options of the convolution with all channels; not transposed.
        kernel: Its kernel `(out, in / groups, k, k)`.
        bias: `(out,)`, or None.
        feed: Its channels in the network.
        inputs: Mask of the remaining input channels `(in,)`, boolean, at least one.
        outputs: Mask of the remaining output channels `(out,)`, boolean, at least one.
    """
    if kernel.is_meta or options.groups != 1:
        return options.plain(kernel, bias)
    reads, makes = inputs.nonzero()[:, 0], outputs.nonzero()[:, 0]
    left = dataclasses.replace(options, in_channels=len(reads), out_channels=len(makes))
    conv = left.plain(kernel[makes][:, reads], None if bias is None else bias[makes])
    gathers = len(reads) < len(inputs) and not feed.inputs_shrink
    scatters = len(makes) < len(outputs) and not feed.outputs_shrink
    if not gathers and not scatters:
        return conv
    return PrunedConv(conv, reads if gathers else None, makes if scatters else None, len(outputs))


class PrunedConv(nn.Module):
    """A convolution of some channels, among layers that have all of them.

    Args:
        conv: The convolution.
        reads: Indices of the input channels that it reads; None if its input has no others.
        makes: Indices of the output channels that it produces, the others being 0; None if its output has no others.
        count: Number of output channels, including those that are 0.
    """

    reads: Tensor | None
    places: Tensor | None

    def __init__(self, conv: nn.Module, reads: Tensor | None, makes: Tensor | None, count: int) -> None:
        super().__init__()
        self.conv = conv
        places = None
        if makes is not None:
            places = torch.full((count,), len(makes), device=makes.device)  # a channel of zeros is appended
            places[makes] = torch.arange(len(makes), device=makes.device)
        self.register_buffer("reads", reads)
        self.register_buffer("places", places)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, count, h, w)`, or only the channels produced."""
        made: Tensor = self.conv(x if self.reads is None else x.index_select(1, self.reads))
        return made if self.places is None else F.pad(made, (0, 0, 0, 0, 0, 1)).index_select(1, self.places)
