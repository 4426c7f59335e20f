"""Create filter banks and their layers, with random initialization or by truncated SVD of existing weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from srbench.plugin import SharingError, SharingSite
from srbench_ps.layers import FilterBank, SharedConv
from srbench_ps.shape import Shape4
from srbench_ps.tiling import canonical_kernel, canonical_shape, tile_grid, to_tiles

if TYPE_CHECKING:
    from srbench_ps.method import PS

__all__ = ["make_bank", "make_layer", "truncated_svd"]

Conv = nn.Conv2d | nn.ConvTranspose2d


def make_bank(method: PS, layers: Mapping[str, Conv], biases: Mapping[str, Tensor]) -> FilterBank:
    """Create the bank that a group's layers share; see `PS.build`."""
    tile, total = _tile_and_total(method, layers)
    if method.init != "svd":
        biases = {tie: torch.zeros_like(bias) for tie, bias in biases.items()}
    bank = FilterBank(method.size(total), tile, biases)
    bank.to(next(iter(layers.values())).weight)
    if method.init == "svd":
        _initialise_by_svd(bank, layers)
    elif method.init == "normal":
        nn.init.normal_(bank.filters)
    else:
        nn.init.kaiming_normal_(bank.filters)
    return bank


@torch.no_grad()
def make_layer(
    method: PS, site: SharingSite, layer: Conv, shared: nn.Module | None, scales: tuple[int, ...]
) -> SharedConv:
    """Make the convolution that takes its kernel from the bank; see `PS.layer`."""
    assert isinstance(shared, FilterBank)  # `make_bank` made it
    made = SharedConv(site, layer, shared, scales, bias=method.bias_policy(site))
    if method.init == "svd":
        start = shared.pending.pop(site.path)
        for coefficients in made.coefficients.values():
            coefficients.copy_(start)
    else:
        for bias in made.own_biases():
            bias.zero_()
    return made


def truncated_svd(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return factors `(n, rank)` and `(rank, e)` whose product is the best approximation of an `(n, e)` matrix.

    The Frobenius error is the root of the sum of squares of the omitted singular values (Eckart and Young, 1936). The
    singular values are split evenly between the factors. Ranks beyond that of the matrix get zero coefficients and
    small random filters, so the product remains exact and training can use them.
    """
    u, s, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    kept = min(rank, s.numel())
    root = s[:kept].sqrt()
    left, right = u[:, :kept] * root, root[:, None] * vh[:kept]
    if kept < rank:
        left = torch.cat([left, left.new_zeros(left.shape[0], rank - kept)], 1)
        right = torch.cat(
            [right, torch.randn(rank - kept, right.shape[1], dtype=right.dtype) / math.sqrt(right.shape[1])]
        )
    return left.to(matrix), right.to(matrix)


def _initialise_by_svd(bank: FilterBank, layers: Mapping[str, Conv]) -> None:
    with torch.no_grad():
        tiles = {path: to_tiles(canonical_kernel(layer), bank.tile) for path, layer in layers.items()}
        coefficients, filters = truncated_svd(torch.cat(list(tiles.values())), bank.filters.shape[0])
        bank.filters.copy_(filters)
        rows = coefficients.split([len(part) for part in tiles.values()])
        bank.pending = dict(zip(tiles, rows, strict=True))


def _tile_and_total(method: PS, layers: Mapping[str, Conv]) -> tuple[Shape4, int]:
    shapes = {path: canonical_shape(layer) for path, layer in layers.items()}
    tiles = {path: method.partial_shape.resolve(shape) for path, shape in shapes.items()}
    first_path, tile = next(iter(tiles.items()))
    for path, other in tiles.items():
        if other != tile:
            raise SharingError(
                f"shape={method.shape} is {'x'.join(map(str, tile))} at '{first_path}' and "
                f"{'x'.join(map(str, other))} at '{path}', "
                "which share one bank; write the sizes out"
            )
    return tile, sum(math.prod(tile_grid(shape, tile, path)) for path, shape in shapes.items())
