"""MS-LapSRN (Lai et al., TPAMI 2018): one recursive block for all levels, one network for all scales."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import SharingSite, register_backbone, tie
from srbench_tied_tconv.laplacian import LEAK, LaplacianPyramid, UpConv, enlarging_filter, initialise

__all__ = [
    "MSLapSRN",
    "ms_lapsrn_r2",
    "ms_lapsrn_r5",
    "ms_lapsrn_r8",
    "ms_lapsrn_r8_ds",
    "ms_lapsrn_r8_ns",
    "ms_lapsrn_tiny",
]

Skip = Literal["shared", "distinct", "none"]


class Block(nn.Module):
    """One use of the recursive block: leaky ReLU and convolution, several times.

    Args:
        num_conv: Convolutions.
        num_feat: Features.
    """

    def __init__(self, num_conv: int, num_feat: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(num_feat, num_feat, 3, padding=1) for _ in range(num_conv))

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, h, w)`."""
        for conv in self.convs:
            x = conv(F.leaky_relu(x, LEAK))
        return x


class Level(nn.Module):
    """One level: the recursive block several times, then enlarged.

    Args:
        num_block: Uses of the block.
        num_conv: Convolutions in it.
        num_feat: Features.
        skip: What is added to a block's output: the level's input (`shared`), the block's own (`distinct`), or nothing.
    """

    def __init__(self, num_block: int, num_conv: int, num_feat: int, skip: Skip) -> None:
        super().__init__()
        self.skip = skip
        self.blocks = nn.ModuleList(Block(num_conv, num_feat) for _ in range(num_block))
        self.up = UpConv(num_feat)
        self.residual = nn.Conv2d(num_feat, 1, 3, padding=1)
        self.image_up = enlarging_filter()

    def forward(self, features: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(N, C, 2h, 2w)` and the image `(N, 1, 2h, 2w)`."""
        source = features
        for block in self.blocks:
            made = block(features)
            if self.skip == "shared":
                made = made + source
            elif self.skip == "distinct":
                made = made + features
            features = made
        features = self.up(F.leaky_relu(features, LEAK))
        return features, self.image_up(image) + self.residual(features)


class MSLapSRN(LaplacianPyramid):
    """A Laplacian pyramid network whose size does not depend on the scale: blocks and levels are one natively.

    Args:
        scales: Any of 2, 4, 8.
        num_block: Uses of the recursive block in a level (R).
        num_conv: Convolutions in the block (D).
        num_feat: Features.
        skip: The local skip connections: from a `shared` source (the paper's SS), from `distinct` sources (DS), or
            `none` (NS).

    Raises:
        ConfigError: Another scale.
    """

    for_all_scales = True

    def __init__(
        self,
        scales: tuple[int, ...],
        num_block: int = 8,
        num_conv: int = 5,
        num_feat: int = 64,
        skip: Skip = "shared",
    ) -> None:
        self._skip = skip
        super().__init__(scales, num_block * num_conv, num_feat)
        self.entry = nn.Conv2d(1, num_feat, 3, padding=1)
        self.levels = nn.ModuleList(Level(num_block, num_conv, num_feat, skip) for _ in range(self.num_level))
        initialise(self, self.entry)
        tie(self, self.sharing_sites())

    @property
    def has_local_skips(self) -> bool:
        """Whether there are skip connections within a level."""
        return self._skip != "none"

    def sharing_sites(self) -> list[SharingSite]:
        """Return all convolutions of all levels; one bank of those of the blocks and what enlarges their features."""
        sites = []
        for number, level in enumerate(self.levels):
            assert isinstance(level, Level)  # a module list forgets its type
            path = f"levels.{number}"
            scales = tuple(scale for scale in self.scales if scale >= 2 ** (number + 1))
            for step, block in enumerate(level.blocks):
                assert isinstance(block, Block)
                sites += [
                    SharingSite(
                        f"{path}.blocks.{step}.convs.{index}",
                        kind="conv",
                        bank="blocks",
                        tie=f"conv{index + 1}",
                        step=(number, step),
                        bias="tied",
                        place=index + 1,
                        adjoint="blocks",
                        scales=scales,
                    )
                    for index in range(len(block.convs))
                ]
            sites += [
                SharingSite(
                    f"{path}.up.conv",
                    kind="tconv",
                    bank="blocks",
                    tie="up",
                    step=(number,),
                    bias="tied",
                    adjoint="blocks",
                    scales=scales,
                ),
                SharingSite(f"{path}.residual", kind="conv", bank=None, tie="residual", step=(number,), scales=scales),
                SharingSite(f"{path}.image_up", kind="tconv", bank=None, tie="image_up", step=(number,), scales=scales),
            ]
        return sites

    def drop_other_scales(self, scale: int) -> None:
        """Remove the levels beyond a scale."""
        self.levels = self.levels[: scale.bit_length() - 1]

    def at_scale(self, scale: int) -> MSLapSRN:
        """Return a copy that holds only what one scale deploys."""
        view = super().at_scale(scale)
        view._describe()
        return view

    def luma(self, luma: Tensor, scale: int) -> tuple[Tensor, ...]:
        """Return the luma of every level up to the scale's."""
        features = self.entry(luma)
        images = []
        for level in self.levels[: scale.bit_length() - 1]:
            features, luma = level(features, luma)
            images.append(luma)
        return tuple(images)


@register_backbone
def ms_lapsrn_r2(scales: tuple[int, ...]) -> MSLapSRN:
    """Build MS-LapSRN with 2 uses of the recursive block a level (222,801 parameters at every scale)."""
    return MSLapSRN(scales, num_block=2)


@register_backbone
def ms_lapsrn_r5(scales: tuple[int, ...]) -> MSLapSRN:
    """Build MS-LapSRN with 5 uses of the recursive block a level (222,801 parameters at every scale)."""
    return MSLapSRN(scales, num_block=5)


@register_backbone
def ms_lapsrn_r8(scales: tuple[int, ...]) -> MSLapSRN:
    """Build MS-LapSRN with 8 uses of the recursive block a level (222,801 parameters at every scale)."""
    return MSLapSRN(scales, num_block=8)


@register_backbone
def ms_lapsrn_r8_ds(scales: tuple[int, ...]) -> MSLapSRN:
    """Build MS-LapSRN whose 8 blocks add their own input each, not that of the level."""
    return MSLapSRN(scales, num_block=8, skip="distinct")


@register_backbone
def ms_lapsrn_r8_ns(scales: tuple[int, ...]) -> MSLapSRN:
    """Build MS-LapSRN without local skip connections."""
    return MSLapSRN(scales, num_block=8, skip="none")


@register_backbone
def ms_lapsrn_tiny(scales: tuple[int, ...]) -> MSLapSRN:
    """Build a small MS-LapSRN, for trainings on a CPU: 2 uses of the block a level, 32 features (56,113 parameters)."""
    return MSLapSRN(scales, num_block=2, num_feat=32)
