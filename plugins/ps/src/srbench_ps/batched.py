"""The kernels of all layers of a bank, put together in one matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from srbench_ps.layers import FilterBank, SharedConv
from srbench_ps.tiling import from_canonical, from_tiles

__all__ = ["kernels_at_once", "synthesise_all"]


@contextmanager
def kernels_at_once(model: nn.Module, scale: int, dtype: torch.dtype, layout: torch.memory_format) -> Iterator[None]:
    """Put the kernels of all layers together, and let the layers find them there until the context ends."""
    # A layer that the scale leaves out must get no gradient, not even zeros: an optimizer would move its weights.
    layers = [module for module in model.modules() if isinstance(module, SharedConv) and scale in module.scales]
    by_bank: dict[FilterBank, list[SharedConv]] = {}
    for layer in layers:
        by_bank.setdefault(layer.bank, []).append(layer)
    try:
        for bank, users in by_bank.items():
            for layer, kernel in zip(users, synthesise_all(bank, users, dtype, layout), strict=True):
                layer.ready_kernel = kernel
        yield
    finally:
        for layer in layers:
            layer.ready_kernel = None


def synthesise_all(
    bank: FilterBank, layers: list[SharedConv], dtype: torch.dtype, layout: torch.memory_format
) -> list[Tensor]:
    """Return each layer's weight for the active scale, in a dtype and a memory layout.

    The product is taken in the parameters' own dtype: what is rounded to bfloat16 is the kernel, once.
    """
    coefficients = [layer.active(layer.coefficients) for layer in layers]
    with torch.autocast(bank.filters.device.type, enabled=False):
        tiles = torch.cat(coefficients) @ bank.filters
    first = layers[0]
    alike = all(
        layer.canonical_shape == first.canonical_shape and layer.groups == 1 and not layer.transposed
        for layer in layers
    )
    if not alike:
        rows = tiles.split([len(part) for part in coefficients])
        kernels = [from_tiles(part, layer.canonical_shape, bank.tile) for part, layer in zip(rows, layers, strict=True)]
        return [
            from_canonical(kernel, layer.groups, layer.transposed).to(dtype).contiguous(memory_format=layout)
            for kernel, layer in zip(kernels, layers, strict=True)
        ]
    # All at once: one copy brings every kernel into its layout.
    i, o, h, w = (full // part for full, part in zip(first.canonical_shape, bank.tile, strict=True))
    split = tiles.to(dtype).reshape(len(layers), i, o, h, w, *bank.tile)
    inputs, outputs, height, width = first.canonical_shape
    if layout == torch.channels_last:
        stored = split.permute(0, 2, 6, 3, 7, 4, 8, 1, 5).reshape(len(layers), outputs, height, width, inputs)
        return list(stored.permute(0, 1, 4, 2, 3).unbind())
    stored = split.permute(0, 2, 6, 1, 5, 3, 7, 4, 8).reshape(len(layers), outputs, inputs, height, width)
    return list(stored.unbind())
