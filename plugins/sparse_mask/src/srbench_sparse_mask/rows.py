"""Convolutions at chosen positions: channels-last rows are gathered in chunks that stay in cache, and multiplied once.

A map of features is kept as *rows*, one for each position, with a row of zeros after the last: what lies outside the
image, or has nothing to give, is read there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Positions", "chunk_of", "gathered_conv", "kernel_rows", "to_image", "to_rows"]

# Numbers that a gathered chunk may hold on a CPU, for each thread: with its product about half of a 1 MB cache.
_CHUNK = 384 * 576
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
        up, left = kernel[0] // 2, kernel[1] // 2
        wide = self.width + 2 * left
        offsets = [(down - up) * wide + right - left for down in range(kernel[0]) for right in range(kernel[1])]
        centres = F.pad(self._mask, (left, left, up, up)).flatten().nonzero()
        return (centres + torch.tensor(offsets, device=centres.device)).flatten()


def gathered_conv(
    rows: Tensor, taps: Tensor, weight: Tensor, out: Tensor, *, bias: Tensor | None = None, relu: bool = False
) -> None:
    """Compute a convolution at some positions.

    Args:
        rows: Features as rows, `(n, in)`.
        taps: The rows that each position's kernel covers, position after position.
        weight: The kernel as `kernel_rows` gives it, `(k*k*in, out)`.
        out: Where the result goes, `(positions, out)`.
        bias: Added to the result, `(out,)`.
        relu: Let negative results be zero.
    """
    if not len(out):
        return
    covered = weight.shape[0] // rows.shape[1]
    chunk = chunk_of(weight.shape[0], rows.device)
    gathered = rows.new_empty(min(chunk, len(out)) * covered, rows.shape[1])
    for part, read in zip(out.split(chunk), taps.split(chunk * covered), strict=True):
        matrix = torch.index_select(rows, 0, read, out=gathered[: len(read)]).view(len(part), -1)
        if bias is None:
            torch.mm(matrix, weight, out=part)
        else:
            torch.addmm(bias, matrix, weight, out=part)
        if relu:
            part.relu_()


def chunk_of(columns: int, device: torch.device) -> int:
    """Return how many rows of a gathered matrix are multiplied at a time."""
    if device.type != "cpu":
        return max(_CHUNK_CUDA // columns, 1)
    return max(_CHUNK // columns, 16) * torch.get_num_threads()
