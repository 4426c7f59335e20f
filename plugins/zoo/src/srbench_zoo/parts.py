"""Parts that several of these networks have."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srbench.errors import ConfigError

__all__ = ["ContrastAttention", "pixel_shuffle_tail", "single_scale"]


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


class ContrastAttention(nn.Module):
    """Scale channels by weights made of their contrast: standard deviation plus mean, over the whole image.

    Hui et al., ACM MM 2019, section 3.2.

    Args:
        num_feat: Channels.
        reduction: How many times fewer channels there are between the two 1x1 convolutions.
    """

    def __init__(self, num_feat: int, reduction: int = 16) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Conv2d(num_feat, num_feat // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(num_feat // reduction, num_feat, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        mean = x.mean((2, 3), keepdim=True)
        variance = (x - mean).square().mean((2, 3), keepdim=True)
        # A channel that is constant over the image has no contrast, and the root would have no gradient there.
        positive = variance > 0
        contrast = torch.where(positive, torch.where(positive, variance, 1.0).sqrt(), 0.0)
        return x * self.weigh(contrast + mean)  # type: ignore[no-any-return]
