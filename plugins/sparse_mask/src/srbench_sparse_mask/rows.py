"""Convolutions at chosen positions: channels-last rows are gathered in chunks that stay in cache, and multiplied once.

A map of features is kept as *rows*, one for each position, with a row of zeros after the last: what is outside the
image, or has nothing to give, is read there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Positions", "Product", "gathered_conv", "kernel_rows", "side_by_side", "to_image", "to_rows"]

# Numbers that a gathered chunk may hold on a CPU, for each thread: 512 rows of nine times 64, about a cache of 1 MB.
_ROW = 9 * 64
_CHUNK = 512 * _ROW
# On a GPU a chunk bounds memory only.
_CHUNK_CUDA = 1 << 26


def to_rows(x: Tensor) -> Tensor:
    """Return features `(N, C, h, w)` as rows `(N*h*w + 1, C)`, copied."""
    batch, channels, height, width = x.shape
    rows = x.new_empty(batch * height * width + 1, channels)
    rows[:-1].view(batch, height, width, channels).copy_(x.permute(0, 2, 3, 1))
    rows[-1] = 0
    return rows


def to_image(rows: Tensor, batch: int, height: int, width: int) -> Tensor:
    """Return rows `(N*h*w, C)` as features `(N, C, h, w)` in channels-last memory, not copied."""
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)


def kernel_rows(weight: Tensor) -> Tensor:
    """Return a kernel `(out, in, k, k)` as the matrix `(k*k*in, out)` that gathered rows are multiplied with."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])


class Positions:
    """Positions where a mask is on, and where to read what a convolution sees there.

    Attributes:
        active: Their numbers among all positions, ascending.
        count: How many they are.
        share: Their share of all positions.

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
        """Return which of all rows each kernel covers `(count * k * k,)`; the row of zeros beyond the borders."""
        if kernel not in self._taps:
            total, up, left = self.batch * self.height * self.width, kernel[0] // 2, kernel[1] // 2
            numbers = torch.arange(total, dtype=torch.int32, device=self.active.device)
            rows = F.pad(numbers.view(-1, self.height, self.width), (left, left, up, up), value=total)
            self._taps[kernel] = rows.flatten().index_select(0, self._windows(kernel))
        return self._taps[kernel]

    def compact(self, halo: bool) -> tuple[Tensor, Tensor]:
        """Number the active positions by themselves, and those beside them where a halo is asked for.

        Returns:
            Which compact rows each 3x3 kernel covers `(count * 9,)`: first come the active positions, then the halo,
            then zeros. And the numbers of the halo's positions among all.
        """
        beside = self._beside() if halo else self.active[:0]
        total = self.count + len(beside)
        rows = torch.full((self._mask.numel(),), total, dtype=torch.int32, device=self.active.device)
        numbers = torch.arange(total, dtype=torch.int32, device=self.active.device)
        rows[self.active], rows[beside] = numbers[: self.count], numbers[self.count :]
        wide = F.pad(rows.view(-1, self.height, self.width), (1, 1, 1, 1), value=total)
        return wide.flatten().index_select(0, self._windows((3, 3))), beside

    def _beside(self) -> Tensor:
        """Return the numbers of positions that are off, with one that is on among their eight neighbours."""
        across = self._mask.clone()
        across[:, :, 1:] |= self._mask[:, :, :-1]
        across[:, :, :-1] |= self._mask[:, :, 1:]
        around = across.clone()
        around[:, 1:] |= across[:, :-1]
        around[:, :-1] |= across[:, 1:]
        return (around & ~self._mask).flatten().nonzero()[:, 0]

    def _windows(self, kernel: tuple[int, int]) -> Tensor:
        """Return what each kernel covers `(count * k * k,)`, in numbers of the images with a margin of zeros."""
        if kernel not in self._covered:
            up, left = kernel[0] // 2, kernel[1] // 2
            wide = self.width + 2 * left
            offsets = [(down - up) * wide + right - left for down in range(kernel[0]) for right in range(kernel[1])]
            centres = F.pad(self._mask, (left, left, up, up)).flatten().nonzero().int()
            self._covered[kernel] = (centres + centres.new_tensor(offsets)).flatten()
        return self._covered[kernel]


class Product:
    """Multiply rows with a matrix that is kept in the layout which that takes.

    On a CPU in float32 it is oneDNN's product, a tenth faster than MKL's at these sizes: the operator that torch's own
    compiler calls for linear layers. Where torch lacks it, and elsewhere, it is the ordinary one.

    Args:
        weight: `(in, out)`.
        bias: Added to each row, `(out,)`.
        relu: Let negative results be zero.
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
    """Compute a convolution at some positions.

    Args:
        rows: Features as rows, `(n, in)`.
        taps: The rows that each position's kernel covers, position after position.
        product: With the kernel, as `kernel_rows` gives it.
        out: Where the result goes, `(positions, out)`.
    """
    covered = product.columns // rows.shape[1]
    chunk = _chunk_of(product.columns, rows.device)
    gathered = rows.new_empty(min(chunk, len(out)) * covered, rows.shape[1])
    for part, read in _together(chunk, (out, 1), (taps, covered)):
        matrix = torch.index_select(rows, 0, read, out=gathered[: len(read)])
        product(matrix.view(len(part), -1), part)


def side_by_side(layers: Sequence[Tensor], product: Product, out: Tensor) -> None:
    """Compute the product of several layers' channels taken together.

    Args:
        layers: Rows of each layer, `(n, C)`.
        product: With a matrix `(layers * C, out)`.
        out: Where it goes, `(n, out)`.
    """
    chunk = _chunk_of(product.columns, out.device)
    for part, *beside in _together(chunk, (out, 1), *((layer, 1) for layer in layers)):
        product(torch.cat(beside, 1), part)


def _together(chunk: int, *parts: tuple[Tensor, int]) -> Iterator[tuple[Tensor, ...]]:
    """Yield chunks of tensors that have some rows for each position; nothing where there is no position."""
    if len(parts[0][0]):
        yield from zip(*(tensor.split(chunk * each) for tensor, each in parts), strict=True)


def _chunk_of(columns: int, device: torch.device) -> int:
    """Return how many rows of a gathered matrix are multiplied at a time."""
    if device.type != "cpu":
        return max(_CHUNK_CUDA // columns, 1)
    return max(_CHUNK // columns, 16) * torch.get_num_threads()
