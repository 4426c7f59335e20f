"""SRResNet without batch normalisation: basicsr's MSRResNet, and the variant in SMSR's tables."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, BlockSpec, ConfigError, SharingSite, register_backbone
from srbench.plugin import basicsr_archs as archs

__all__ = ["MSRResNet", "SRResNet", "msrresnet", "srresnet", "srresnet_tiny"]

_CONVS = ("conv1", "conv2")


class MSRResNet(archs.MSRResNet, Backbone):  # type: ignore[misc]  # basicsr has no types
    """basicsr's MSRResNet with its sharing sites: the residual blocks, and their convolutions in one bank.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_block: Number of residual blocks.

    Raises:
        ConfigError: More than one scale, or one that the upsampler does not support.
    """

    # Created by basicsr's constructor.
    conv_first: nn.Module
    body: nn.Module
    upconv1: nn.Module
    upconv2: nn.Module
    pixel_shuffle: nn.Module
    conv_last: nn.Module
    lrelu: nn.Module

    def __init__(self, scales: tuple[int, ...], num_feat: int = 64, num_block: int = 16) -> None:
        if len(scales) != 1 or scales[0] not in (2, 3, 4):
            raise ConfigError(f"SRResNet is a network for one scale of 2, 3, 4; got {', '.join(map(str, scales))}")
        archs.MSRResNet.__init__(self, 3, 3, num_feat=num_feat, num_block=num_block, upscale=scales[0])
        self.scales = scales
        self.num_block = num_block
        # One pixel for the entry and for each convolution of a block; the upsampler and the exit reach at most 2 more.
        self.receptive_field = 2 * num_block + 3
        self.architecture = Architecture(self._depth(), num_feat, global_skip=True, local_skips=True)

    def _depth(self) -> int:
        """Return the number of layers on the longest path: entry, blocks, one or two of the upsampler, two more."""
        return 1 + 2 * self.num_block + (2 if self.scales == (4,) else 1) + 2

    def sharing_sites(self) -> list[SharingSite]:
        """Return each residual block and its two convolutions, the latter in one bank and two tie classes."""
        parts = BlockSpec(convs=_CONVS)
        sites = []
        for block in range(self.num_block):
            path = f"body.{block}"
            sites.append(SharingSite(path, kind="block", bank="blocks", tie="block", step=(block,), parts=parts))
            sites += [
                SharingSite(f"{path}.{conv}", kind="conv", bank="body", tie=conv, step=(block,)) for conv in _CONVS
            ]
        return sites

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        return cast(Tensor, archs.MSRResNet.forward(self, lr))


class SRResNet(MSRResNet):
    """MSRResNet without its convolution at full resolution.

    With 16 blocks of 64 features it needs, at x4 for 1280x720 pixels, the 112.11 G multiply-accumulates that the
    supplement of SMSR (Wang et al., CVPR 2021, Table II) reports for its SRResNet. ADR 0013 explains the inference.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_block: Number of residual blocks.

    Raises:
        ConfigError: More than one scale, or one that the upsampler does not support.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 64, num_block: int = 16) -> None:
        super().__init__(scales, num_feat, num_block)
        del self.conv_hr

    def _depth(self) -> int:
        return super()._depth() - 1

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        scale = self.select_scale(scale)
        features = self.body(self.lrelu(self.conv_first(lr)))
        features = self.lrelu(self.pixel_shuffle(self.upconv1(features)))
        if scale == 4:
            features = self.lrelu(self.pixel_shuffle(self.upconv2(features)))
        enlarged = F.interpolate(lr, scale_factor=scale, mode="bilinear", align_corners=False)
        return cast(Tensor, self.conv_last(features) + enlarged)


@register_backbone
def msrresnet(scales: tuple[int, ...]) -> MSRResNet:
    """Build basicsr's MSRResNet: 16 blocks of 64 features (1,517,571 parameters at x4)."""
    return MSRResNet(scales)


@register_backbone
def srresnet(scales: tuple[int, ...]) -> SRResNet:
    """Build the SRResNet of SMSR's tables: 16 blocks of 64 features (1,480,643 parameters at x4)."""
    return SRResNet(scales)


@register_backbone
def srresnet_tiny(scales: tuple[int, ...]) -> SRResNet:
    """Build a tiny SRResNet of 4 blocks of 16 features for quick runs and tests; not a published network."""
    return SRResNet(scales, num_feat=16, num_block=4)
