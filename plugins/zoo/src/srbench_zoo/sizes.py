"""Images and features of any size for layers that need a certain one: extended, mirrored or pooled."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["adaptive_max", "extended", "mirrored"]


def _symbolic(*sizes: int) -> bool:
    """Return whether sizes are symbols, as in an export: a branch on them would keep one size's answer."""
    return any(isinstance(size, torch.SymInt) for size in sizes)


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
    index = torch.arange(whole, device=x.device) % period
    return x.index_select(axis, torch.minimum(index, period - index))


def adaptive_max(x: Tensor, divisor: int) -> Tensor:
    """Return the maxima of `(H // divisor, W // divisor)` windows that cover features `(N, C, H, W)`, at least one.

    It is `adaptive_max_pool2d`, written with plain indexing in an export, where that layer takes no free sizes.
    """
    height, width = x.shape[2:]
    if _symbolic(height, width):
        return _window_max(_window_max(x, 2, divisor), 3, divisor)
    return F.adaptive_max_pool2d(x, (max(height // divisor, 1), max(width // divisor, 1)))


def _window_max(x: Tensor, axis: int, divisor: int) -> Tensor:
    size = x.shape[axis]
    number = torch.sym_max(size // divisor, 1)
    window = torch.arange(number, device=x.device)[:, None]
    start = window * size // number
    last = ((window + 1) * size + number - 1) // number - 1
    # No window is wider than two divisors; a narrower one has its last element several times.
    index = torch.minimum(start + torch.arange(2 * divisor, device=x.device), last)
    windows: Tensor = x.index_select(axis, index.flatten()).unflatten(axis, (-1, 2 * divisor))
    return windows.amax(axis + 1)
