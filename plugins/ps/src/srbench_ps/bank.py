"""Create filter banks and their layers, with random initialization or by truncated SVD of existing weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from srbench.plugin import SharingError, SharingSite, SiteGroup
from srbench_ps.layers import FilterBank, SharedBias, SharedConv
from srbench_ps.shape import Shape4
from srbench_ps.tiling import canonical_kernel, kernel_shape, tile_grid, to_tiles

if TYPE_CHECKING:
    from srbench_ps.method import PS

__all__ = ["make_bank", "make_layer", "truncated_svd"]

Conv = nn.Conv2d | nn.ConvTranspose2d


def make_bank(method: PS, group: SiteGroup, modules: Mapping[str, nn.Module]) -> FilterBank:
    """Create the bank that a group's layers share; see `PS.build`."""
    layers = {site.path: _convolution(site.path, modules[site.path]) for site in group.sites}
    tile, total = _tile_and_total(method, layers)
    bank = FilterBank(method.size(total), tile)
    bank.to(next(iter(layers.values())).weight)
    if method.init == "svd":
        _initialise_by_svd(bank, layers)
    elif method.init == "normal":
        nn.init.normal_(bank.filters)
    else:
        nn.init.kaiming_normal_(bank.filters)
    tied = [site for site in group.sites if method.bias_policy(site) == "tied"]
    for tie in dict.fromkeys(site.tie for site in tied):
        biases = [layers[site.path].bias for site in tied if site.tie == tie]
        present = [bias for bias in biases if bias is not None]
        if present:
            mean = torch.stack([bias.detach() for bias in present]).mean(0)
            bank.biases[_key(tie)] = SharedBias(mean if method.init == "svd" else torch.zeros_like(mean))
    return bank


def make_layer(
    method: PS, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
) -> SharedConv:
    """Make the convolution that takes its kernel from the bank; see `PS.replace`."""
    layer = _convolution(site.path, module)
    assert isinstance(shared, FilterBank)  # `make_bank` made it
    policy = method.bias_policy(site)
    tied = shared.biases[_key(site.tie)] if policy == "tied" and layer.bias is not None else None
    assert tied is None or isinstance(tied, SharedBias)
    made = SharedConv(layer, shared, scales, site.path, policy, tied)
    if method.init == "svd":
        with torch.no_grad():
            for scale in scales:
                made.coefficients[f"x{scale}"].copy_(
                    shared.pending.pop(site.path) if scale == scales[-1] else shared.pending[site.path]
                )
            if layer.bias is not None:
                for bias in made.own_biases():
                    bias.copy_(layer.bias)
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
    shapes = {path: kernel_shape(layer) for path, layer in layers.items()}
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


def _convolution(path: str, module: nn.Module) -> Conv:
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        raise SharingError(f"method 'ps' needs a plain convolution at '{path}' and found {type(module).__name__}")
    return module


def _key(tie: str) -> str:
    return tie.replace(".", "_")
