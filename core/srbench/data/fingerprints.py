"""What finds an image again: small luma pictures, perceptual hashes, and hashes of all windows of its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = [
    "ORIENTATIONS",
    "WINDOW",
    "Orientation",
    "Thumbnail",
    "anchors",
    "best_place",
    "correlation",
    "luma",
    "window_hashes",
]

Image = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

WINDOW = 8  # side of the windows that are hashed
CELL = 16  # one window is kept in each cell of this side
_FLAT = 3.0  # standard deviation below which a window says nothing: sky, paper
_SIDE = 64  # of a thumbnail
_HASHED = 8  # the lowest frequencies each way that a perceptual hash holds

# Odd, so that multiplying by them loses nothing in 64 bits.
_ROW = np.uint64(0x9E3779B97F4A7C15)
_COLUMN = np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to flip and rotate an image.

    Attributes:
        mirrored: Whether left and right are swapped, first.
        turns: Quarter turns, counter-clockwise.
    """

    mirrored: bool = False
    turns: int = 0

    def __str__(self) -> str:
        words = ["mirrored"] if self.mirrored else []
        return " and ".join(words + ([f"turned by {90 * self.turns} degrees"] if self.turns else []))

    def applied(self, image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return an image `(H, W, ...)` in this orientation."""
        return np.rot90(image[:, ::-1] if self.mirrored else image, self.turns)


ORIENTATIONS = tuple(Orientation(mirrored, turns) for mirrored in (False, True) for turns in range(4))


def luma(image: Image) -> Plane:
    """Return the luma of an RGB image, in 0..255."""
    return np.asarray(image @ np.array([0.299, 0.587, 0.114]))


def correlation(first: Plane, second: Plane) -> float:
    """Return the correlation of two planes of one shape, 0 where one of them is constant."""
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0


class Thumbnail:
    """An image's luma at 64x64 pixels, whatever its shape, and its perceptual hash.

    The hash has a bit for each of the lowest frequencies of the discrete cosine transform but the mean: whether its
    coefficient is above the median (C. Zauner, "Implementation and benchmarking of perceptual image hash functions",
    2010, section 3.2).
    """

    def __init__(self, plane: Plane) -> None:
        """Take a plane of 64x64 values."""
        self.plane = plane

    @classmethod
    def of(cls, image: Image) -> Thumbnail:
        """Make it of an RGB image."""
        from PIL import Image as Pillow

        picture = Pillow.fromarray(luma(image).astype(np.float32))
        return cls(np.asarray(picture.resize((_SIDE, _SIDE), Pillow.Resampling.BOX), dtype=np.float64))

    def turned(self, orientation: Orientation) -> Thumbnail:
        """Return the thumbnail of the image in another orientation."""
        return Thumbnail(orientation.applied(self.plane).astype(np.float64))

    @cached_property
    def bits(self) -> npt.NDArray[np.float32]:
        """Return the perceptual hash as values of -1 and 1, of shape (63,)."""
        from scipy.fft import dctn

        low = dctn(self.plane, norm="ortho")[:_HASHED, :_HASHED].ravel()[1:]
        return np.where(low > np.median(low), 1, -1).astype(np.float32)


def window_hashes(image: Image) -> Hashes:
    """Return the hash of the 8x8 pixels whose upper left corner each pixel is, of shape `(H - 7, W - 7)`.

    Equal windows have equal hashes; those of others differ, but for one in 2^64.
    """
    pixels = image.astype(np.uint64)
    values = (pixels[..., 0] << np.uint64(16)) | (pixels[..., 1] << np.uint64(8)) | pixels[..., 2]
    values = (values + np.uint64(1)) * _ROW
    values ^= values >> np.uint64(29)
    return _summed(_summed(values, _ROW, 0), _COLUMN, 1)


def _summed(values: Hashes, factor: np.uint64, axis: int) -> Hashes:
    """Return the polynomial in `factor` whose coefficients are 8 neighbouring values, modulo 2^64."""
    count = values.shape[axis] - WINDOW + 1
    total = np.zeros(1, dtype=np.uint64)
    for offset in range(WINDOW):
        part = values[offset : offset + count] if axis == 0 else values[:, offset : offset + count]
        total = total * factor + part
    return total


def anchors(image: Image) -> Iterator[tuple[int, int, int]]:
    """Yield top, left and hash of the window with the most contrast in each 16x16 cell, but for flat ones."""
    height, width = image.shape[:2]
    if min(height, width) < WINDOW:
        return
    hashes = window_hashes(image)
    contrast = _contrast(luma(image))
    rows, columns = hashes.shape
    for top in range(0, rows, CELL):
        for left in range(0, columns, CELL):
            cell = contrast[top : top + CELL, left : left + CELL]
            row, column = divmod(int(cell.argmax()), cell.shape[1])
            if cell[row, column] >= _FLAT:
                yield top + row, left + column, int(hashes[top + row, left + column])


def _contrast(plane: Plane) -> Plane:
    """Return the standard deviation of each 8x8 window."""
    area = WINDOW * WINDOW
    mean, square = _window_sums(plane) / area, _window_sums(plane * plane) / area
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)))


def _window_sums(plane: Plane, shape: tuple[int, int] = (WINDOW, WINDOW)) -> Plane:
    """Return the sum over the window at each place where it fits."""
    total = np.pad(plane.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    height, width = shape
    result: Plane = (
        total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    )
    return result


def best_place(template: Plane, plane: Plane) -> tuple[float, int, int]:
    """Return the highest normalised cross-correlation of a template with a plane that it fits into, and where it is.

    Source:
        J. P. Lewis, "Fast normalized cross-correlation", 1995.
    """
    from scipy.signal import fftconvolve

    centred = template - template.mean()
    norm = float(np.sqrt((centred * centred).sum()))
    if norm == 0:
        return 0.0, 0, 0
    moved = plane - plane.mean()  # keeps the sums of squares small
    products = fftconvolve(moved, centred[::-1, ::-1], mode="valid")
    sums, squares = _window_sums(moved, template.shape), _window_sums(moved * moved, template.shape)
    spread = np.sqrt(np.maximum(squares - sums * sums / template.size, 0))
    # Windows that are nearly constant correlate by rounding only.
    values = np.where(spread > 1e-3 * norm, products / np.maximum(spread * norm, 1e-12), 0.0)
    row, column = divmod(int(values.argmax()), values.shape[1])
    return float(values[row, column]), row, column
