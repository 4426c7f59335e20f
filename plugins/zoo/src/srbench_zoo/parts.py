"""Parts used by several networks: tails, activated convolutions, initialisation and receptive fields."""

from __future__ import annotations

from collections import OrderedDict
from fractions import Fraction
from math import ceil

from torch import Tensor, nn

from srbench.plugin import ConfigError

__all__ = [
    "activated_conv",
    "bicubic_reach",
    "initialise_he",
    "pixel_shuffle_tail",
    "shuffle_reach",
    "single_scale",
    "with_mean_buffer",
]


def single_scale(network: str, scales: tuple[int, ...], known: tuple[int, ...] = (2, 3, 4)) -> int:
    """Return the scale of a single-scale network.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """
    if len(scales) != 1 or scales[0] not in known:
        raise ConfigError(
            f"{network} is a network for one scale of {', '.join(map(str, known))}; got {', '.join(map(str, scales))}"
        )
    return scales[0]


def pixel_shuffle_tail(num_feat: int, scale: int) -> nn.Sequential:
    """Make a convolution and a pixel shuffle from features `(N, C, h, w)` to images `(N, 3, s*h, s*w)`."""
    return nn.Sequential(nn.Conv2d(num_feat, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))


def activated_conv(num_in: int, num_out: int, slopes: bool) -> nn.Sequential:
    """Make a 3x3 convolution `conv` and its activation `act`: a PReLU with a slope per channel, or a ReLU."""
    act = nn.PReLU(num_out) if slopes else nn.ReLU()
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(num_in, num_out, 3, padding=1), act=act))


def initialise_he(model: nn.Module) -> None:
    """Initialise trainable convolutions as He et al. (ICCV 2015), with zero biases."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def with_mean_buffer(model: nn.Module) -> None:
    """Register basicsr's mean colour as a buffer: `to(device)` does not move the plain attribute."""
    mean: Tensor = model.mean  # type: ignore[assignment]  # a plain attribute until here
    del model.mean
    model.register_buffer("mean", mean, persistent=False)


def bicubic_reach(pixels: int, scale: int) -> int:
    """Return the reach, in LR pixels on each side, of a neighbourhood in a bicubically enlarged image.

    Args:
        pixels: Reach of the neighbourhood in HR pixels, from any HR pixel inside the central LR pixel.
        scale: The scale.
    """
    # Distance of the farthest HR pixel from the centre of the LR pixel; the bicubic kernel reaches less than 2 further.
    return ceil((pixels - Fraction(1, 2)) / scale + Fraction(1, 2)) + 1


def shuffle_reach(factors: tuple[int, ...], pixels: int) -> int:
    """Return the reach, in LR pixels on each side, of an upsampler with a 3x3 convolution before each pixel shuffle.

    Args:
        factors: Factors of the pixel shuffles, in order.
        pixels: Reach of the layers after the upsampler, in HR pixels.
    """
    for factor in reversed(factors):
        pixels = ceil(Fraction(pixels, factor)) + 1
    return pixels
