"""Parts that several of these networks have."""

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
        ConfigError: There are several, or the network does not do it.
    """
    if len(scales) != 1 or scales[0] not in known:
        raise ConfigError(
            f"{network} is a network for one scale of {', '.join(map(str, known))}; got {', '.join(map(str, scales))}"
        )
    return scales[0]


def pixel_shuffle_tail(num_feat: int, scale: int) -> nn.Sequential:
    """Make the convolution and pixel shuffle that turn features `(N, C, h, w)` into images `(N, 3, s*h, s*w)`."""
    return nn.Sequential(nn.Conv2d(num_feat, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))


def activated_conv(num_in: int, num_out: int, slopes: bool) -> nn.Sequential:
    """Make a 3x3 convolution `conv` and its activation `act`: a PReLU of a slope for each channel, or a ReLU."""
    act = nn.PReLU(num_out) if slopes else nn.ReLU()
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(num_in, num_out, 3, padding=1), act=act))


def initialise_he(model: nn.Module) -> None:
    """Draw the trainable convolutions' weights as He et al. (ICCV 2015) do, and set their biases to 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def with_mean_buffer(model: nn.Module) -> None:
    """Register basicsr's mean colour as a buffer: as the plain attribute that it is, `to(device)` would miss it."""
    mean: Tensor = model.mean  # type: ignore[assignment]  # a plain attribute until here
    del model.mean
    model.register_buffer("mean", mean, persistent=False)


def bicubic_reach(pixels: int, scale: int) -> int:
    """Return how many LR pixels a neighbourhood of HR pixels of a bicubically enlarged image reaches, each way.

    Args:
        pixels: How far the neighbourhood goes in HR pixels, from any pixel of the LR pixel in its middle.
        scale: The scale.
    """
    # The farthest HR pixel is this far from the LR pixel's middle, and the kernel looks at less than 2 beyond it.
    return ceil((pixels - Fraction(1, 2)) / scale + Fraction(1, 2)) + 1


def shuffle_reach(factors: tuple[int, ...], pixels: int) -> int:
    """Return how many LR pixels away an up-sampler looks that has a 3x3 convolution before each pixel shuffle.

    Args:
        factors: Of the pixel shuffles, in their order.
        pixels: How many HR pixels away the layers after it look.
    """
    for factor in reversed(factors):
        pixels = ceil(Fraction(pixels, factor)) + 1
    return pixels
