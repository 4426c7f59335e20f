"""The score by which the NTIRE 2025 challenge on efficient super-resolution ranks networks."""

from __future__ import annotations

import math

__all__ = ["BASELINE", "SCALE", "YEAR", "ntire_score", "score_text"]

YEAR = 2025
BASELINE = "efdn.author"  # EFDN, whose published file is the challenge's baseline
SCALE = 4
_WEIGHTS = (0.7, 0.15, 0.15)  # of runtime, FLOPs and parameters
_LARGE = 10_000.0


def ntire_score(runtime: float, flops: float, params: float) -> float:
    """Return the challenge's final score; lower is better, and the baseline's is exp(2), 7.389.

    It is the weighted sum of `exp(2 x)` over the three quantities, each as a multiple of the baseline's.

    Args:
        runtime: Time of a forward pass, as a multiple of the baseline's on the same machine.
        flops: Multiply-accumulates at a 256x256 LR image, as a multiple of the baseline's.
        params: Parameters, as a multiple of the baseline's.

    Source: Ren et al., The Tenth NTIRE 2025 Efficient Super-Resolution Challenge Report, CVPR Workshops 2025.
    """
    try:
        return sum(
            weight * math.exp(2 * ratio) for weight, ratio in zip(_WEIGHTS, (runtime, flops, params), strict=True)
        )
    except OverflowError:
        return math.inf


def score_text(score: float) -> str:
    """Write a score; one of a network far from the challenge's is only said to be large."""
    return f"{score:.2f}" if score < _LARGE else f"> {_LARGE:,.0f}"
