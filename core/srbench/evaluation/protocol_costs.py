"""What each choice of a protocol costs, measured: change one, keep the others, look at the difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from srbench.data.embedded import embedded_test
from srbench.images.color import rgb_to_y
from srbench.images.resize import Padding, Rounding, imresize
from srbench.metrics.base import crop
from srbench.metrics.psnr import psnr
from srbench.metrics.ssim import ssim
from srbench.protocols import Protocol

__all__ = ["Cost", "Costs", "measure_costs"]

Image = npt.NDArray[np.uint8]

Scores = tuple[float, float]
Comparison = Callable[[Image, Image, Protocol, int], Scores]
MakeLR = Callable[[Image, int], Image]

MODEL = "bicubic interpolation in float64, not rounded before the protocol does"

# Full-range luma, as JPEG stores it: 0..255 where BT.601's studio range has 16..235.
_FULL_RANGE = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Cost:
    """Say what one other choice would change.

    Attributes:
        setting: Which choice.
        chosen: What the protocol does.
        instead: What it could do.
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

    def mean(changed: Protocol, compare: Comparison | None = None, make_lr: MakeLR | None = None) -> Scores:
        scores = [_score(hr, changed, scale, compare or _COMPARED[changed.color], make_lr) for hr in hrs]
        return float(np.mean([score[0] for score in scores])), float(np.mean([score[1] for score in scores]))

    base = mean(protocol)

    def cost(setting: str, chosen: str, instead: str, scores: Scores) -> Cost:
        return Cost(setting, chosen, instead, scores[0] - base[0], scores[1] - base[1])

    other_quantisation: Literal["round", "truncate"] = "truncate" if protocol.quantisation == "round" else "round"
    other_rounding: Rounding = "once" if protocol.lr_rounding == "per_pass" else "per_pass"
    other_padding: Padding = "replicate" if protocol.lr_padding == "symmetric" else "symmetric"
    border = protocol.crop(scale)
    # Luma alone cannot be compared in other colours: there are none. It is downsampled as RGB instead.
    colors = [
        cost("color", _CALLED[protocol.color], _CALLED[color], mean(protocol, compare))
        for color, compare in ({} if protocol.lr_channels == "y" else _OTHERS).items()
        if color != protocol.color
    ]
    if protocol.lr_channels == "y":
        rgb = replace(protocol, lr_channels="rgb")
        colors = [cost("lr_channels", "luma", "RGB", mean(rgb, _on_rounded_luma))]
    choices = (
        *colors,
        cost("crop_border", f"{border} pixels each side", "none", mean(protocol, _uncropped(protocol))),
        cost(
            "crop_border", f"{border} pixels each side", f"{border + 6} pixels", mean(protocol, _cropped_more(protocol))
        ),
        cost(
            "quantisation",
            protocol.quantisation,
            other_quantisation,
            mean(replace(protocol, quantisation=other_quantisation)),
        ),
        cost("lr_rounding", protocol.lr_rounding, other_rounding, mean(replace(protocol, lr_rounding=other_rounding))),
        cost("lr_padding", protocol.lr_padding, other_padding, mean(replace(protocol, lr_padding=other_padding))),
        cost("lr_kernel", protocol.lr_kernel, "Pillow's bicubic", mean(protocol, make_lr=_pillow_lr)),
        cost(
            "lr_kernel", protocol.lr_kernel, "every n-th pixel (no antialiasing)", mean(protocol, make_lr=_nearest_lr)
        ),
        cost(
            "ssim_region", "valid", "whole image, border repeated (Matlab's ssim)", mean(protocol, _on_padded(protocol))
        ),
    )
    return Costs(MODEL, dataset.name, len(hrs), scale, *base, choices)


def _score(hr: Image, protocol: Protocol, scale: int, compare: Comparison, make_lr: MakeLR | None) -> Scores:
    reference = protocol.reference(hr, scale)
    lr = protocol.lr_image(hr, scale) if make_lr is None else make_lr(reference, scale)
    sr = imresize(lr, scale, rounding="none") / 255.0
    return compare(protocol.quantise(sr), reference, protocol, protocol.crop(scale))


def _compare(a: npt.NDArray[Any], b: npt.NDArray[Any], protocol: Protocol, border: int) -> Scores:
    options: dict[str, Any] = {"data_range": protocol.data_range, "crop_border": border}
    similarity = ssim(a, b, window_size=protocol.ssim_window, sigma=protocol.ssim_sigma, **options)
    return psnr(a, b, **options), similarity


def _luma(image: Image) -> npt.NDArray[np.float64]:
    """Return the luma of an RGB image, or the luma image itself."""
    return rgb_to_y(image) if image.ndim == 3 else image.astype(np.float64)


def _on_luma(sr: Image, hr: Image, protocol: Protocol, border: int) -> Scores:
    return _compare(_luma(sr), _luma(hr), protocol, border)


def _on_full_range(sr: Image, hr: Image, protocol: Protocol, border: int) -> Scores:
    return _compare(sr @ _FULL_RANGE, hr @ _FULL_RANGE, protocol, border)


def _on_rounded_luma(sr: Image, hr: Image, protocol: Protocol, border: int) -> Scores:
    return _compare(np.rint(_luma(sr)), np.rint(_luma(hr)), protocol, border)


def _on_rgb(sr: Image, hr: Image, protocol: Protocol, border: int) -> Scores:
    channels = [_compare(sr[..., channel], hr[..., channel], protocol, border)[1] for channel in range(3)]
    return psnr(sr, hr, data_range=protocol.data_range, crop_border=border), float(np.mean(channels))


_COMPARED: dict[str, Comparison] = {"y-bt601": _on_luma, "y-bt601-rounded": _on_rounded_luma, "rgb": _on_rgb}
_OTHERS: dict[str, Comparison] = {
    "y-bt601": _on_luma,
    "full-range": _on_full_range,
    "y-bt601-rounded": _on_rounded_luma,
    "rgb": _on_rgb,
}
_CALLED = {
    "y-bt601": "BT.601 luma, 16..235",
    "full-range": "full-range luma, 0..255",
    "y-bt601-rounded": "BT.601 luma rounded to uint8",
    "rgb": "the three channels of RGB",
}


def _uncropped(protocol: Protocol) -> Comparison:
    compare = _COMPARED[protocol.color]
    return lambda sr, hr, protocol, border: compare(sr, hr, protocol, 0)


def _cropped_more(protocol: Protocol) -> Comparison:
    compare = _COMPARED[protocol.color]
    return lambda sr, hr, protocol, border: compare(sr, hr, protocol, border + 6)


def _on_padded(protocol: Protocol) -> Comparison:
    compare = _COMPARED[protocol.color]

    def compared(sr: Image, hr: Image, protocol: Protocol, border: int) -> Scores:
        margin = ((protocol.ssim_window // 2,) * 2,) * 2
        a, b = (
            np.pad(crop(image, border), (*margin, *((0, 0),) * (image.ndim - 2)), mode="edge") for image in (sr, hr)
        )
        # What is repeated enters SSIM only.
        return compare(sr, hr, protocol, border)[0], compare(a, b, protocol, 0)[1]

    return compared


def _pillow_lr(hr: Image, scale: int) -> Image:
    from PIL import Image as Pillow

    size = (hr.shape[1] // scale, hr.shape[0] // scale)
    return np.array(Pillow.fromarray(np.ascontiguousarray(hr)).resize(size, Pillow.Resampling.BICUBIC))


def _nearest_lr(hr: Image, scale: int) -> Image:
    return hr[::scale, ::scale]
