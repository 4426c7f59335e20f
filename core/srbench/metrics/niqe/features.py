"""NIQE's features of all blocks of an image at once, on any device."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import gamma
from torch import Tensor
from torch.nn.functional import pad

from srbench.metrics.niqe.pairwise_sums import pairwise_sums

__all__ = ["FitTable", "fit_table", "scale_features"]

# Products of neighbors, as shifts (down, right) of a block; what leaves it on one side enters on the other.
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
# Blocks whose sums are made together, which takes about 0.4 GB.
_TOGETHER = 256


@dataclass(frozen=True)
class FitTable:
    """Asymmetric generalized Gaussian distributions by their shape, alpha; float64 `(9801,)`, on one device.

    Attributes:
        alpha: The shapes.
        ratio: What the ratio of moments of a distribution with this shape is; it grows with alpha.
        scale: Factor from standard deviation to beta.
        mean: Factor from the difference of the betas to the mean.
    """

    alpha: Tensor
    ratio: Tensor
    scale: Tensor
    mean: Tensor


@functools.cache
def fit_table(device: str) -> FitTable:
    """Return the distributions that fits choose from: alpha 0.2 to 10 in steps of 0.001, as in the authors' code.

    Args:
        device: Where the table is kept.
    """
    # Quotients and products with reciprocals are rounded differently, so each is written as basicsr's results need it.
    alpha = np.arange(0.2, 10.001, 0.001)
    inverse = 1 / alpha
    ratio = gamma(2 * inverse) ** 2 / (gamma(inverse) * gamma(3 * inverse))
    scale = np.sqrt(gamma(1 / alpha) / gamma(3 / alpha))
    mean = gamma(2 / alpha) / gamma(1 / alpha)
    return FitTable(*(torch.from_numpy(column).to(device) for column in (alpha, ratio, scale, mean)))


def scale_features(image: Tensor, block: int, window: npt.NDArray[np.float64], table: FitTable) -> Tensor:
    """Return the 18 features of each block of an image at one scale.

    Args:
        image: Luma `(H, W)` in 0..255, float32; H and W are multiples of `block`.
        block: Side of the blocks in pixels.
        window: Gaussian weights of the local mean and deviation.
        table: The distributions to choose from, on the image's device.

    Returns:
        `(blocks, 18)`, float64, column of blocks by column; NaN where a block's values have only one sign.

    Source: A. Mittal et al., "Making a 'Completely Blind' Image Quality Analyzer", 2013, equations 1 to 8.
    """
    normalized = _normalized(image, window)
    blocks = normalized.unflatten(1, (-1, block)).unflatten(0, (-1, block)).permute(2, 0, 1, 3).flatten(0, 1)
    return torch.cat([_features(some, table) for some in blocks.split(_TOGETHER)])


def _normalized(image: Tensor, window: npt.NDArray[np.float64]) -> Tensor:
    """Subtract the local mean and divide by the local deviation plus one (equation 1)."""
    mean, mean_of_squares = _filtered(torch.stack((image, image * image)), window)
    # In float32, like everything but the filter's sums: on flat areas the difference is mostly rounding, which decides.
    deviation = _root((mean_of_squares - mean * mean).abs())
    normalized: Tensor = (image - mean) / (deviation + 1)
    return normalized


def _filtered(images: Tensor, window: npt.NDArray[np.float64]) -> Tensor:
    """Convolve float32 images with a window, edges repeated, with float64 sums in scipy.ndimage's order."""
    rows, columns = window.shape
    height, width = images.shape[-2:]
    edges = (columns // 2, columns // 2, rows // 2, rows // 2)
    padded = pad(images[None], edges, mode="replicate")[0].double()
    sums = torch.zeros_like(images, dtype=torch.float64)
    term = torch.empty_like(sums)
    for (row, column), weight in np.ndenumerate(window[::-1, ::-1]):
        # Two operations: one could be fused on some devices, and rounded once.
        torch.mul(padded[..., row : row + height, column : column + width], float(weight), out=term)
        sums += term
    return sums.float()


def _features(blocks: Tensor, table: FitTable) -> Tensor:
    alpha, _, left, right = _fits(blocks, table)
    found = [alpha, (left + right) / 2]
    for shift in _SHIFTS:
        found.extend(_fits(blocks * blocks.roll(shift, (1, 2)), table))
    return torch.stack(found, 1)


def _fits(blocks: Tensor, table: FitTable) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fit an asymmetric generalized Gaussian to each block; alpha, mean, left and right beta, each `(blocks,)`."""
    values = blocks.flatten(1)
    negative, negatives = _kept(values, values < 0)
    positive, positives = _kept(values, values > 0)
    every = torch.full_like(negatives, values.shape[1])
    counts = torch.cat((negatives, positives, every, every))
    sums = pairwise_sums(torch.cat((negative.square(), positive.square(), values.abs(), values.square())), counts)
    left_square, right_square, size, square = (sums / counts.float()).chunk(4)  # 0/0 if no value has this sign
    left, right = _root(left_square), _root(right_square)
    skew = left / right
    moments = size * size / square * (_power(skew, 3) + 1) * (skew + 1) / _power(_power(skew, 2) + 1, 2)
    place = _nearest(table.ratio, moments.double())
    factor = table.scale[place]
    beta_left, beta_right = left.double() * factor, right.double() * factor
    return table.alpha[place], (beta_right - beta_left) * table.mean[place], beta_left, beta_right


def _kept(values: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Move the chosen values of each row to its front, in their order; also return how many they are."""
    width = values.shape[1]
    ranks = chosen.cumsum(1)
    places = torch.where(chosen, ranks - 1, width)  # the others go to a column that is cut off
    front = values.new_zeros(len(values), width + 1).scatter_(1, places, values)
    return front[:, :width], ranks[:, -1]


def _root(square: Tensor) -> Tensor:
    """Return a float32 root rounded once; torch's own has errors in the last bit on some CPUs."""
    return square.double().sqrt().float()


def _power(base: Tensor, exponent: int) -> Tensor:
    """Return a power rounded once, as the C library's is but for rare last bits."""
    return base.double().pow(exponent).float()


def _nearest(grid: Tensor, values: Tensor) -> Tensor:
    """Return the place of the nearest grid value, the lower of two; 0 for what is not finite."""
    above = torch.searchsorted(grid, values).clamp_(1, len(grid) - 1)
    nearer_below = (grid[above - 1] - values).square() <= (grid[above] - values).square()
    return torch.where(values.isfinite(), above - nearer_below.long(), 0)
