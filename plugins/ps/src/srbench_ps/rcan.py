"""RCAN_G5B10 (Park and Cho, WACV 2025; RCAN: Zhang et al., ECCV 2018) on basicsr's own class."""

from __future__ import annotations

from torch import Tensor

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone
from srbench.plugin import basicsr_archs as archs

__all__ = ["RCAN", "rcan_g5b10"]


class RCAN(archs.RCAN, Backbone):  # type: ignore[misc]  # basicsr has no types
    """basicsr's RCAN with its sharing sites: the two convolutions of every residual block, in one bank.

    Args:
        scales: One scale of 2, 3, 4; RCAN is a single-scale network.
        num_feat: Features.
        num_group: Residual groups.
        num_block: Residual blocks in each.
        squeeze_factor: Features over those inside the channel attention.

    Raises:
        ConfigError: Several scales, or one that the up-sampler does not have.
    """

    def __init__(
        self, scales: tuple[int, ...], num_feat: int, num_group: int, num_block: int, squeeze_factor: int = 16
    ) -> None:
        if len(scales) != 1 or scales[0] not in (2, 3, 4):
            raise ConfigError(f"RCAN is a network for one scale of 2, 3, 4; got {', '.join(map(str, scales))}")
        archs.RCAN.__init__(
            self,
            3,
            3,
            num_feat=num_feat,
            num_group=num_group,
            num_block=num_block,
            squeeze_factor=squeeze_factor,
            upscale=scales[0],
        )
        self.scales = scales
        self.num_group, self.num_block = num_group, num_block
        # Each group ends in a convolution, and so do all of them; the first and the last one, and the up-sampler's.
        depth = num_group * (2 * num_block + 1) + 3 + (2 if scales[0] == 4 else 1)
        self.architecture = Architecture(depth=depth, filters=num_feat, local_skips=True)
        # basicsr keeps the mean as a plain attribute, which `to(device)` and `deepcopy` to the meta device would miss.
        mean: Tensor = self.mean  # type: ignore[assignment]  # a plain attribute until here
        del self.mean
        self.register_buffer("mean", mean, persistent=False)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions of the residual blocks: one bank, two tie classes (RCAN_G5B10-Fixed when tied)."""
        return [
            SharingSite(
                f"body.{group}.residual_group.{block}.rcab.{index}",
                kind="conv",
                bank="body",
                tie=name,
                step=(group, block),
            )
            for group in range(self.num_group)
            for block in range(self.num_block)
            for index, name in ((0, "conv1"), (2, "conv2"))
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        return archs.RCAN.forward(self, lr)  # type: ignore[no-any-return]


@register_backbone
def rcan_g5b10(scales: tuple[int, ...]) -> RCAN:
    """Build RCAN with 5 groups of 10 residual blocks (4,094,603 parameters at x2)."""
    return RCAN(scales, num_feat=64, num_group=5, num_block=10)
