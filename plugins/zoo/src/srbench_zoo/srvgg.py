"""SRVGGNetCompact (Wang et al., Real-ESRGAN, ICCVW 2021) based on basicsr's class."""

from __future__ import annotations

from torch import Tensor

from srbench.plugin import Architecture, Backbone, SharingSite, register_backbone
from srbench.plugin import basicsr_archs as archs
from srbench_zoo.parts import single_scale

__all__ = ["SRVGG", "srvgg"]


class SRVGG(archs.SRVGGNetCompact, Backbone):  # type: ignore[misc]  # basicsr has no types
    """basicsr's chain of convolutions, added to the nearest-neighbour enlargement.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_conv: Number of convolutions between the first and the last.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int, num_conv: int) -> None:
        scale = single_scale("SRVGGNetCompact", scales)
        archs.SRVGGNetCompact.__init__(self, 3, 3, num_feat=num_feat, num_conv=num_conv, upscale=scale)
        self.scales = scales
        self.convs = range(2, 2 * num_conv + 2, 2)  # basicsr's list alternates convolutions and activations
        self.architecture = Architecture(depth=num_conv + 2, filters=num_feat, global_skip=True)
        self.receptive_field = num_conv + 2

    def sharing_sites(self) -> list[SharingSite]:
        """Return the body's convolutions, with their activations, in one bank and one tie class."""
        return [
            SharingSite(
                f"body.{n}", kind="conv", bank="body", tie="conv", step=(n // 2,), companions=(f"body.{n + 1}",)
            )
            for n in self.convs
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        return archs.SRVGGNetCompact.forward(self, lr)  # type: ignore[no-any-return]


@register_backbone
def srvgg(scales: tuple[int, ...]) -> SRVGG:
    """Build SRVGGNetCompact: 18 layers of 64 features (600,652 / 609,307 / 621,424 parameters at x2 / x3 / x4)."""
    return SRVGG(scales, num_feat=64, num_conv=16)
