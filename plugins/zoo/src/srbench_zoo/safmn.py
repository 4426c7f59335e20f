"""SAFMN (Sun et al., ICCV 2023) as submitted to NTIRE 2023, and SAFMN++ of NTIRE 2024: multi-scale modulation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone
from srbench_zoo.parts import single_scale
from srbench_zoo.sizes import adaptive_max

__all__ = ["SAFMN", "SAFMNPlusPlus", "safmn_ntire23", "safmnpp"]


def _depthwise(num_feat: int) -> nn.Conv2d:
    return nn.Conv2d(num_feat, num_feat, 3, padding=1, groups=num_feat, bias=False)


def _mixer(num_feat: int, num_hidden: int) -> nn.Sequential:
    """Make a convolution to hidden channels, a GELU and a 1x1 convolution back."""
    return nn.Sequential(
        nn.Conv2d(num_feat, num_hidden, 3, padding=1, bias=False),
        nn.GELU(),
        nn.Conv2d(num_hidden, num_feat, 1, bias=False),
    )


class ResponseNorm(nn.Module):
    """Scale channels by their norm over the image, relative to the other channels' norms.

    Args:
        num_feat: Channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, num_feat, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, num_feat, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        norm: Tensor = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)
        return self.gamma * (x * (norm / (norm.mean(1, keepdim=True) + 1e-6))) + self.beta + x


