"""Adapt images and features of any size to layers with size requirements: padding, pooling, cropping, windows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["adaptive_max", "cropped", "extended", "from_windows", "mirrored", "to_windows", "window_max"]


def _symbolic(*sizes: int) -> bool:
    """Return whether any size is symbolic, as in an export, where a branch on it would be fixed to the example's."""
    return any(isinstance(size, torch.SymInt) for size in sizes)


def _divided(numbers: Tensor, divisor: int) -> tuple[Tensor, Tensor]:
    """Return quotients and remainders of natural numbers; torch's ONNX exporter lacks remainders by dynamic sizes."""
    quotients = numbers // divisor
    return quotients, numbers - quotients * divisor


def extended(x: Tensor, least: int) -> Tensor:
    """Pad by edge replication at the bottom and right to a height and width of at least `least`."""
    height, width = x.shape[2:]
    missing = (0, torch.sym_max(0, least - width), 0, torch.sym_max(0, least - height))
    return F.pad(x, missing, mode="replicate") if _symbolic(height, width) or any(missing) else x


def mirrored(x: Tensor, axis: int, multiple: int) -> Tensor:
    """Pad the end of an axis to a multiple of a number by reflection, without repeating the border.

    If the padding is longer than the axis, the reflection is reflected again.
    """
    size = x.shape[axis]
    whole = (size + multiple - 1) // multiple * multiple
    if not _symbolic(size) and whole == size:
        return x
    # Period of the endless reflection of the axis: 1 for a single pixel.
    period = torch.sym_max(2 * size - 2, 1)
    _, index = _divided(torch.arange(whole, device=x.device), period)
    return x.index_select(axis, torch.minimum(index, period - index))


def adaptive_max(x: Tensor, divisor: int) -> Tensor:
    """Max-pool features `(N, C, H, W)` to `(H // divisor, W // divisor)`, at least 1x1.

    This is `adaptive_max_pool2d`, which does not support dynamic sizes in an export: there, `window_max` along both
    axes replaces it.
    """
    height, width = x.shape[2:]
    if _symbolic(height, width):
        return window_max(window_max(x, 2, divisor), 3, divisor)
    return F.adaptive_max_pool2d(x, (max(height // divisor, 1), max(width // divisor, 1)))


def window_max(x: Tensor, axis: int, divisor: int) -> Tensor:
    """Max-pool one axis adaptively to one value per `divisor` elements, by plain indexing."""
    size = x.shape[axis]
    number = torch.sym_max(size // divisor, 1)
    window = torch.arange(number, device=x.device)[:, None]
    start = window * size // number
    last = ((window + 1) * size + number - 1) // number - 1
    # No window is wider than two divisors; narrower windows repeat their last element.
    index = torch.minimum(start + torch.arange(2 * divisor, device=x.device), last)
    windows: Tensor = x.index_select(axis, index.flatten()).unflatten(axis, (-1, 2 * divisor))
    return windows.amax(axis + 1)


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """Crop features to their upper left `(N, C, height, width)`."""
    if _symbolic(height, width):
        # Slicing would branch on whether the view is as large as the whole tensor.
        rows, columns = (torch.arange(size, device=x.device) for size in (height, width))
        return x.index_select(2, rows).index_select(3, columns)
    return x[:, :, :height, :width]


def to_windows(x: Tensor, side: int) -> Tensor:
    """Partition features into square windows `(N * windows, side * side, C)`.

    Args:
        x: Features `(N, C, H, W)`; height and width are multiples of `side`.
        side: Side length of a window.
    """
    batch, channels, height, width = x.shape
    if _symbolic(height, width):
        # An export may start from an image of a single window, and must not be specialised to it: no tensor here has an
        # axis of rows or columns of windows, and none is reshaped to a shape that it may already have.
        pixels = x.flatten(2).index_select(2, _window_order(height, width, side, x.device))
        return pixels.transpose(1, 2).flatten().reshape(-1, side**2, channels)
    grid = x.reshape(batch, channels, height // side, side, width // side, side)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(-1, side**2, channels)


def from_windows(windows: Tensor, shape: tuple[int, ...], side: int) -> Tensor:
    """Invert `to_windows` for an input of shape `(N, C, H, W)`."""
    batch, channels, height, width = shape
    if _symbolic(height, width):
        pixels = windows.flatten().reshape(batch, -1, channels).transpose(1, 2)
        back = pixels.index_select(2, _image_order(height, width, side, windows.device))
        return back.reshape(batch, channels, height, width)
    grid = windows.reshape(batch, height // side, width // side, side, side, channels)
    return grid.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, height, width)


def _window_order(height: int, width: int, side: int, device: torch.device) -> Tensor:
    """Return the image index of each pixel in window order."""
    place = torch.arange(height * width, device=device)
    window, inside = place // side**2, place % side**2
    row, column = _divided(window, width // side)
    return (row * side + inside // side) * width + column * side + inside % side


def _image_order(height: int, width: int, side: int, device: torch.device) -> Tensor:
    """Return the index in window order of each pixel of an image."""
    row, column = _divided(torch.arange(height * width, device=device), width)
    window = row // side * (width // side) + column // side
    return window * side**2 + row % side * side + column % side
