"""Evaluation protocols: named, immutable and hashed; stored with every result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from srbench.errors import ConfigError, DataError, PluginError
from srbench.images.color import rgb_to_y, round_luma
from srbench.images.downsample import LRKernel, LRPadding, downsample
from srbench.images.resize import Rounding, imresize
from srbench.registry import PROTOCOLS, list_protocols

__all__ = ["Color", "Protocol", "get_protocol", "list_protocols"]

Image = npt.NDArray[np.uint8]
Color = Literal["y-bt601", "y-bt601-rounded", "y-full-range", "rgb"]
Channels = Literal["rgb", "y"]
Quantisation = Literal["round", "truncate"]
Region = Literal["valid", "padded"]
Size = Literal["exact", "resized"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "lr_channels": get_args(Channels),
    "lr_kernel": get_args(LRKernel),
    "lr_padding": get_args(LRPadding),
    "lr_rounding": get_args(Rounding),
    "quantisation": get_args(Quantisation),
    "color": get_args(Color),
    "ssim_region": get_args(Region),
    "sr_size": get_args(Size),
}


@dataclass(frozen=True)
class Protocol:
    """All choices that lead from an HR image to a score.

    Attributes:
        name: Its name; not part of the digest.
        lr_channels: What is downsampled: `rgb`; or `y`, luma rounded to uint8, which is then the network's only input.
        lr_kernel: `matlab-bicubic`, Keys' cubic with a = -0.5, antialiased; `pillow-bicubic`, the same kernel cut off
            at the border, in Pillow's fixed-point arithmetic; `nearest`, every n-th pixel.
        lr_padding: Padding for Matlab's kernel; `none` for the other kernels.
        lr_rounding: When the LR image is rounded to uint8; with `none` the network gets float values. Kernels other
            than Matlab's take `per_pass`.
        hr_crop: HR images are cropped at the right and the bottom to a multiple of this: the `scale`, or a number
            that the scale divides.
        quantisation: How an SR image in 0..1 is converted to uint8: `round` to the nearest, or `truncate`.
        color: What is compared: `y-bt601`, luma in 16..235 of the uint8 RGB images, not rounded; `y-bt601-rounded`,
            uint8 luma; `y-full-range`, luma in 0..255 as in JPEG files, not rounded; `rgb`, the three channels. Metrics
            without a suffix follow it; those with `_y` and `_rgb` state their own, and `_y` is BT.601, not rounded,
            where RGB is compared.
        crop_border: Pixels cropped from each side: `scale`, or a number.
        data_range: Peak of PSNR and L of SSIM.
        ssim_window: Taps of SSIM's Gaussian window, an odd number of 3 or more.
        ssim_sigma: Its standard deviation in pixels.
        ssim_region: `valid`: only pixels whose whole window is inside the image; `padded`: all, with the border
            repeated outwards.
        sr_size: Treatment of an SR image whose size differs from the HR image: an error (`exact`), or resized by
            Matlab's bicubic if the difference is at most one LR pixel (`resized`).

    Raises:
        ConfigError: A value is unknown or out of range, or two values contradict each other.
    """

    name: str
    lr_channels: Channels = "rgb"
    lr_kernel: LRKernel = "matlab-bicubic"
    lr_padding: LRPadding = "symmetric"
    lr_rounding: Rounding = "per_pass"
    hr_crop: Literal["scale"] | int = "scale"
    quantisation: Quantisation = "round"
    color: Color = "y-bt601"
    crop_border: Literal["scale"] | int = "scale"
    data_range: int = 255
    ssim_window: int = 11
    ssim_sigma: float = 1.5
    ssim_region: Region = "valid"
    sr_size: Size = "exact"

    def __post_init__(self) -> None:
        for field, known in _CHOICES.items():
            if getattr(self, field) not in known:
                self._refuse(f"{field} is one of {', '.join(known)}, got {getattr(self, field)!r}")
        for field, least, other in (("hr_crop", 1, "scale"), ("crop_border", 0, "scale"), ("data_range", 1, None)):
            value = getattr(self, field)
            if value != other and not (type(value) is int and value >= least):
                or_word = f", or '{other}'" if other else ""
                self._refuse(f"{field} is a whole number of {least} or more{or_word}, got {value!r}")
        if type(self.ssim_window) is not int or self.ssim_window < 3 or self.ssim_window % 2 == 0:
            self._refuse(f"ssim_window is an odd number of 3 or more, got {self.ssim_window!r}")
        if not (isinstance(self.ssim_sigma, int | float) and 0 < self.ssim_sigma < math.inf):
            self._refuse(f"ssim_sigma is a number of pixels above 0, got {self.ssim_sigma!r}")
        if self.lr_channels == "y" and self.color != "y-bt601-rounded":
            self._refuse(
                f"with lr_channels 'y' there is uint8 luma alone, so color is y-bt601-rounded, not {self.color}"
            )
        if self.lr_kernel == "matlab-bicubic":
            if self.lr_padding == "none":
                self._refuse("lr_kernel matlab-bicubic needs lr_padding symmetric or replicate, got 'none'")
        elif (self.lr_padding, self.lr_rounding) != ("none", "per_pass"):
            self._refuse(
                f"lr_kernel {self.lr_kernel} takes lr_padding none and lr_rounding per_pass, got {self.lr_padding} and "
                f"{self.lr_rounding}"
            )

    def _refuse(self, why: str) -> None:
        raise ConfigError(f"protocol '{self.name}': {why}")

    @property
    def metrics(self) -> tuple[str, str]:
        """Names of the default metrics: PSNR and SSIM of the protocol's color."""
        return ("psnr_rgb", "ssim_rgb") if self.color == "rgb" else ("psnr_y", "ssim_y")

    @property
    def primary_metric(self) -> str:
        """Name of the metric that leaderboards under this protocol rank by."""
        return self.metrics[0]

    @property
    def settings(self) -> dict[str, Any]:
        """Return all choices, without the name.

        Choices added in later versions are omitted at their defaults, so that stored results keep their digests.
        """
        settings = dataclasses.asdict(self)
        del settings["name"]
        if self.sr_size == "exact":
            del settings["sr_size"]
        return settings

    @property
    def digest(self) -> str:
        """SHA-256 of the settings as canonical JSON; independent of the name."""
        return _digest(self.settings)

    @property
    def lr_digest(self) -> str:
        """SHA-256 of the settings that affect LR images."""
        return _digest({key: value for key, value in self.settings.items() if key.startswith(("lr_", "hr_"))})

    def crop(self, scale: int) -> int:
        """Return the number of pixels cropped from each side at a scale."""
        return scale if self.crop_border == "scale" else self.crop_border

    def mod_crop(self, hr: Image, scale: int) -> Image:
        """Crop an HR image `(H, W, 3)` to a multiple of `hr_crop`, at the right and the bottom.

        Raises:
            ConfigError: If the scale does not divide `hr_crop`.
            DataError: If the image is smaller than that.
        """
        unit = scale if self.hr_crop == "scale" else self.hr_crop
        if unit % scale:
            self._refuse(f"hr_crop is {unit}, which scale {scale} does not divide; take another scale or protocol")
        height, width = (size - size % unit for size in hr.shape[:2])
        if not height or not width:
            why = f"scale {scale}" if unit == scale else f"hr_crop {unit}"
            raise DataError(f"an image of {hr.shape[1]}x{hr.shape[0]} pixels is too small for {why}")
        cropped: Image = hr[:height, :width]
        return cropped

    def reference(self, hr: Image, scale: int, *, grey: bool = False) -> Image:
        """Return the reference of SR images: the cropped HR image, uint8 RGB `(H, W, 3)`, or its luma `(H, W)`.

        Args:
            hr: RGB `(H, W, 3)`.
            scale: The scale.
            grey: Whether the image's file is grayscale; its values are not converted to luma.

        Raises:
            DataError: If the image is smaller than the scale.
        """
        cropped = self.mod_crop(hr, scale)
        if self.lr_channels == "rgb":
            return cropped
        if grey:
            levels: Image = cropped[..., 0]
            return levels
        return round_luma(rgb_to_y(cropped))

    def lr_image(self, hr: Image, scale: int, *, grey: bool = False) -> npt.NDArray[Any]:
        """Return the LR image of an HR image, uint8 `(H, W, 3)`; `grey` as for `reference`.

        Returns:
            `(H // scale, W // scale, 3)` in 0..255, uint8, or float64 where nothing is rounded; without the last axis
            where only luma is downsampled.

        Raises:
            ConfigError: If the scale is not a whole number of 1 or more.
            DataError: If the image is smaller than the scale.
        """
        if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
            raise ConfigError(f"the scale must be a whole number of 1 or more, got {scale!r}")
        reference = self.reference(hr, scale, grey=grey)
        return downsample(reference, scale, self.lr_kernel, self.lr_padding, self.lr_rounding)

    def fitted(self, sr: npt.NDArray[Any], shape: tuple[int, ...], scale: int) -> npt.NDArray[Any]:
        """Return an SR image `(H, W)` or `(H, W, 3)` in the size of the HR image, resized if the protocol allows it.

        Raises:
            DataError: If the size differs and the protocol does not resize, or not by that much.
        """
        if sr.shape[:2] == shape[:2]:
            return sr
        missing = max(abs(is_ - should) for is_, should in zip(sr.shape[:2], shape[:2], strict=True))
        if self.sr_size == "exact" or missing > scale:
            raise DataError(
                f"the model made {sr.shape[1]}x{sr.shape[0]} pixels, where scale {scale} asks for {shape[1]}x{shape[0]}"
            )
        padding = "symmetric" if self.lr_padding == "none" else self.lr_padding
        return imresize(sr.astype(np.float64), output_shape=(shape[0], shape[1]), padding=padding, rounding="none")

    def quantise(self, sr: npt.NDArray[Any]) -> Image:
        """Convert an SR image to uint8.

        The product with 255 is computed in float32, as in the authors' programs: truncation depends on its last bit.

        Args:
            sr: `(H, W, 3)` or `(H, W)`, 0..1; values outside are clamped.

        Returns:
            uint8 of the same shape, in C order whatever the order of `sr`.

        Raises:
            DataError: If the image contains NaN.
        """
        levels: npt.NDArray[np.float32] = np.multiply(sr, np.float32(255), dtype=np.float32)
        if np.isnan(levels).any():
            raise DataError("the SR image holds NaN: the network diverged or its weights are damaged")
        if self.quantisation == "round":
            np.rint(levels, out=levels)
        np.clip(levels, 0, 255, out=levels)
        image: Image = levels.astype(np.uint8)
        if image.flags.c_contiguous:
            return image
        # Network outputs are planar, but metrics and files process pixels, which is three times slower on planar
        # memory. NumPy transposes fastest channel by channel.
        if image.ndim == 3:
            return np.stack([image[..., channel] for channel in range(image.shape[2])], axis=-1)
        return np.ascontiguousarray(image)

    def meaning(self) -> dict[str, str]:
        """Return a sentence for each choice, keyed by the setting's name."""
        first = "vertical" if self.lr_kernel == "matlab-bicubic" else "horizontal"
        rounding = {
            "per_pass": f"rounded to uint8 after each of the two passes, {first} first",
            "once": "rounded to uint8 once, after both passes",
            "none": "not rounded: the network receives floating-point values",
        }
        if self.lr_kernel == "nearest":
            rounding["per_pass"] = "uint8"
        beyond = {
            "symmetric": "images are mirrored at their borders",
            "replicate": "the border pixels are repeated",
            "none": "there is no padding",
        }
        kernels = {
            "matlab-bicubic": "The LR kernel is Matlab's bicubic: Keys' cubic with a = -0.5, antialiased.",
            "pillow-bicubic": "The LR kernel is Pillow's bicubic: Keys' cubic with a = -0.5, antialiased.",
            "nearest": "LR images consist of every n-th pixel of the HR images, without antialiasing.",
        }
        regions = {
            "valid": "the pixels whose window lies entirely inside the cropped image",
            "padded": "all pixels of the cropped image, whose border pixels are repeated to pad it",
        }
        quantised = {
            "round": "rounded to uint8",
            "truncate": "truncated to uint8 (255 * value without its fraction), as the authors of CARN and PS do",
        }
        channels = {
            "rgb": "LR images are made from all three RGB channels.",
            "y": "LR images are made from BT.601 luma rounded to uint8 (from the gray levels of a grayscale file), the "
            "only input of the network.",
        }
        compared = {
            "y-bt601": "PSNR and SSIM are computed on BT.601 luma, Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, "
            "not rounded.",
            "y-bt601-rounded": "PSNR and SSIM are computed on BT.601 luma, Y = 16 + (65.481 R + 128.553 G + 24.966 B) "
            "/ 255, rounded to uint8.",
            "y-full-range": "PSNR and SSIM are computed on full-range luma, Y = 0.299 R + 0.587 G + 0.114 B, not "
            "rounded.",
            "rgb": "PSNR and SSIM are computed on all three RGB channels (metrics psnr_rgb and ssim_rgb).",
        }
        border = "s pixels (s: the scale)" if self.crop_border == "scale" else f"{self.crop_border} pixels"
        unit = "the scale" if self.hr_crop == "scale" else str(self.hr_crop)
        span = "" if self.color in ("rgb", "y-full-range") else ", although luma spans only 219 levels"
        sentences = {
            "hr_crop": f"HR images are cropped at the right and the bottom to a multiple of {unit}.",
            "lr_channels": channels[self.lr_channels],
            "lr_kernel": kernels[self.lr_kernel],
            "lr_padding": f"For downsampling, {beyond[self.lr_padding]}.",
            "lr_rounding": f"LR images are {rounding[self.lr_rounding]}.",
            "quantisation": f"The SR image is clamped to 0..1 and {quantised[self.quantisation]}.",
            "color": compared[self.color],
            "crop_border": f"A border of {border} is cropped from each side before the comparison.",
            "data_range": f"PSNR = 10 log10({self.data_range}^2 / MSE){span}.",
            "ssim_window": f"SSIM uses a Gaussian window of {self.ssim_window}x{self.ssim_window} pixels.",
            "ssim_sigma": f"The standard deviation of the window is {self.ssim_sigma} pixels.",
            "ssim_region": f"SSIM is averaged over {regions[self.ssim_region]}.",
        }
        if self.sr_size == "resized":
            sentences["sr_size"] = (
                "An SR image that is up to one LR pixel too small or too large (from a network for even sizes) is "
                "resized with Matlab's bicubic."
            )
        return sentences

    def explain(self) -> str:
        """Describe the protocol, one choice per line, with its digest at the end."""
        lines = [f"{self.name}", ""]
        lines += [f"- {sentence}" for sentence in self.meaning().values()]
        return "\n".join([*lines, "", f"digest {self.digest}"])


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


