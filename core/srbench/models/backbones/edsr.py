"""EDSR-baseline (Lim et al., CVPRW 2017) based on basicsr's class, and a tiny version for quick runs."""

from __future__ import annotations

from torch import Tensor

from srbench.compat import basicsr_archs as archs
from srbench.errors import ConfigError
from srbench.models.architecture import Architecture
from srbench.models.backbone import Backbone
from srbench.models.sites import SharingSite
from srbench.registry.registries import register_backbone

__all__ = ["EDSR", "edsr_baseline", "edsr_tiny"]


class EDSR(archs.EDSR, Backbone):  # type: ignore[misc]  # basicsr has no types
    """basicsr's EDSR with its sharing sites: the two convolutions of every residual block, in one bank.

    Args:
        scales: One scale of 2, 3, 4; EDSR is a single-scale network.
        num_feat: Number of feature channels.
        num_block: Residual blocks.

    Raises:
        ConfigError: Several scales, or one that the upsampler does not support.
    """

    float32_layers = ("conv_last",)

    def __init__(self, scales: tuple[int, ...], num_feat: int, num_block: int) -> None:
        if len(scales) != 1 or scales[0] not in (2, 3, 4):
            raise ConfigError(f"EDSR is a network for one scale of 2, 3, 4; got {', '.join(map(str, scales))}")
        archs.EDSR.__init__(self, 3, 3, num_feat=num_feat, num_block=num_block, upscale=scales[0])
        self.scales = scales
        self.num_block = num_block
        # The first convolution, two in each block, the one after the blocks, and two for the upsampler and the last
        # convolution, which work on finer grids.
        self.receptive_field = 1 + 2 * num_block + 1 + 2
        # The first and the last convolution, the one after the blocks, and the up-sampler's.
        depth = 2 * num_block + 3 + (2 if scales[0] == 4 else 1)
        self.architecture = Architecture(depth=depth, filters=num_feat, local_skips=True)
        # basicsr stores the mean as a plain attribute, which `to(device)` and copying to the meta device would miss.
        mean: Tensor = self.mean  # type: ignore[assignment]  # a plain attribute until here
        del self.mean
        self.register_buffer("mean", mean, persistent=False)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions of the residual blocks: one bank, two tie classes."""
        return [
            SharingSite(f"body.{block}.{conv}", kind="conv", bank="body", tie=conv, step=(block,))
            for block in range(self.num_block)
            for conv in ("conv1", "conv2")
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        return archs.EDSR.forward(self, lr)  # type: ignore[no-any-return]


@register_backbone
def edsr_baseline(scales: tuple[int, ...]) -> EDSR:
    """Build EDSR-baseline: 16 blocks of 64 features (1,369,859 parameters at x2)."""
    return EDSR(scales, num_feat=64, num_block=16)


@register_backbone
def edsr_tiny(scales: tuple[int, ...]) -> EDSR:
    """Build a tiny EDSR, 4 blocks of 16 features, for quick runs and tests; not a published network."""
    return EDSR(scales, num_feat=16, num_block=4)
