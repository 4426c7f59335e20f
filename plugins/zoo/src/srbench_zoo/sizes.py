"""Images and features of any size for layers that need a certain one: extended, mirrored, pooled, in windows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["adaptive_max", "cropped", "extended", "from_windows", "mirrored", "to_windows", "window_max"]


def _symbolic(*sizes: int) -> bool:
    """Return whether sizes are symbols, as in an export: a branch on them would keep one size's answer."""
    return any(isinstance(size, torch.SymInt) for size in sizes)


def _divided(numbers: Tensor, divisor: int) -> tuple[Tensor, Tensor]:
    """Return quotients and remainders of natural numbers; torch's ONNX exporter has no remainder by a free size."""
    quotients = numbers // divisor
    return quotients, numbers - quotients * divisor


def extended(x: Tensor, least: int) -> Tensor:
    """Repeat the last row and column until height and width are at least `least`; larger ones stay as they are."""
    height, width = x.shape[2:]
    missing = (0, torch.sym_max(0, least - width), 0, torch.sym_max(0, least - height))
    return F.pad(x, missing, mode="replicate") if _symbolic(height, width) or any(missing) else x


def mirrored(x: Tensor, axis: int, multiple: int) -> Tensor:
    """Extend an axis at its end to a multiple of a number by reflection, which does not repeat the border.

    Where more is missing than the axis has, the reflection is reflected again.
    """
    size = x.shape[axis]
    whole = (size + multiple - 1) // multiple * multiple
    if not _symbolic(size) and whole == size:
        return x
    # The endless pattern of an image and its reflection repeats after this many pixels; of one pixel, after one.
    period = torch.sym_max(2 * size - 2, 1)
    _, index = _divided(torch.arange(whole, device=x.device), period)
    return x.index_select(axis, torch.minimum(index, period - index))


def adaptive_max(x: Tensor, divisor: int) -> Tensor:
    """Return the maxima of `(H // divisor, W // divisor)` windows that cover features `(N, C, H, W)`, at least one.

    It is `adaptive_max_pool2d`, which takes no free sizes in an export: there it is `window_max` along both axes.
    """
    height, width = x.shape[2:]
    if _symbolic(height, width):
        return window_max(window_max(x, 2, divisor), 3, divisor)
    return F.adaptive_max_pool2d(x, (max(height // divisor, 1), max(width // divisor, 1)))


def window_max(x: Tensor, axis: int, divisor: int) -> Tensor:
    """Return the maxima along one axis of windows that cover it, one for each `divisor` elements, by plain indexing."""
    size = x.shape[axis]
    number = torch.sym_max(size // divisor, 1)
    window = torch.arange(number, device=x.device)[:, None]
    start = window * size // number
    last = ((window + 1) * size + number - 1) // number - 1
    # No window is wider than two divisors; a narrower one has its last element several times.
    index = torch.minimum(start + torch.arange(2 * divisor, device=x.device), last)
    windows: Tensor = x.index_select(axis, index.flatten()).unflatten(axis, (-1, 2 * divisor))
    return windows.amax(axis + 1)


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """Return the upper left `(N, C, height, width)` of features."""
    if _symbolic(height, width):
        # A view's layout would be decided by comparing its size with that of the whole.
        rows, columns = (torch.arange(size, device=x.device) for size in (height, width))
        return x.index_select(2, rows).index_select(3, columns)
    return x[:, :, :height, :width]


def to_windows(x: Tensor, side: int) -> Tensor:
    """Return the pixels of features in square windows, `(N * windows, side * side, C)`.

    Args:
        x: Features `(N, C, H, W)`, whose height and width are multiples of `side`.
        side: Of a window.
    """
    batch, channels, height, width = x.shape
    if _symbolic(height, width):
        # No tensor here has an axis of rows or columns of windows, and none is reshaped to what it might be already: an
        # image of a single window, which an export may begin with, would be taken for all images.
        pixels = x.flatten(2).index_select(2, _window_order(height, width, side, x.device))
        return pixels.transpose(1, 2).flatten().reshape(-1, side**2, channels)
    grid = x.reshape(batch, channels, height // side, side, width // side, side)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(-1, side**2, channels)


def from_windows(windows: Tensor, shape: tuple[int, ...], side: int) -> Tensor:
    """Undo `to_windows`, whose input had this shape `(N, C, H, W)`."""
    batch, channels, height, width = shape
    if _symbolic(height, width):
        pixels = windows.flatten().reshape(batch, -1, channels).transpose(1, 2)
        back = pixels.index_select(2, _image_order(height, width, side, windows.device))
        return back.reshape(batch, channels, height, width)
    grid = windows.reshape(batch, height // side, width // side, side, side, channels)
    return grid.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, height, width)


def _window_order(height: int, width: int, side: int, device: torch.device) -> Tensor:
    """Return which pixel of an image comes where when windows follow one another."""
    place = torch.arange(height * width, device=device)
    window, inside = place // side**2, place % side**2
    row, column = _divided(window, width // side)
    return (row * side + inside // side) * width + column * side + inside % side


def _image_order(height: int, width: int, side: int, device: torch.device) -> Tensor:
    """Return where each pixel of an image is among windows that follow one another."""
    row, column = _divided(torch.arange(height * width, device=device), width)
    window = row // side * (width // side) + column // side
    return window * side**2 + row % side * side + column % side
