"""Sparse computation of a masked convolution in any block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench_sparse_mask.rows import Positions, Product, gathered_conv, kernel_rows, to_image, to_rows

__all__ = ["DENSEST", "sparse_conv"]

# Above this share of active positions the dense convolution is faster: oneDNN's kernels do 20 to 25% more
# multiplications per second than gathering rows and MKL's matrix product together (docs/adr/0012).
DENSEST = 0.75


@torch.no_grad()
def sparse_conv(conv: nn.Conv2d, x: Tensor, positions: Positions, dense_in: Tensor | None, dense_out: Tensor) -> Tensor:
    """Compute a masked convolution only where its masks are on.

    Args:
        conv: The convolution.
        x: Its input `(N, C, h, w)`, zero in sparse channels where the mask is off.
        positions: Where the mask is on.
        dense_in: Dense input channels, `(C,)` of 0 and 1; None: all of them.
        dense_out: Dense output channels, in the same form.

    Returns:
        `(N, C, h, w)` in channels-last memory.
    """
    batch, _, height, width = x.shape
    kernel = (conv.kernel_size[0], conv.kernel_size[1])
    found = x.new_empty(positions.count, conv.out_channels)
    gathered_conv(to_rows(x), positions.taps(kernel), Product(kernel_rows(conv.weight), conv.bias), found)
    rows = x.new_zeros(batch * height * width, conv.out_channels)
    if (outputs := dense_out.nonzero()[:, 0]).numel():
        everywhere = dense_part(conv, x, dense_in, outputs)
        rows[:, outputs] = everywhere.permute(0, 2, 3, 1).reshape(-1, len(outputs))
    rows[positions.active] = found
    return to_image(rows, batch, height, width)


def dense_part(conv: nn.Conv2d, x: Tensor, dense_in: Tensor | None, outputs: Tensor) -> Tensor:
    """Compute some output channels from the dense input channels only: `(N, outputs, h, w)`."""
    weight, bias = conv.weight[outputs], None if conv.bias is None else conv.bias[outputs]
    if dense_in is not None:
        inputs = dense_in.nonzero()[:, 0]
        if not len(inputs):  # only biases are left
            constant = x.new_zeros(len(outputs)) if bias is None else bias
            return constant[:, None, None].expand(x.shape[0], -1, *x.shape[2:])
        x, weight = x[:, inputs], weight[:, inputs]
    return F.conv2d(x, weight, bias, padding=conv.padding)
