"""Convolutions at selected positions: channels-last rows are gathered in cache-sized chunks and multiplied once.

Feature maps are kept as *rows*, one per position, followed by a row of zeros, which is read for positions outside the
image or without values.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Positions", "Product", "gathered_conv", "kernel_rows", "side_by_side", "to_image", "to_rows"]

# Number of values in a gathered chunk per CPU thread: 512 rows of nine times 64, about 1 MB, to fit the cache.
_ROW = 9 * 64
_CHUNK = 512 * _ROW
# On a GPU the chunk size only bounds memory.
_CHUNK_CUDA = 1 << 26


def to_rows(x: Tensor) -> Tensor:
    """Copy features `(N, C, h, w)` to rows `(N*h*w + 1, C)`."""
    batch, channels, height, width = x.shape
    rows = x.new_empty(batch * height * width + 1, channels)
    rows[:-1].view(batch, height, width, channels).copy_(x.permute(0, 2, 3, 1))
    rows[-1] = 0
    return rows


def to_image(rows: Tensor, batch: int, height: int, width: int) -> Tensor:
    """Return rows `(N*h*w, C)` as features `(N, C, h, w)` in channels-last memory, without copying."""
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)


def kernel_rows(weight: Tensor) -> Tensor:
    """Return a kernel `(out, in, k, k)` as a matrix `(k*k*in, out)` to multiply gathered rows with."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])


class Positions:
    """Positions where a mask is on, and the rows that a convolution reads there.

    Attributes:
        active: Their indices among all positions, ascending.
        count: Number of active positions.
        share: Their share of all positions, 0..1.

    Args:
        mask: `(N, 1, h, w)`, 0 or 1.
    """

    def __init__(self, mask: Tensor) -> None:
        self.batch, _, self.height, self.width = mask.shape
        self._mask = mask[:, 0] != 0
        self._taps: dict[tuple[int, int], Tensor] = {}
        self._covered: dict[tuple[int, int], Tensor] = {}
        self.active = self._mask.flatten().nonzero()[:, 0]
        self.count = len(self.active)
        self.share = self.count / max(mask.numel(), 1)

    def taps(self, kernel: tuple[int, int]) -> Tensor:
        """Return the rows that each kernel covers, `(count * k * k,)`, with the row of zeros beyond the borders."""
        if kernel not in self._taps:
            total, up, left = self.batch * self.height * self.width, kernel[0] // 2, kernel[1] // 2
            numbers = torch.arange(total, dtype=torch.int32, device=self.active.device)
            rows = F.pad(numbers.view(-1, self.height, self.width), (left, left, up, up), value=total)
            self._taps[kernel] = rows.flatten().index_select(0, self._windows(kernel))
        return self._taps[kernel]

    def compact(self, halo: bool) -> tuple[Tensor, Tensor]:
        """Index compact rows of the active positions, optionally with a halo of their neighbours.

        Args:
            halo: Whether to include the inactive neighbours of active positions.

        Returns:
            The compact rows that each 3x3 kernel covers, `(count * 9,)`, where compact rows are the active positions,
            the halo, and a row of zeros; and the indices of the halo among all positions.
        """
        beside = self._beside() if halo else self.active[:0]
        total = self.count + len(beside)
        rows = torch.full((self._mask.numel(),), total, dtype=torch.int32, device=self.active.device)
        numbers = torch.arange(total, dtype=torch.int32, device=self.active.device)
        rows[self.active], rows[beside] = numbers[: self.count], numbers[self.count :]
        wide = F.pad(rows.view(-1, self.height, self.width), (1, 1, 1, 1), value=total)
        return wide.flatten().index_select(0, self._windows((3, 3))), beside

    def _beside(self) -> Tensor:
        """Return the indices of inactive positions with an active one among their eight neighbours."""
        across = self._mask.clone()
        across[:, :, 1:] |= self._mask[:, :, :-1]
        across[:, :, :-1] |= self._mask[:, :, 1:]
        around = across.clone()
        around[:, 1:] |= across[:, :-1]
        around[:, :-1] |= across[:, 1:]
        return (around & ~self._mask).flatten().nonzero()[:, 0]

    def _windows(self, kernel: tuple[int, int]) -> Tensor:
        """Return the positions that each kernel covers, `(count * k * k,)`, as indices into zero-padded images."""
        if kernel not in self._covered:
            up, left = kernel[0] // 2, kernel[1] // 2
            wide = self.width + 2 * left
            offsets = [(down - up) * wide + right - left for down in range(kernel[0]) for right in range(kernel[1])]
            centres = F.pad(self._mask, (left, left, up, up)).flatten().nonzero().int()
            self._covered[kernel] = (centres + centres.new_tensor(offsets)).flatten()
        return self._covered[kernel]


