"""Parts that several of these networks have."""

from __future__ import annotations

from torch import nn

from srbench.errors import ConfigError

__all__ = ["pixel_shuffle_tail", "single_scale"]


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
