"""CARN and CARN-M (Ahn et al., ECCV 2018), multi-scale."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, mean_shift, register_backbone, tie

__all__ = ["CARN", "carn", "carn_m"]

# Factors of the upsampler's successive stages.
_FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}


class ResidualBlock(nn.Module):
    """Two convolutions with a ReLU between them, and one after the skip connection.

    Args:
        num_feat: Features.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return F.relu(self.conv2(F.relu(self.conv1(x))) + x)


class EfficientResidualBlock(nn.Module):
    """Two grouped convolutions and a pointwise one: CARN-M's residual block.

    Args:
        num_feat: Features.
        groups: Groups of the 3x3 convolutions.
    """

    def __init__(self, num_feat: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1, groups=groups)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1, groups=groups)
        self.pointwise = nn.Conv2d(num_feat, num_feat, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return F.relu(self.pointwise(F.relu(self.conv2(F.relu(self.conv1(x))))) + x)


class Cascade(nn.Module):
    """Cascaded units: each one's input is a 1x1 convolution of the input and all previous units' outputs.

    Args:
        units: The units, from features to features.
        num_feat: Features.
    """

    def __init__(self, units: Iterable[nn.Module], num_feat: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(units)
        self.merges = nn.ModuleList(
            nn.Conv2d(num_feat * (number + 2), num_feat, 1) for number in range(len(self.units))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        collected = merged = x
        for unit, merge in zip(self.units, self.merges, strict=True):
            collected = torch.cat([collected, unit(merged)], 1)
            merged = F.relu(merge(collected))
        return merged


class CARN(Backbone):
    """A cascade of cascading blocks of residual blocks, with an upsampler for each scale.

    In CARN-M the residual blocks of a cascading block are one, natively; in CARN they are in its recursive form.

    Args:
        scales: Any of 2, 3, 4.
        num_feat: Features.
        num_block: Cascading blocks.
        num_unit: Residual blocks in each.
        groups: None for CARN; for CARN-M the groups of its 3x3 convolutions.

    Raises:
        ConfigError: A scale other than 2, 3, 4.
    """

    def __init__(
        self,
        scales: tuple[int, ...],
        num_feat: int = 64,
        num_block: int = 3,
        num_unit: int = 3,
        groups: int | None = None,
    ) -> None:
        if not scales or not set(scales) <= set(_FACTORS):
            raise ConfigError(f"CARN enlarges by 2, 3 or 4; got scale {', '.join(map(str, scales))}")
        super().__init__(scales)
        self.efficient = groups is not None
        # The entry, two 3x3 convolutions in each residual block, and two for the up-sampler and the exit.
        self.receptive_field = 1 + 2 * num_block * num_unit + 2
        unit = 4 if self.efficient else 3  # a residual block's convolutions, and the one that merges
        depth = num_block * (num_unit * unit + 1) + 2 + max(len(_FACTORS[scale]) for scale in scales)
        self.architecture = Architecture(depth=depth, filters=num_feat, multi_scale=True, local_skips=True)
        self.sub_mean, self.add_mean = mean_shift(-1), mean_shift(1)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)

        def residual_block() -> nn.Module:
            return ResidualBlock(num_feat) if groups is None else EfficientResidualBlock(num_feat, groups)

        self.body = Cascade(
            (Cascade((residual_block() for _ in range(num_unit)), num_feat) for _ in range(num_block)), num_feat
        )
        self.upsample = nn.ModuleDict({f"x{scale}": _upsampler(scale, num_feat, groups or 1) for scale in scales})
        self.exit = nn.Conv2d(num_feat, 3, 3, padding=1)
        if self.efficient:
            tie(self, self.sharing_sites())

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions of the residual blocks: one bank of the 3x3 ones, ties within a cascading block."""
        return [
            SharingSite(
                f"body.units.{block}.units.{unit}.{conv}",
                kind="conv",
                bank=None if conv == "pointwise" else "body",
                tie=f"block{block}_{conv}",
                step=(block, unit),
                bias="per_scale",
            )
            for block, cascade in enumerate(self.body.units)
            for unit in range(len(cascade.units))  # type: ignore[arg-type]  # a module list
            for conv in ("conv1", "conv2", *(["pointwise"] if self.efficient else []))
        ]

    def drop_other_scales(self, scale: int) -> None:
        """Remove the upsamplers of other scales."""
        self.upsample = nn.ModuleDict({f"x{scale}": self.upsample[f"x{scale}"]})

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        scale = self.select_scale(scale)
        features = self.body(self.entry(self.sub_mean(lr)))
        return self.add_mean(self.exit(self.upsample[f"x{scale}"](features)))  # type: ignore[no-any-return]


def _upsampler(scale: int, num_feat: int, groups: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for factor in _FACTORS[scale]:
        layers += [
            nn.Conv2d(num_feat, num_feat * factor**2, 3, padding=1, groups=groups),
            nn.ReLU(),
            nn.PixelShuffle(factor),
        ]
    return nn.Sequential(*layers)


@register_backbone
def carn(scales: tuple[int, ...]) -> CARN:
    """Build CARN: 3 cascading blocks of 3 residual blocks (1,591,963 parameters at x2, x3 and x4 together)."""
    return CARN(scales)


@register_backbone
def carn_m(scales: tuple[int, ...]) -> CARN:
    """Build CARN-M: convolutions in 4 groups, residual blocks shared within a cascading block (414,811 parameters)."""
    return CARN(scales, groups=4)
