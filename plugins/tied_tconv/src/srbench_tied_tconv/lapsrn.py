"""LapSRN (Lai et al., CVPR 2017): a Laplacian pyramid, each level with layers of its own."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import ConfigError, SharingSite, register_backbone
from srbench_tied_tconv.laplacian import LEAK, LaplacianPyramid, UpConv, enlarging_filter, initialise

__all__ = ["LapSRN", "lapsrn"]


class Level(nn.Module):
    """One level: a leaky ReLU after each convolution, and after the one that enlarges.

    Args:
        num_conv: Convolutions before it enlarges.
        num_feat: Features.
    """

    def __init__(self, num_conv: int, num_feat: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(num_feat, num_feat, 3, padding=1) for _ in range(num_conv))
        self.up = UpConv(num_feat)
        self.residual = nn.Conv2d(num_feat, 1, 3, padding=1)
        self.image_up = enlarging_filter()

    def forward(self, features: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(N, C, 2h, 2w)` and the image `(N, 1, 2h, 2w)`."""
        for conv in self.convs:
            features = F.leaky_relu(conv(features), LEAK)
        features = F.leaky_relu(self.up(features), LEAK)
        return features, self.image_up(image) + self.residual(features)


class LapSRN(LaplacianPyramid):
    """A Laplacian pyramid network for one scale, on luma.

    Args:
        scales: One of 2, 4, 8.
        num_conv: Convolutions in each level; the authors' 10, or 5 at x8, where it is not given.
        num_feat: Features.

    Raises:
        ConfigError: Several scales, or another one.
    """

    def __init__(self, scales: tuple[int, ...], num_conv: int | None = None, num_feat: int = 64) -> None:
        if len(scales) != 1:
            raise ConfigError(f"LapSRN is a network for one scale of 2, 4, 8; got {', '.join(map(str, scales))}")
        if num_conv is None:
            num_conv = 5 if scales[0] == 8 else 10
        super().__init__(scales, num_conv, num_feat)
        self.entry = nn.Conv2d(1, num_feat, 3, padding=1)
        self.levels = nn.ModuleList(Level(num_conv, num_feat) for _ in range(self.num_level))
        initialise(self, self.entry)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions of all levels and what enlarges their features: one bank, nothing tied natively."""
        sites = []
        for number, level in enumerate(self.levels):
            assert isinstance(level, Level)  # a module list forgets its type
            path = f"levels.{number}"
            sites += [
                SharingSite(
                    f"{path}.convs.{index}",
                    kind="conv",
                    bank="levels",
                    tie=f"conv{index + 1}",
                    step=(number,),
                    place=index + 1,
                    adjoint="levels",
                )
                for index in range(len(level.convs))
            ]
            sites.append(
                SharingSite(f"{path}.up.conv", kind="tconv", bank="levels", tie="up", step=(number,), adjoint="levels")
            )
        return sites

    def luma(self, luma: Tensor, scale: int) -> tuple[Tensor, ...]:
        """Return the luma of every level."""
        features = F.leaky_relu(self.entry(luma), LEAK)
        images = []
        for level in self.levels:
            features, luma = level(features, luma)
            images.append(luma)
        return tuple(images)


@register_backbone
def lapsrn(scales: tuple[int, ...]) -> LapSRN:
    """Build LapSRN: 10 layers a level, 5 at x8 (407,441 / 814,242 / 667,123 parameters at x2 / x4 / x8)."""
    return LapSRN(scales)
