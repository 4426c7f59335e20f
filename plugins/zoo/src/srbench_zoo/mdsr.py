"""MDSR (Lim et al., CVPRW 2017): one deep body for three scales, with scale-specific entry blocks and upsamplers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, mean_shift, register_backbone
from srbench_zoo.parts import shuffle_reach

__all__ = ["MDSR", "mdsr"]

_VALUE_RANGE = 255.0
# An upsampler enlarges by these factors, one after the other.
_FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}


class ResidualBlock(nn.Module):
    """Two convolutions with a ReLU between them, and a skip over both.

    Args:
        num_feat: Feature channels.
        kernel_size: Kernel size of the convolutions.
    """

    def __init__(self, num_feat: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, kernel_size, padding=kernel_size // 2)
        self.conv2 = nn.Conv2d(num_feat, num_feat, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return self.conv2(F.relu(self.conv1(x))) + x  # type: ignore[no-any-return]


class MDSR(Backbone):
    """Residual blocks shared by all scales, between two 5x5 residual blocks and an upsampler per scale.

    Source: Lim, Son, Kim, Nah and Lee, "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017.

    Args:
        scales: Any of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_block: Number of residual blocks shared by the scales.

    Raises:
        ConfigError: An unsupported scale.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 64, num_block: int = 80) -> None:
        if not scales or not set(scales) <= set(_FACTORS):
            raise ConfigError(f"MDSR enlarges by 2, 3 or 4; got scale {', '.join(map(str, scales))}")
        super().__init__(scales)
        self.sub_mean, self.add_mean = mean_shift(-1, _VALUE_RANGE), mean_shift(1, _VALUE_RANGE)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        self.prepare = nn.ModuleDict(
            {
                f"x{scale}": nn.Sequential(*(ResidualBlock(num_feat, kernel_size=5) for _ in range(2)))
                for scale in scales
            }
        )
        self.body = nn.Sequential(*(ResidualBlock(num_feat) for _ in range(num_block)))
        self.tail = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.upsample = nn.ModuleDict({f"x{scale}": _upsampler(scale, num_feat) for scale in scales})
        self.exit = nn.Conv2d(num_feat, 3, 3, padding=1)
        # As in published tables: 162, the shared blocks with the first and the last layer, without per-scale layers.
        self.architecture = Architecture(depth=2 * num_block + 2, filters=num_feat, multi_scale=True, local_skips=True)

    @property
    def receptive_field(self) -> int:  # type: ignore[override]  # it depends on the scales
        """LR pixels on each side that an output pixel depends on, at the scale with the largest reach."""
        # Entry 1, two 5x5 blocks 8, each shared block 2, tail 1.
        return 10 + 2 * len(self.body) + max(shuffle_reach(_FACTORS[scale], 1) for scale in self.scales)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions of the shared blocks, in one bank and two tie classes."""
        return [
            SharingSite(f"body.{block}.{conv}", kind="conv", bank="body", tie=conv, step=(block,))
            for block in range(len(self.body))
            for conv in ("conv1", "conv2")
        ]

    def drop_other_scales(self, scale: int) -> None:
        """Remove the entry blocks and upsamplers of other scales."""
        key = f"x{scale}"
        self.prepare = nn.ModuleDict({key: self.prepare[key]})
        self.upsample = nn.ModuleDict({key: self.upsample[key]})

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        key = f"x{self.select_scale(scale)}"
        features = self.prepare[key](self.entry(self.sub_mean(lr * _VALUE_RANGE)))
        features = self.tail(self.body(features)) + features
        return self.add_mean(self.exit(self.upsample[key](features))) / _VALUE_RANGE  # type: ignore[no-any-return]


def _upsampler(scale: int, num_feat: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for factor in _FACTORS[scale]:
        layers += [nn.Conv2d(num_feat, num_feat * factor**2, 3, padding=1), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)


@register_backbone
def mdsr(scales: tuple[int, ...]) -> MDSR:
    """Build MDSR: 80 blocks of 64 features (7,954,011 parameters at x2, x3 and x4 together)."""
    return MDSR(scales)
