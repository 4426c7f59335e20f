"""ECBSR (Zhang et al., ACM MM 2021) on RGB in deployed form; `+reparam(kind=ecb)` is its training form."""

from __future__ import annotations

from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, SharingSite, register_backbone
from srbench_zoo.parts import activated_conv, single_scale

__all__ = ["ECBSRColour", "ecbsr_m4c16", "ecbsr_m4c32", "ecbsr_m6c40"]


class ECBSRColour(Backbone):
    """Convolutions with PReLUs and a sub-pixel upsampler, added to the nearest-neighbour enlargement.

    This is the deployed form, with one convolution per edge-oriented block.

    Source: Zhang, Zeng and Zhang, "Edge-oriented Convolution Block for Real-time Super Resolution on Mobile Devices",
    ACM MM 2021; on RGB as trained by Chao et al., CVPR 2023.

    Args:
        scales: One of the scales 2, 3, 4.
        num_conv: Number of convolutions between the first and the last.
        num_feat: Feature channels.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(self, scales: tuple[int, ...], num_conv: int, num_feat: int) -> None:
        scale = single_scale("ECBSR", scales)
        super().__init__(scales)
        self.repeats = scale**2
        self.entry = activated_conv(3, num_feat, slopes=True)
        self.body = nn.Sequential(*(activated_conv(num_feat, num_feat, slopes=True) for _ in range(num_conv)))
        self.exit = nn.Conv2d(num_feat, 3 * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)
        self.architecture = Architecture(depth=num_conv + 2, filters=num_feat, global_skip=True)
        self.receptive_field = num_conv + 2

    def sharing_sites(self) -> list[SharingSite]:
        """Return the body's convolutions, in one bank and one tie class, and the first and last, in no bank."""
        first, last = (SharingSite(path, kind="conv", bank=None, tie=path) for path in ("entry.conv", "exit"))
        body = [
            SharingSite(
                f"body.{n}.conv", kind="conv", bank="body", tie="conv", step=(n,), companions=(f"body.{n}.act",)
            )
            for n in range(len(self.body))
        ]
        return [first, *body, last]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        nearest = lr.repeat_interleave(self.repeats, dim=1)
        return self.shuffle(self.exit(self.body(self.entry(lr))) + nearest)  # type: ignore[no-any-return]


@register_backbone
def ecbsr_m4c16(scales: tuple[int, ...]) -> ECBSRColour:
    """Build ECBSR-M4C16 on RGB (11,548 / 13,723 / 16,768 parameters at x2 / x3 / x4)."""
    return ECBSRColour(scales, num_conv=4, num_feat=16)


@register_backbone
def ecbsr_m4c32(scales: tuple[int, ...]) -> ECBSRColour:
    """Build ECBSR-M4C32 on RGB (41,516 / 45,851 / 51,920 parameters at x2 / x3 / x4)."""
    return ECBSRColour(scales, num_conv=4, num_feat=32)


@register_backbone
def ecbsr_m6c40(scales: tuple[int, ...]) -> ECBSRColour:
    """Build ECBSR-M6C40 on RGB (92,372 / 97,787 / 105,368 parameters at x2 / x3 / x4)."""
    return ECBSRColour(scales, num_conv=6, num_feat=40)
