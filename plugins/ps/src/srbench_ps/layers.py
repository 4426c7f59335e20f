"""The filter bank, and convolutions whose kernels are combinations of its partial filters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from srbench.plugin import GeneratedConv, SharedBanks, SharingSite
from srbench_ps.shape import Shape4
from srbench_ps.tiling import canonical_shape, from_canonical, from_tiles, tile_grid

__all__ = ["FilterBank", "SharedConv"]


class FilterBank(SharedBanks):
    """The partial filters that all layers of a group share, `(N_p, e)`, one flattened filter a row.

    It is what the group shares and its only bank in one module: weight files have its `filters` directly.

    Args:
        num_filters: N_p.
        tile: The partial-filter shape (input channels, output channels, height, width).
        biases: Tie class -> bias.
    """

    def __init__(self, num_filters: int, tile: Shape4, biases: Mapping[str, Tensor]) -> None:
        super().__init__((), {}, biases)
        self.tile = tile
        self.filters = nn.Parameter(torch.empty(num_filters, math.prod(tile)))
        # Coefficients computed together with the filters (SVD), until the layers are created; then empty.
        self.pending: dict[str, Tensor] = {}

    def bank_of(self, path: str) -> nn.Module:
        """Return the bank of the layer at a path: this one."""
        return self

    def extra_repr(self) -> str:
        """Describe the bank for `print(model)`."""
        return f"{self.filters.shape[0]} filters of {'x'.join(map(str, self.tile))}"


class SharedConv(GeneratedConv):
    """A (transposed) convolution whose kernel is `coefficients @ bank`, assembled from tiles.

    Each scale has its own coefficients `(p, N_p)`. Paper: Park and Cho, WACV 2025.

    Args:
        site: Where it is.
        layer: The layer that it replaces.
        bank: The filter bank.
        scales: The scales at which the layer is used.
        bias: Which bias it keeps if the layer has one; what the site declares where not given.
    """

    def __init__(
        self,
        site: SharingSite,
        layer: nn.Conv2d | nn.ConvTranspose2d,
        bank: FilterBank,
        scales: tuple[int, ...],
        *,
        bias: str | None = None,
    ) -> None:
        super().__init__(site, layer, bank, scales, bias=bias)
        self.canonical_shape = canonical_shape(layer)
        num_tiles = math.prod(tile_grid(self.canonical_shape, bank.tile, site.path))
        num_filters = bank.filters.shape[0]
        biases = self.biases
        del self.biases  # to follow the coefficients: optimizers in checkpoints number the parameters in this order
        # All equal at first, as the authors initialise them.
        self.coefficients = self.per_scale(layer.weight.new_full((num_tiles, num_filters), 1 / num_filters))
        self.biases = biases
        # Kernel precomputed for one forward pass, together with other layers' (see `srbench_ps.batched`).
        self.ready_kernel: Tensor | None = None

    @property
    def bank(self) -> FilterBank:
        """The filter bank that the layer uses."""
        return cast(FilterBank, self.shared_module)

    def kernel(self) -> Tensor:
        """Return the weight for the active scale in torch's layout."""
        if self.ready_kernel is not None:
            return self.ready_kernel
        tiles = self.active(self.coefficients) @ self.bank.filters
        kernel = from_tiles(tiles, self.canonical_shape, self.bank.tile)
        return from_canonical(kernel, self.groups, self.transposed).contiguous()
