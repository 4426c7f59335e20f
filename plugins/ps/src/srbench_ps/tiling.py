"""Partial filters: how a kernel is cut into tiles of one shape, and put together again.

A kernel is held in the paper's order, input channels first: `(in/groups, out, k_h, k_w)`. A partial-filter shape
`(c_in, c_out, k_h, k_w)` cuts it into a grid of tiles, numbered row by row over (input, output, height, width); within
a tile the elements run in the same order. For CxCx1x1 and Cx1xKxK that is the authors' memory layout.
"""

from __future__ import annotations

from torch import Tensor, nn

from srbench.plugin import SharingError
from srbench_ps.shape import Shape4

__all__ = ["canonical_kernel", "canonical_shape", "from_canonical", "from_tiles", "tile_grid", "to_tiles"]

_DIMENSIONS = ("input channels", "output channels", "kernel height", "kernel width")


def canonical_shape(layer: nn.Conv2d | nn.ConvTranspose2d) -> Shape4:
    """Return a layer's kernel shape `(in/groups, out, k_h, k_w)`."""
    height, width = layer.kernel_size
    return (layer.in_channels // layer.groups, layer.out_channels, height, width)


def canonical_kernel(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """Return a layer's weight as `(in/groups, out, k_h, k_w)`."""
    weight = layer.weight
    if isinstance(layer, nn.Conv2d):
        return weight.transpose(0, 1)
    groups, out = layer.groups, layer.out_channels
    split = weight.reshape(groups, layer.in_channels // groups, out // groups, *layer.kernel_size)
    return split.transpose(0, 1).reshape(canonical_shape(layer))


def from_canonical(kernel: Tensor, groups: int, transposed: bool) -> Tensor:
    """Return the weight, as torch's convolution wants it, of a kernel `(in/groups, out, k_h, k_w)`."""
    if not transposed:
        return kernel.transpose(0, 1)
    per_group, out, height, width = kernel.shape
    split = kernel.reshape(per_group, groups, out // groups, height, width)
    return split.transpose(0, 1).reshape(groups * per_group, out // groups, height, width)


def tile_grid(kernel: Shape4, tile: Shape4, path: str) -> Shape4:
    """Return how many tiles lie along each dimension.

    Raises:
        SharingError: The shape does not tile the kernel; the message says which dimension of which layer.
    """
    for dimension, full, part in zip(_DIMENSIONS, kernel, tile, strict=True):
        if full % part:
            raise SharingError(
                f"partial filters of {'x'.join(map(str, tile))} do not tile the layer '{path}': {part} does not "
                f"divide its {dimension}, {full}; its kernel is {'x'.join(map(str, kernel))} (input x output x "
                "height x width)"
            )
    sizes = [full // part for full, part in zip(kernel, tile, strict=True)]
    return (sizes[0], sizes[1], sizes[2], sizes[3])


def to_tiles(kernel: Tensor, tile: Shape4) -> Tensor:
    """Cut a kernel `(I, O, H, W)` into tiles `(p, e)`, one flattened tile a row."""
    i, o, h, w = (full // part for full, part in zip(kernel.shape, tile, strict=True))
    ci, co, kh, kw = tile
    split = kernel.reshape(i, ci, o, co, h, kh, w, kw)
    return split.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(i * o * h * w, ci * co * kh * kw)


def from_tiles(tiles: Tensor, kernel: Shape4, tile: Shape4) -> Tensor:
    """Put tiles `(p, e)` together to a kernel `(I, O, H, W)`; the inverse of `to_tiles`."""
    i, o, h, w = (full // part for full, part in zip(kernel, tile, strict=True))
    split = tiles.reshape(i, o, h, w, *tile)
    return split.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(kernel)
