"""The effect of each choice of a protocol on scores, measured by changing one choice at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.data.embedded import embedded_test
from srbench.errors import ConfigError
from srbench.images.resize import imresize
from srbench.metrics.comparison import Comparison
from srbench.metrics.psnr import PSNR
from srbench.metrics.ssim import SSIM
from srbench.protocols import Protocol

__all__ = ["Cost", "Costs", "measure_costs", "variants"]

Image = npt.NDArray[np.uint8]

MODEL = "bicubic interpolation in float64, rounded only by the protocol"


@dataclass(frozen=True)
class Cost:
    """The effect of one alternative choice.

    Attributes:
        setting: Which choice.
        chosen: What the protocol does.
        instead: The alternative.
        psnr: Change of the mean PSNR in dB.
        ssim: Change of the mean SSIM.
    """

    setting: str
    chosen: str
    instead: str
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Costs:
    """Hold a protocol's scores on a few images and what other choices would make of them.

    Attributes:
        model: What enlarged the images.
        dataset: Which images.
        images: How many.
        scale: The scale.
        psnr: Mean PSNR under the protocol in dB.
        ssim: Mean SSIM under the protocol.
        choices: One entry for each other choice.
    """

    model: str
    dataset: str
    images: int
    scale: int
    psnr: float
    ssim: float
    choices: tuple[Cost, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        return asdict(self)


def measure_costs(protocol: Protocol, scale: int = 2) -> Costs:
    """Measure a protocol's choices on the embedded test images (no download), with bicubic interpolation as the model.

    Raises:
        DataError: If the embedded images are not there.
    """
    dataset = embedded_test()
    hrs = [dataset.hr(image) for image in dataset.image_names()]
    psnr, ssim = _mean_scores(protocol, hrs, scale)
    choices = []
    for setting, instead, other in variants(protocol, scale):
        other_psnr, other_ssim = _mean_scores(other, hrs, scale)
        chosen = _words(protocol, setting, scale)
        choices.append(Cost(setting, chosen, instead, other_psnr - psnr, other_ssim - ssim))
    return Costs(MODEL, dataset.name, len(hrs), scale, psnr, ssim, tuple(choices))


def _mean_scores(protocol: Protocol, hrs: list[Image], scale: int) -> tuple[float, float]:
    """Return the mean PSNR and SSIM of bicubic interpolation under a protocol."""
    scores = []
    for hr in hrs:
        sr = imresize(protocol.lr_image(hr, scale), scale, rounding="none") / 255.0
        comparison = Comparison.under(protocol, protocol.quantise(sr), protocol.reference(hr, scale), scale)
        scores.append((PSNR()(comparison), SSIM()(comparison)))
    means = np.mean(scores, axis=0)
    return float(means[0]), float(means[1])


def variants(protocol: Protocol, scale: int) -> Iterator[tuple[str, str, Protocol]]:
    """Yield the setting, the other choice in words, and the protocol with that choice alone changed.

    What contradicts the protocol's other choices is left out.
    """
    border = protocol.crop(scale)
    changes: list[tuple[str, dict[str, Any]]] = [
        *(("color", {"color": color}) for color in _WORDS["color"]),
        *(("crop_border", {"crop_border": pixels}) for pixels in (0, border + 6)),
        *(("quantisation", {"quantisation": quantisation}) for quantisation in ("round", "truncate")),
        ("lr_rounding", {"lr_rounding": "once" if protocol.lr_rounding == "per_pass" else "per_pass"}),
        *(("lr_padding", {"lr_padding": padding}) for padding in ("symmetric", "replicate")),
        # The other kernels know neither padding nor another rounding.
        *(
            ("lr_kernel", {"lr_kernel": kernel, "lr_padding": "none", "lr_rounding": "per_pass"})
            for kernel in ("pillow-bicubic", "nearest")
        ),
        ("hr_crop", {"hr_crop": 12 * scale if 12 % scale else 12}),
        *(("ssim_region", {"ssim_region": region}) for region in _WORDS["ssim_region"]),
    ]
    if protocol.lr_channels == "y":
        # There is no other color of luma alone; it is downsampled as RGB instead.
        changes.insert(0, ("lr_channels", {"lr_channels": "rgb"}))
    for setting, change in changes:
        try:
            other = replace(protocol, **change)
        except ConfigError:
            continue
        if other.digest != protocol.digest:
            yield setting, _words(other, setting, scale), other


def _words(protocol: Protocol, setting: str, scale: int) -> str:
    """Return a choice of a protocol in words, for the table."""
    if setting == "crop_border":
        border = protocol.crop(scale)
        return f"{border} pixels on each side" if border else "none"
    if setting == "hr_crop":
        return "multiples of the scale" if protocol.hr_crop == "scale" else f"multiples of {protocol.hr_crop}"
    value = getattr(protocol, setting)
    return _WORDS.get(setting, {}).get(value, str(value))


_WORDS = {
    "lr_channels": {"y": "luma", "rgb": "RGB"},
    "color": {
        "y-bt601": "BT.601 luma, 16..235",
        "y-full-range": "full-range luma, 0..255",
        "y-bt601-rounded": "BT.601 luma rounded to uint8",
        "rgb": "all three RGB channels",
    },
    "lr_kernel": {
        "matlab-bicubic": "Matlab's bicubic",
        "pillow-bicubic": "Pillow's bicubic",
        "nearest": "every n-th pixel (no antialiasing)",
    },
    "ssim_region": {
        "valid": "whole windows only",
        "padded": "whole image, padded by repetition (Matlab's ssim)",
    },
}
