"""Settings of PS that share nothing, or whole kernels: they must compute what dense and recursive networks do."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srbench.plugin import Backbone, SharingError, create_model, layer_at
from srbench_ps.layers import FilterBank, SharedConv
from srbench_ps.tiling import canonical_kernel, to_tiles

__all__ = ["identity_coefficients_equal_recursive", "ratio_1_equals_dense"]

Pair = tuple[Backbone, Backbone]


def ratio_1_equals_dense(backbone: str, shape: str, scales: tuple[int, ...], seed: int) -> Pair | None:
    """Return a dense network, and one whose bank holds each of its tiles."""
    return _pair(f"{backbone}+dense", backbone, shape, scales, seed)


def identity_coefficients_equal_recursive(backbone: str, shape: str, scales: tuple[int, ...], seed: int) -> Pair | None:
    """Return a recursive network, and one whose layers of a tie class pick the same tiles, each with coefficient 1."""
    return _pair(f"{backbone}+recursive", backbone, shape, scales, seed)


def _pair(reference: str, backbone: str, shape: str, scales: tuple[int, ...], seed: int) -> Pair | None:
    try:
        wanted = create_model(reference, scales=scales, seed=seed)
        made = create_model(f"{backbone}+ps(ratio=1,shape={shape},bias=own)", scales=scales, seed=seed)
    except SharingError:
        return None  # the shape does not tile this network, or its layers cannot be tied
    take_kernels(made, wanted)
    return wanted, made


@torch.no_grad()
def take_kernels(made: Backbone, wanted: Backbone) -> None:
    """Put the tiles of another network's kernels into the banks, each layer's once, and pick them by coefficients."""
    places: dict[tuple[int, int], int] = {}
    filled: dict[int, int] = {}
    for path, conv in made.named_modules():
        if not isinstance(conv, SharedConv):
            continue
        layer = layer_at(wanted, path)
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)  # `ps` took it
        bank, tiles = conv.bank, to_tiles(canonical_kernel(layer), conv.bank.tile)
        key = (id(bank), id(layer))
        if key not in places:
            places[key] = filled.get(id(bank), 0)
            filled[id(bank)] = places[key] + len(tiles)
            bank.filters[places[key] : filled[id(bank)]] = tiles
        for coefficients in conv.coefficients.values():
            coefficients.copy_(_pick(places[key], len(tiles), bank).to(coefficients))
        for bias in conv.own_biases():
            if layer.bias is not None:
                bias.copy_(layer.bias)


def _pick(first: int, count: int, bank: FilterBank) -> Tensor:
    rows = torch.zeros(count, bank.filters.shape[0])
    rows[torch.arange(count), first + torch.arange(count)] = 1
    return rows
