"""Scores of one SR image under several choices of rounding, color and border."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.data.datasets import Image
from srbench.diagnosis.choices import ScoreChoices
from srbench.images.color import BT601, FULL_RANGE, rgb_to_y, round_luma
from srbench.metrics.comparison import Comparison
from srbench.metrics.psnr import PSNR, psnr
from srbench.metrics.ssim import SSIM, ssim
from srbench.protocols import Protocol

__all__ = ["COLORS", "Scores", "score", "stated_color"]

COLORS = ("y-full-range", "rgb", "y-bt601", "y-bgr", "y-bt601-rounded")
"""What may be compared, the most frequent first."""

# Choices and metric -> value.
Scores = dict[tuple[ScoreChoices, str], float]


def stated_color(metric: str, protocol: Protocol) -> str:
    """Return what a metric compares by its name: `_rgb` all channels, `_y` luma, otherwise what the protocol does."""
    if metric.endswith("_rgb"):
        return "rgb"
    return "y-bt601" if metric.endswith("_y") and protocol.color == "rgb" else protocol.color


def score(
    sr: npt.NDArray[np.float32],
    hr: Image,
    choices: Iterable[ScoreChoices],
    metrics: Sequence[str],
    protocol: Protocol,
    scale: int,
) -> Scores:
    """Return the value of each metric under each choice.

    Args:
        sr: `(H, W, 3)`, about 0..1.
        hr: `(H, W, 3)`.
        choices: What is done with the SR image.
        metrics: Names of `expectations.METRICS`.
        protocol: Gives window and data range.
        scale: The scale.

    Raises:
        DataError: The image contains NaN, or is too small.
    """
    found: Scores = {}
    known: dict[tuple[Any, ...], float] = {}
    images: dict[str, npt.NDArray[Any]] = {}
    for choice in choices:
        if choice.quantisation not in images:
            images[choice.quantisation] = _quantised(sr, choice.quantisation, protocol)
        for metric in metrics:
            color = stated_color(metric, protocol) if choice.color == "stated" else choice.color
            kind = metric.partition("_")[0]
            region = choice.ssim_region if kind == "ssim" else ""
            key = (choice.quantisation, color, choice.crop_border, region, kind)
            if key not in known:
                known[key] = _value(images[choice.quantisation], hr, kind, color, choice, protocol, scale)
            found[choice, metric] = known[key]
    return found


def _quantised(sr: npt.NDArray[np.float32], how: str, protocol: Protocol) -> npt.NDArray[Any]:
    if how == "none":
        return np.clip(sr.astype(np.float64) * 255.0, 0.0, 255.0)
    return replace(protocol, quantisation=how).quantise(sr)  # type: ignore[arg-type]


def _value(
    sr: npt.NDArray[Any], hr: Image, kind: str, color: str, choice: ScoreChoices, protocol: Protocol, scale: int
) -> float:
    if color == "y-bgr":
        sr, hr, color = sr[..., ::-1], hr[..., ::-1], "y-bt601"
    if sr.dtype == np.uint8:
        under = replace(
            protocol,
            color=color,  # type: ignore[arg-type]
            crop_border=choice.crop_border,
            ssim_region=choice.ssim_region,  # type: ignore[arg-type]
        )
        comparison = Comparison.under(under, sr, hr, scale)
        return PSNR()(comparison) if kind == "psnr" else SSIM()(comparison)
    pair = (sr, hr.astype(np.float64)) if color == "rgb" else _luma(sr, hr, color)
    peak, border = float(protocol.data_range), choice.crop_border
    if kind == "psnr":
        return psnr(*pair, data_range=peak, crop_border=border)
    planes = [pair] if color != "rgb" else [(pair[0][..., channel], pair[1][..., channel]) for channel in range(3)]
    values = [
        ssim(a, b, data_range=peak, crop_border=border, window_size=protocol.ssim_window, sigma=protocol.ssim_sigma)
        for a, b in planes
    ]
    return sum(values) / len(values)


def _luma(sr: npt.NDArray[Any], hr: Image, color: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    formula = FULL_RANGE if color == "y-full-range" else BT601
    a, b = rgb_to_y(sr, formula), rgb_to_y(hr, formula)
    if color == "y-bt601-rounded":
        return round_luma(a), round_luma(b)
    return np.clip(a, 0, 255), np.clip(b, 0, 255)
