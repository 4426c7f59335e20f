"""SRResNet with batch normalisation, as compressed by the authors of Basis and DHP."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone

__all__ = ["SRResNetBN", "srresnet_bn"]

# The upsampler enlarges by these factors, one after the other.
_FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}


class NormalisedBlock(nn.Module):
    """Two convolutions with batch normalisation and a PReLU between them, and a skip connection.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(num_feat)
        self.act = nn.PReLU()
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(num_feat)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return cast(Tensor, x + self.norm2(self.conv2(self.act(self.norm1(self.conv1(x))))))


class SRResNetBN(Backbone):
    """SRResNet (Ledig et al., CVPR 2017) with a 3x3 last convolution and no skip from the input image.

    Its blocks are not sites for masks, because batch normalisation after a masked convolution would change its zeros.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_block: Number of residual blocks.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 64, num_block: int = 16) -> None:
        if len(scales) != 1 or scales[0] not in _FACTORS:
            raise ConfigError(f"SRResNet is a network for one scale of 2, 3, 4; got {', '.join(map(str, scales))}")
        super().__init__(scales)
        self.head = nn.Sequential(nn.Conv2d(3, num_feat, 9, padding=4), nn.PReLU())
        self.body = nn.ModuleList(NormalisedBlock(num_feat) for _ in range(num_block))
        self.merge = nn.Sequential(nn.Conv2d(num_feat, num_feat, 3, padding=1), nn.BatchNorm2d(num_feat))
        enlarging: list[nn.Module] = []
        for factor in _FACTORS[scales[0]]:
            enlarging += [
                nn.Conv2d(num_feat, num_feat * factor**2, 3, padding=1),
                nn.PixelShuffle(factor),
                nn.PReLU(),
            ]
        self.tail = nn.Sequential(*enlarging, nn.Conv2d(num_feat, 3, 3, padding=1))
        # In inference: 4 pixels for the 9x9 entry, one for each convolution on LR, less than 2 for the upsampler.
        self.receptive_field = 4 + 2 * num_block + 1 + 2
        depth = 1 + 2 * num_block + 1 + len(_FACTORS[scales[0]]) + 1
        self.architecture = Architecture(depth, num_feat, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions of the residual blocks, in one bank and two tie classes."""
        return [
            SharingSite(f"body.{block}.{conv}", kind="conv", bank="body", tie=conv, step=(block,))
            for block in range(len(self.body))
            for conv in ("conv1", "conv2")
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        features = entry = self.head(lr)
        for block in self.body:
            features = block(features)
        return cast(Tensor, self.tail(self.merge(features) + entry))


@register_backbone
def srresnet_bn(scales: tuple[int, ...]) -> SRResNetBN:
    """Build SRResNet with batch normalisation: 16 blocks of 64 features (1,535,638 parameters at x4)."""
    return SRResNetBN(scales)
