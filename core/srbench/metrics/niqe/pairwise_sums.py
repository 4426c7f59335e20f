"""Sums of float32 values in NumPy's order, for many rows at once on any device."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["pairwise_sums"]

_LEAF = 128  # NumPy splits longer runs in two
_LANES = 8  # accumulators in a run that is not split


def pairwise_sums(values: Tensor, counts: Tensor) -> Tensor:
    """Sum the first values of each row to the bits of `numpy.sum` of a contiguous float32 array.

    NumPy splits an array in two, at a multiple of 8, until at most 128 values are left; these are summed in eight
    accumulators, and what is left over is added one by one. Only additions are made here, one operation each, so that
    every device rounds them alike.

    Args:
        values: `(rows, n)`, float32.
        counts: `(rows,)`, int64 in 0..n: how many values of each row are summed.

    Returns:
        `(rows,)`, float32; 0 for empty sums.
    """
    width = values.shape[1]
    lengths = _leaf_lengths(counts, width)
    starts = lengths.cumsum(1) - lengths
    rest = lengths % _LANES
    whole = lengths - rest
    lanes = _taken(values, starts, whole, _LEAF).unflatten(2, (-1, _LANES))
    sums = lanes[:, :, 0]
    for step in range(1, lanes.shape[2]):
        sums = sums + lanes[:, :, step]
    while sums.shape[2] > 1:
        sums = sums[..., 0::2] + sums[..., 1::2]
    totals: Tensor = sums[..., 0]
    for left_over in _taken(values, starts + whole, rest, _LANES - 1).unbind(2):
        totals = totals + left_over
    while totals.shape[1] > 1:
        totals = totals[:, 0::2] + totals[:, 1::2]
    return totals[:, 0]


def _leaf_lengths(counts: Tensor, width: int) -> Tensor:
    """Return the lengths of the runs that are not split, `(rows, leaves)`; 0 fills up, and changes no sum."""
    lengths = counts[:, None]
    while width > _LEAF:
        half = lengths // 2
        left = torch.where(lengths > _LEAF, half - half % _LANES, lengths)
        lengths = torch.stack((left, lengths - left), 2).flatten(1)
        width = width // 2 + _LANES  # no right half is longer
    return lengths


def _taken(values: Tensor, starts: Tensor, lengths: Tensor, most: int) -> Tensor:
    """Return the values of runs, `(rows, runs, most)`, with zeros behind their ends."""
    offsets = torch.arange(most, device=values.device)
    index = (starts[..., None] + offsets).clamp_(max=values.shape[1] - 1)
    found = values.gather(1, index.flatten(1)).view_as(index)
    return torch.where(offsets < lengths[..., None], found, 0.0)