MATLAB_Y = Protocol("matlab-y")
TRUNCATE_Y = Protocol("truncate-y", quantisation="truncate")
# As the authors of LapSRN evaluate: LR images in double precision; SR images are converted back to RGB, then rounded.
LAPSRN_DOUBLE = Protocol("lapsrn-double", lr_rounding="none", sr_size="resized")
# As the published bicubic figures and the first luma networks were evaluated: LR images in double precision too.
Y_ONLY = Protocol("y-only", lr_channels="y", lr_rounding="none", color="y-bt601-rounded")
# The NTIRE challenges on efficient super-resolution.
NTIRE = Protocol("ntire", color="rgb", crop_border=4)


def get_protocol(name: str) -> Protocol:
    """Return a protocol by name, or by `DIST:NAME` where several distributions have one of that name.

    Its name is the one under which results are stored: `DIST:NAME` only where the name alone means another protocol.

    Raises:
        UnknownNameError: No protocol has that name; the message suggests the nearest.
        DuplicateNameError: Two distributions claim the name.
        PluginError: Its plugin cannot be used, or registered something other than a protocol of that name.
    """
    found, bare = PROTOCOLS.get(name), name.rpartition(":")[2]
    if not isinstance(found, Protocol) or found.name not in (name, bare):
        what = f"the protocol '{found.name}'" if isinstance(found, Protocol) else f"a {type(found).__name__}"
        raise PluginError(f"protocol '{bare}' is registered as {what}; report it to the plugin's authors")
    return found if found.name == name else dataclasses.replace(found, name=PROTOCOLS.shortest(name))
