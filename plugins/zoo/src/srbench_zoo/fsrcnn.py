"""FSRCNN (Dong et al., ECCV 2016): shrink, map and expand convolutions, then one transposed convolution."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from srbench.plugin import Architecture, LumaBackbone, SharingSite, register_backbone
from srbench_zoo.parts import single_scale

__all__ = ["FSRCNN", "fsrcnn"]


class FSRCNN(LumaBackbone):
    """A network on luma whose convolutions all work at LR size, with few channels in between.

    Source: Dong, Loy and Tang, "Accelerating the Super-Resolution Convolutional Neural Network", ECCV 2016.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels at both ends (`d` in the paper).
        num_inner: Channels of the mapping layers (`s`).
        num_map: Number of mapping layers (`m`).

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 56, num_inner: int = 12, num_map: int = 4) -> None:
        scale = single_scale("FSRCNN", scales)
        super().__init__(scales)
        self.entry = _activated(nn.Conv2d(1, num_feat, 5, padding=2))
        self.shrink = _activated(nn.Conv2d(num_feat, num_inner, 1))
        self.maps = nn.Sequential(*(_activated(nn.Conv2d(num_inner, num_inner, 3, padding=1)) for _ in range(num_map)))
        self.expand = _activated(nn.Conv2d(num_inner, num_feat, 1))
        self.exit = nn.ConvTranspose2d(num_feat, 1, 9, stride=scale, padding=4, output_padding=scale - 1)
        self.architecture = Architecture(depth=num_map + 4, filters=num_feat)
        # The last layer's kernel reaches 4 HR pixels to each side, in addition to those up to the next LR pixel.
        self.receptive_field = 2 + num_map + (scale + 3) // scale

    def sharing_sites(self) -> list[SharingSite]:
        """Return the mapping layers, each with its activation, in one bank and one tie class."""
        return [
            SharingSite(f"maps.{n}.0", kind="conv", bank="maps", tie="map", step=(n,), companions=(f"maps.{n}.1",))
            for n in range(len(self.maps))
        ]

    def luma(self, luma: Tensor, scale: int) -> Tensor:
        """Return the SR luma `(N, 1, s*h, s*w)`."""
        return cast(Tensor, self.exit(self.expand(self.maps(self.shrink(self.entry(luma))))))


def _activated(conv: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.PReLU(conv.out_channels))


@register_backbone
def fsrcnn(scales: tuple[int, ...]) -> FSRCNN:
    """Build FSRCNN (56, 12, 4) with per-channel PReLU slopes (12,809 parameters at every scale)."""
    return FSRCNN(scales)
