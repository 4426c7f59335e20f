"""The filter bank, and convolutions whose kernels are combinations of its partial filters."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import SharingError
from srbench.models.shared_modules import TaskModule
from srbench_ps.shape import Shape4
from srbench_ps.tiling import from_canonical, from_tiles, kernel_shape, tile_grid

__all__ = ["FilterBank", "SharedBias", "SharedConv"]


def _pair(sizes: Any) -> tuple[int, int]:
    first, second = sizes
    return int(first), int(second)


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
        # Coefficients computed with the filters (SVD), waiting for the layers to be made; empty afterwards.
        self.pending: dict[str, Tensor] = {}

    def extra_repr(self) -> str:
        """Describe the bank for `print(model)`."""
        return f"{self.filters.shape[0]} filters of {'x'.join(map(str, self.tile))}"


class SharedConv(TaskModule):
    """A (transposed) convolution whose kernel is `coefficients @ bank`, put together tile by tile.

    Each task (scale) has coefficients `(p, N_p)` of its own; the bias, where there is one, is the layer's own, one per
    task or tied with other layers. Paper: Park and Cho, WACV 2025.

    Args:
        layer: The layer that it replaces; gives shape, stride, padding, dilation, groups and bias.
        bank: The filter bank.
        tasks: The scales.
        path: The layer's path, for messages.
        bias: Which bias the layer keeps, if it has one: `own`, `per_scale`, `tied` or `none`.
        tied_bias: The bias that the tie class shares, or None.
    """

    def __init__(
        self,
        layer: nn.Conv2d | nn.ConvTranspose2d,
        bank: FilterBank,
        tasks: tuple[int, ...],
        path: str,
        bias: str = "own",
        tied_bias: SharedBias | None = None,
    ) -> None:
        super().__init__(bank, tasks)
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise SharingError(
                f"the layer '{path}' pads by '{layer.padding_mode}', {layer.padding}; partial filters need zeros "
                "around the image, a number of pixels each way"
            )
        self.transposed = isinstance(layer, nn.ConvTranspose2d)
        self.kernel_shape = kernel_shape(layer)
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
        # torch's layers keep these as pairs, which their annotations do not say.
        self.kernel_size, self.stride = _pair(layer.kernel_size), _pair(layer.stride)
        self.padding, self.output_padding = _pair(layer.padding), _pair(layer.output_padding)
        self.dilation, self.groups = _pair(layer.dilation), layer.groups
        grid = tile_grid(self.kernel_shape, bank.tile, path)
        num_tiles = grid[0] * grid[1] * grid[2] * grid[3]
        num_filters = bank.filters.shape[0]
        like = layer.weight
        self.coefficients = nn.ParameterDict(
            # All equal at first, as the authors initialise them.
            {f"x{task}": nn.Parameter(like.new_full((num_tiles, num_filters), 1 / num_filters)) for task in tasks}
        )
        self._tied_bias: tuple[SharedBias, ...] = () if tied_bias is None else (tied_bias,)
        policy = "none" if layer.bias is None else bias
        self.bias = nn.Parameter(like.new_zeros(layer.out_channels)) if policy == "own" else None
        self.biases = nn.ParameterDict(
            {f"x{task}": nn.Parameter(like.new_zeros(layer.out_channels)) for task in tasks}
            if policy == "per_scale"
            else {}
        )

    @property
    def bank(self) -> FilterBank:
        """The filter bank that the layer uses."""
        return cast(FilterBank, self.shared_module)

    def active_bias(self, task: int | None = None) -> Tensor | None:
        """Return the bias that the layer adds for a task (default: the active one), or None."""
        if self._tied_bias:
            return self._tied_bias[0].bias
        return self.biases[f"x{self.task if task is None else task}"] if self.biases else self.bias

    def own_biases(self) -> list[nn.Parameter]:
        """Return the biases that no other layer adds: none, one, or one per task."""
        return [*self.biases.values(), *([] if self.bias is None else [self.bias])]

    def synthesise(self, task: int | None = None) -> Tensor:
        """Return the weight of a task (default: the active one) as torch's convolution wants it."""
        coefficients = self.coefficients[f"x{self.task if task is None else task}"]
        kernel = from_tiles(coefficients @ self.bank.filters, self.kernel_shape, self.bank.tile)
        return from_canonical(kernel, self.groups, self.transposed).contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the active task's kernel."""
        weight, bias = self.synthesise(), self.active_bias()
        if self.transposed:
            return F.conv_transpose2d(
                x,
                weight,
                bias,
                self.stride,
                self.padding,
                self.output_padding,
                self.groups,
                self.dilation,
            )
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def keep_task(self, task: int) -> None:
        """Forget the coefficients and biases of all tasks but one."""
        key = f"x{task}"
        self.coefficients = nn.ParameterDict({key: self.coefficients[key]})
        if self.biases:
            self.biases = nn.ParameterDict({key: self.biases[key]})
        self.tasks, self.task = (task,), task

    @torch.no_grad()
    def folded(self, task: int | None = None) -> nn.Conv2d | nn.ConvTranspose2d:
        """Return the plain layer that computes the same for one task."""
        weight, bias = self.synthesise(task), self.active_bias(task)
        layer: nn.Conv2d | nn.ConvTranspose2d
        if self.transposed:
            layer = nn.ConvTranspose2d(
                self.in_channels,
                self.out_channels,
                self.kernel_size,
                self.stride,
                self.padding,
                self.output_padding,
                self.groups,
                bias is not None,
                self.dilation,
            )
        else:
            layer = nn.Conv2d(
                self.in_channels,
                self.out_channels,
                self.kernel_size,
                self.stride,
                self.padding,
                self.dilation,
                self.groups,
                bias is not None,
            )
        layer.to(weight)
        layer.weight.copy_(weight)
        if bias is not None and layer.bias is not None:
            layer.bias.copy_(bias)
        return layer

    def extra_repr(self) -> str:
        """Describe the layer for `print(model)`."""
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        return f"{sizes}, stride={self.stride}, tasks={self.tasks}"
