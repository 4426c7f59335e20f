"""The filter bank, and convolutions whose kernels are combinations of its partial filters."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from srbench.plugin import ConvOptions, MultiScaleModule
from srbench_ps.shape import Shape4
from srbench_ps.tiling import from_canonical, from_tiles, kernel_shape, tile_grid

__all__ = ["FilterBank", "SharedBias", "SharedConv"]


class SharedBias(nn.Module):
    """A bias that several layers add."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias.detach().clone())


class FilterBank(nn.Module):
    """The partial filters that all layers of a bank share, `(N_p, e)`, one flattened filter a row.

    Args:
        num_filters: N_p.
        tile: The partial-filter shape (input channels, output channels, height, width).
    """

    def __init__(self, num_filters: int, tile: Shape4) -> None:
        super().__init__()
        self.tile = tile
        self.filters = nn.Parameter(torch.empty(num_filters, tile[0] * tile[1] * tile[2] * tile[3]))
        self.biases = nn.ModuleDict()
        # Coefficients computed together with the filters (SVD), until the layers are created; then empty.
        self.pending: dict[str, Tensor] = {}

    def extra_repr(self) -> str:
        """Describe the bank for `print(model)`."""
        return f"{self.filters.shape[0]} filters of {'x'.join(map(str, self.tile))}"


class SharedConv(MultiScaleModule):
    """A (transposed) convolution whose kernel is `coefficients @ bank`, assembled from tiles.

    Each scale has its own coefficients `(p, N_p)`; the bias, where there is one, is the layer's own, one per scale or
    tied with other layers. Paper: Park and Cho, WACV 2025.

    Args:
        layer: The layer that it replaces; gives shape, stride, padding, dilation, groups and bias.
        bank: The filter bank.
        scales: The scales.
        path: The layer's path, for messages.
        bias: Which bias the layer keeps, if it has one: `own`, `per_scale`, `tied` or `none`.
        tied_bias: The bias that the tie class shares, or None.
    """

    def __init__(
        self,
        layer: nn.Conv2d | nn.ConvTranspose2d,
        bank: FilterBank,
        scales: tuple[int, ...],
        path: str,
        bias: str = "own",
        tied_bias: SharedBias | None = None,
    ) -> None:
        super().__init__(bank, scales)
        self.options = ConvOptions.of(layer, path)
        self.kernel_shape = kernel_shape(layer)
        # The names of torch's layers, for cost counts.
        self.in_channels, self.out_channels = self.options.in_channels, self.options.out_channels
        self.kernel_size, self.groups = self.options.kernel_size, self.options.groups
        grid = tile_grid(self.kernel_shape, bank.tile, path)
        num_tiles = grid[0] * grid[1] * grid[2] * grid[3]
        num_filters = bank.filters.shape[0]
        like = layer.weight
        self.coefficients = nn.ParameterDict(
            # All equal at first, as the authors initialise them.
            {f"x{scale}": nn.Parameter(like.new_full((num_tiles, num_filters), 1 / num_filters)) for scale in scales}
        )
        # Kernel precomputed for one forward pass, together with other layers' (see `srbench_ps.batched`).
        self.ready_kernel: Tensor | None = None
        self._tied_bias: tuple[SharedBias, ...] = () if tied_bias is None else (tied_bias,)
        policy = "none" if layer.bias is None else bias
        self.bias = nn.Parameter(like.new_zeros(layer.out_channels)) if policy == "own" else None
        self.biases = nn.ParameterDict(
            {f"x{scale}": nn.Parameter(like.new_zeros(layer.out_channels)) for scale in scales}
            if policy == "per_scale"
            else {}
        )

    @property
    def bank(self) -> FilterBank:
        """The filter bank that the layer uses."""
        return cast(FilterBank, self.shared_module)

    def active_bias(self, scale: int | None = None) -> Tensor | None:
        """Return the bias that the layer adds for a scale (default: the active one), or None."""
        if self._tied_bias:
            return self._tied_bias[0].bias
        return self.biases[f"x{self.active_scale if scale is None else scale}"] if self.biases else self.bias

    def own_biases(self) -> list[nn.Parameter]:
        """Return the biases that only this layer uses: none, one, or one per scale."""
        return [*self.biases.values(), *([] if self.bias is None else [self.bias])]

    def synthesise(self, scale: int | None = None) -> Tensor:
        """Return the weight of a scale (default: the active one) in torch's layout."""
        coefficients = self.coefficients[f"x{self.active_scale if scale is None else scale}"]
        kernel = from_tiles(coefficients @ self.bank.filters, self.kernel_shape, self.bank.tile)
        return from_canonical(kernel, self.groups, self.options.transposed).contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the active scale's kernel."""
        kernel = self.synthesise() if self.ready_kernel is None else self.ready_kernel
        return self.options.apply(x, kernel, self.active_bias())

    def keep_scale(self, scale: int) -> None:
        """Remove the coefficients and biases of all scales but one."""
        key = f"x{scale}"
        self.coefficients = nn.ParameterDict({key: self.coefficients[key]})
        if self.biases:
            self.biases = nn.ParameterDict({key: self.biases[key]})
        self.scales, self.active_scale = (scale,), scale

    @torch.no_grad()
    def folded(self, scale: int | None = None) -> nn.Conv2d | nn.ConvTranspose2d:
        """Return the plain layer that computes the same for one scale."""
        return self.options.plain(self.synthesise(scale), self.active_bias(scale))

    def extra_repr(self) -> str:
        """Describe the layer for `print(model)`."""
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        return f"{sizes}, stride={self.options.stride}, scales={self.scales}"
