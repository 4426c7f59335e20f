"""Convolutions at chosen positions: channels-last rows are gathered in chunks that stay in cache, and multiplied once.

A map of features is kept as *rows*, one for each position, with a row of zeros after the last: what lies outside the
image, or has nothing to give, is read there.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Positions", "gathered_conv", "kernel_rows", "to_image", "to_rows"]

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
        halo: Numbers of the positions beside them which are off.
        count: How many are on.
        share: Their share of all positions.

    Args:
        mask: `(N, 1, h, w)`, 0 or 1.
    """

    def __init__(self, mask: Tensor) -> None:
        self.batch, _, self.height, self.width = mask.shape
        self.device = mask.device
        self._mask = mask != 0
        self.active = self._mask.flatten().nonzero()[:, 0]
        self.count = len(self.active)
        self.share = self.count / max(mask.numel(), 1)
        self.halo = self.active[:0]
        self._taps: dict[tuple[int, int], Tensor] = {}

    def _padded(self, positions: Tensor, radius: tuple[int, int]) -> Tensor:
        """Return the numbers of positions among those of the images with a margin."""
        up, left = radius
        image, inside = positions // (self.height * self.width), positions % (self.height * self.width)
        rows = image * (self.height + 2 * up) + inside // self.width + up
        return rows * (self.width + 2 * left) + inside % self.width + left

    def _windows(self, kernel: tuple[int, int]) -> Tensor:
        """Return what each kernel covers, numbered as `_padded` does: `(count * k * k,)`."""
        wide = self.width + kernel[1] // 2 * 2
        offsets = [
            (down - kernel[0] // 2) * wide + right - kernel[1] // 2
            for down in range(kernel[0])
            for right in range(kernel[1])
        ]
        centres = self._padded(self.active, (kernel[0] // 2, kernel[1] // 2))
        return (centres[:, None] + torch.tensor(offsets, device=self.device)).flatten()

    def taps(self, kernel: tuple[int, int]) -> Tensor:
        """Return which of all rows each kernel covers `(count * k * k,)`; the row of zeros beyond the borders."""
        if kernel not in self._taps:
            total, up, left = self.batch * self.height * self.width, kernel[0] // 2, kernel[1] // 2
            rows = torch.full(
                (self.batch, self.height + 2 * up, self.width + 2 * left), total, dtype=torch.int32, device=self.device
            )
            numbers = torch.arange(total, dtype=torch.int32, device=self.device)
            rows[:, up : up + self.height, left : left + self.width] = numbers.view(-1, self.height, self.width)
            self._taps[kernel] = rows.flatten().index_select(0, self._windows(kernel))
        return self._taps[kernel]

    def compact_taps(self, halo: bool) -> Tensor:
        """Return which compact rows each 3x3 kernel covers `(count * 9,)`.

        Compact rows are those of the active positions, then those of the halo where one is asked for, then zeros.
        """
        if halo:
            wide = torch.nn.functional.max_pool2d(self._mask.float(), 3, stride=1, padding=1) > 0
            self.halo = (wide & ~self._mask).flatten().nonzero()[:, 0]
        zeros, padded = self.count + len(self.halo), self.batch * (self.height + 2) * (self.width + 2)
        rows = torch.full((padded,), zeros, dtype=torch.int32, device=self.device)
        numbers = torch.arange(zeros, dtype=torch.int32, device=self.device)
        rows[self._padded(self.active, (1, 1))] = numbers[: self.count]
        rows[self._padded(self.halo, (1, 1))] = numbers[self.count :]
        return rows.index_select(0, self._windows((3, 3)))


def gathered_conv(
    rows: Tensor,
    taps: Tensor,
    weight: Tensor,
    out: Tensor,
    *,
    bias: Tensor | None = None,
    relu: bool = False,
    then: Tensor | None = None,
    total: Tensor | None = None,
) -> None:
    """Compute a convolution at some positions.

    Args:
        rows: Features as rows, `(n, in)`.
        taps: The rows that each position's kernel covers, position after position.
        weight: The kernel as `kernel_rows` gives it, `(k*k*in, out)`.
        out: Where the result goes, `(positions, out)`.
        bias: Added to the result, `(out,)`.
        relu: Let negative results be zero.
        then: A matrix `(out, m)` with which the result is multiplied as long as it is in cache...
        total: ... and where the product is added, `(positions, m)`.
    """
    covered = weight.shape[0] // rows.shape[1]
    chunk = _chunk(weight.shape[0], rows.device)
    gathered = rows.new_empty(min(chunk, len(out)) * covered, rows.shape[1])
    for start in range(0, len(out), chunk):
        part = out[start : start + chunk]
        read = taps[start * covered : (start + len(part)) * covered]
        matrix = torch.index_select(rows, 0, read, out=gathered[: len(read)]).view(len(part), -1)
        if bias is None:
            torch.mm(matrix, weight, out=part)
        else:
            torch.addmm(bias, matrix, weight, out=part)
        if relu:
            part.relu_()
        if then is not None and total is not None:
            total[start : start + chunk].addmm_(part, then)


def _chunk(columns: int, device: torch.device) -> int:
    if device.type != "cpu":
        return max(_CHUNK_CUDA // columns, 1)
    return max(_CHUNK // columns, 16) * torch.get_num_threads()