class Product:
    """Multiply rows with a matrix, stored in the layout of the fastest available operator.

    On a CPU in float32 this is oneDNN's product, the operator that torch's compiler uses for linear layers, 10% faster
    than MKL's at these sizes. Otherwise, or if torch lacks it, it is the ordinary matrix product.

    Args:
        weight: The matrix, `(in, out)`.
        bias: Added to each row, `(out,)`.
        relu: Whether to set negative results to zero.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> None:
        self.columns = weight.shape[0]
        self.weight, self.bias, self.relu = weight, bias, relu
        self._packed: Tensor | None = None
        if weight.device.type == "cpu" and weight.dtype == torch.float32 and _has_linear():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.t().contiguous(), _CHUNK // _ROW)

    def __call__(self, rows: Tensor, out: Tensor) -> None:
        """Write the product of rows `(n, in)` to `out`, `(n, out)`."""
        if self._packed is not None:
            activation = "relu" if self.relu else "none"
            out.copy_(torch.ops.mkldnn._linear_pointwise(rows, self._packed, self.bias, activation, [], ""))
            return
        if self.bias is None:
            torch.mm(rows, self.weight, out=out)
        else:
            torch.addmm(self.bias, rows, self.weight, out=out)
        if self.relu:
            out.relu_()


@functools.cache
def _has_linear() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def gathered_conv(rows: Tensor, taps: Tensor, product: Product, out: Tensor) -> None:
    """Compute a convolution at selected positions.

    Args:
        rows: Features as rows, `(n, in)`.
        taps: The rows that each position's kernel covers, concatenated over positions.
        product: Product with the kernel as returned by `kernel_rows`.
        out: Receives the result, `(positions, out)`.
    """
    covered = product.columns // rows.shape[1]
    chunk = _chunk_of(product.columns, rows.device)
    gathered = rows.new_empty(min(chunk, len(out)) * covered, rows.shape[1])
    for part, read in _together(chunk, (out, 1), (taps, covered)):
        matrix = torch.index_select(rows, 0, read, out=gathered[: len(read)])
        product(matrix.view(len(part), -1), part)


def side_by_side(layers: Sequence[Tensor], product: Product, out: Tensor) -> None:
    """Compute the product of the concatenated channels of several layers.

    Args:
        layers: Rows of each layer, `(n, C)`.
        product: Product with a matrix `(layers * C, out)`.
        out: Receives the result, `(n, out)`.
    """
    chunk = _chunk_of(product.columns, out.device)
    for part, *beside in _together(chunk, (out, 1), *((layer, 1) for layer in layers)):
        product(torch.cat(beside, 1), part)


def _together(chunk: int, *parts: tuple[Tensor, int]) -> Iterator[tuple[Tensor, ...]]:
    """Iterate over chunks of tensors with a fixed number of rows per position; empty without positions."""
    if len(parts[0][0]):
        yield from zip(*(tensor.split(chunk * each) for tensor, each in parts), strict=True)


def _chunk_of(columns: int, device: torch.device) -> int:
    """Return the number of rows of a gathered matrix that are multiplied at once."""
    if device.type != "cpu":
        return max(_CHUNK_CUDA // columns, 1)
    return max(_CHUNK // columns, 16) * torch.get_num_threads()