class PyramidModulation(nn.Module):
    """Scale features by weights computed from them, a quarter of the channels at full size and the others pooled.

    Args:
        num_feat: Channels, a multiple of 4.
    """

    # Pooling factors of the second, third and fourth quarter.
    _DIVISORS = (4, 8, 16)

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_depthwise(num_feat // 4) for _ in range(4))
        self.fuse = nn.Conv2d(num_feat, num_feat, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        first, *others = x.chunk(4, dim=1)
        parts = [self.convs[0](first)]
        for conv, part, divisor in zip(list(self.convs)[1:], others, self._DIVISORS, strict=True):
            parts.append(F.interpolate(conv(adaptive_max(part, divisor)), x.shape[2:], mode="nearest"))
        return F.gelu(self.fuse(torch.cat(parts, 1))) * x


class ModulationBlock(nn.Module):
    """Modulation, then a channel mixer, each with a skip.

    Args:
        num_feat: Channels, a multiple of 4.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.modulation = PyramidModulation(num_feat)
        self.mixer = _mixer(num_feat, 2 * num_feat)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        features = self.modulation(x) + x
        return self.mixer(features) + features  # type: ignore[no-any-return]


class SAFMN(Backbone):
    """Blocks of multi-scale modulation, added to the bilinearly enlarged image.

    This is the authors' entry to NTIRE 2023: one normalisation over the image before all blocks instead of the paper's
    layer normalisation inside them, and biases only in the first and the last convolution.

    Source: Sun, Dong, Tang and Pan, "Spatially-Adaptive Feature Modulation for Efficient Image Super-Resolution", ICCV
    2023.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, a multiple of 4.
        num_block: Number of blocks.

    Raises:
        ConfigError: More than one scale, an unsupported one, or `num_feat` not a multiple of 4.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 36, num_block: int = 8) -> None:
        scale = single_scale("SAFMN", scales)
        if num_feat % 4:
            raise ConfigError(f"SAFMN splits its features in four; got num_feat={num_feat}")
        super().__init__(scales)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        self.norm = ResponseNorm(num_feat)
        self.body = nn.Sequential(*(ModulationBlock(num_feat) for _ in range(num_block)))
        self.upsample = nn.Sequential(nn.Conv2d(num_feat, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))
        self.architecture = Architecture(depth=4 * num_block + 2, filters=num_feat, global_skip=True, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the two convolutions of each block's mixer, in two banks."""
        return _mixer_sites(len(self.body))

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        scale = self.select_scale(scale)
        detail = self.upsample(self.body(self.norm(self.entry(lr))))
        return detail + F.interpolate(lr, scale_factor=scale, mode="bilinear", align_corners=False)  # type: ignore[no-any-return]


class SimpleModulation(nn.Module):
    """A convolution, a third of whose output channels are scaled by weights from their pooled values; then 1x1.

    Args:
        num_feat: Channels, a multiple of 3.
    """

    # Pooling factor.
    _DIVISOR = 8

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.num_modulated = num_feat // 3
        self.entry = nn.Conv2d(num_feat, num_feat, 3, padding=1, bias=False)
        self.weigh = _depthwise(self.num_modulated)
        self.fuse = nn.Conv2d(num_feat, num_feat, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        modulated, others = self.entry(x).tensor_split([self.num_modulated], dim=1)
        weight = self.weigh(adaptive_max(modulated, self._DIVISOR))
        weight = F.interpolate(weight, x.shape[2:], mode="bilinear", align_corners=False)
        # The modulated channels are split off first and concatenated last, as in the authors' code.
        return self.fuse(F.gelu(torch.cat([others, modulated * F.gelu(weight)], 1)))  # type: ignore[no-any-return]


class SimpleModulationBlock(nn.Module):
    """Modulation, then a channel mixer, with one skip over both.

    Args:
        num_feat: Channels, a multiple of 6.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.modulation = SimpleModulation(num_feat)
        self.mixer = _mixer(num_feat, 3 * num_feat // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return self.mixer(self.modulation(x)) + x  # type: ignore[no-any-return]


class SAFMNPlusPlus(Backbone):
    """SAFMN with a single modulated part, preceded by a convolution, and without biases.

    Source: Ren et al., "The Ninth NTIRE 2024 Efficient Super-Resolution Challenge Report", CVPRW 2024, team 23.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, a multiple of 6.
        num_block: Number of blocks.

    Raises:
        ConfigError: More than one scale, an unsupported one, or `num_feat` not a multiple of 6.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 36, num_block: int = 6) -> None:
        scale = single_scale("SAFMN++", scales)
        if num_feat % 6:
            raise ConfigError(f"SAFMN++ takes a third of its features, and half as many more; got num_feat={num_feat}")
        super().__init__(scales)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1, bias=False)
        self.body = nn.Sequential(*(SimpleModulationBlock(num_feat) for _ in range(num_block)))
        self.upsample = nn.Sequential(
            nn.Conv2d(num_feat, 3 * scale**2, 3, padding=1, bias=False), nn.PixelShuffle(scale)
        )
        self.architecture = Architecture(depth=5 * num_block + 2, filters=num_feat, global_skip=True, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the first convolution of each block and the two of its mixer, in three banks."""
        entries = [
            SharingSite(f"body.{block}.modulation.entry", kind="conv", bank="entries", tie="entry", step=(block,))
            for block in range(len(self.body))
        ]
        mixers = _mixer_sites(len(self.body))
        return [
            site
            for block, entry in enumerate(entries)
            for site in (entry, *(mixer for mixer in mixers if mixer.step == (block,)))
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        scale = self.select_scale(scale)
        detail = self.upsample(self.body(self.entry(lr)))
        return detail + F.interpolate(lr, scale_factor=scale, mode="bilinear", align_corners=False)  # type: ignore[no-any-return]


def _mixer_sites(num_block: int) -> list[SharingSite]:
    return [
        SharingSite(f"body.{block}.mixer.{layer}", kind="conv", bank=f"mixer_{name}", tie=name, step=(block,))
        for block in range(num_block)
        for layer, name in ((0, "widen"), (2, "narrow"))
    ]


@register_backbone
def safmn_ntire23(scales: tuple[int, ...]) -> SAFMN:
    """Build NTIRE 2023's SAFMN: 8 blocks of 36 features (225,300 / 230,175 / 237,000 parameters at x2 / x3 / x4)."""
    return SAFMN(scales)


@register_backbone
def safmnpp(scales: tuple[int, ...]) -> SAFMNPlusPlus:
    """Build SAFMN++: 6 blocks of 36 features (199,908 / 204,768 / 211,572 parameters at x2 / x3 / x4)."""
    return SAFMNPlusPlus(scales)
