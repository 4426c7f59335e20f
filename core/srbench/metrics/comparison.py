"""The input of metrics: an SR and an HR image, prepared by a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from srbench.errors import DataError
from srbench.images.color import BT601, FULL_RANGE, LumaFormula, rgb_to_y, round_luma
from srbench.protocols import Color, Protocol

__all__ = ["Comparison"]

Image = npt.NDArray[np.uint8]
Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two images of the same size, with the protocol's settings for comparing them.

    Attributes:
        sr: uint8 RGB `(H, W, 3)` without its border; luma `(H, W)` under a luma-only protocol.
        hr: The same shape.
        protocol: The protocol's name, for messages.
        color: What the protocol compares. Used by metrics without a suffix; also defines the luma of `_y` metrics.
        data_range: Peak of PSNR and L of SSIM.
        ssim_window: Taps of SSIM's Gaussian window.
        ssim_sigma: Its standard deviation in pixels.
        ssim_region: Where SSIM is averaged: `valid` or `padded`.
        crop_border: How many pixels were cropped from each side.
    """

    sr: Image
    hr: Image
    protocol: str
    color: Color
    data_range: float
    ssim_window: int
    ssim_sigma: float
    ssim_region: Literal["valid", "padded"]
    crop_border: int

    @classmethod
    def under(cls, protocol: Protocol, sr: Image, hr: Image, scale: int) -> Self:
        """Prepare two images for comparison under a protocol.

        Args:
            protocol: The protocol.
            sr: Output of `Protocol.quantise`: uint8 RGB `(H, W, 3)`, or luma `(H, W)` under a luma-only protocol.
            hr: Output of `Protocol.reference`, of the same shape.
            scale: The scale, on which the border may depend.

        Raises:
            DataError: If an image has the wrong type or shape, or nothing is left after cropping.
        """
        luma_alone = protocol.lr_channels == "y"
        for which, image in (("SR", sr), ("HR", hr)):
            right = image.ndim == 2 if luma_alone else image.ndim == 3 and image.shape[2] == 3
            if image.dtype == np.uint8 and right:
                continue
            held = f" with values in {image.min():.4g}..{image.max():.4g}" if image.size else ""
            wanted = "luma (H, W)" if luma_alone else "RGB images (H, W, 3)"
            raise DataError(
                f"the protocol '{protocol.name}' compares uint8 {wanted}, 0..255; the {which} image is {image.dtype} "
                f"{image.shape}{held}; quantise it first, as the protocol does"
            )
        if sr.shape != hr.shape:
            raise DataError(f"two images to compare must have the same shape, got {sr.shape} and {hr.shape}")
        border = protocol.crop(scale)
        inside = tuple(slice(border, max(border, size - border)) for size in sr.shape[:2])
        prepared = cls(
            sr[inside],
            hr[inside],
            protocol.name,
            protocol.color,
            float(protocol.data_range),
            protocol.ssim_window,
            protocol.ssim_sigma,
            protocol.ssim_region,
            border,
        )
        prepared.check_size(1)
        return prepared

    def check_size(self, least: int) -> None:
        """Raise `DataError` unless at least this many pixels per side are left after cropping."""
        height, width = self.sr.shape[:2]
        if min(height, width) < least:
            cut = 2 * self.crop_border
            raise DataError(
                f"images of {width + cut}x{height + cut} pixels are too small for this metric: after cropping "
                f"{self.crop_border} on each side it needs {least}x{least}"
            )

    def rgb(self, metric: str) -> tuple[Image, Image]:
        """Return the SR and the HR image, uint8 RGB `(H, W, 3)`.

        Args:
            metric: The metric's name, for messages.

        Raises:
            DataError: If the protocol compares only luma.
        """
        if self.luma_alone:
            raise DataError(
                f"{metric} compares RGB images, and the protocol '{self.protocol}' compares only luma; leave this "
                "metric out, or evaluate under another protocol"
            )
        return self.sr, self.hr

    @property
    def luma_alone(self) -> bool:
        """Whether the images themselves are luma."""
        return self.sr.ndim == 2

    @property
    def luma_is_rounded(self) -> bool:
        """Whether luma is rounded to integers before comparison."""
        return self.color == "y-bt601-rounded"

    @property
    def luma_formula(self) -> LumaFormula:
        """Return the luma formula; BT.601 if RGB is compared."""
        return FULL_RANGE if self.color == "y-full-range" else BT601

    @cached_property
    def luma(self) -> Pair:
        """The luma `(H, W)` of the SR and the HR image, converted once: float64, or uint8 if rounded."""
        if self.luma_alone:
            return self.sr, self.hr
        exact = (rgb_to_y(image, self.luma_formula) for image in (self.sr, self.hr))
        a, b = (round_luma(image) for image in exact) if self.luma_is_rounded else exact
        return a, b
