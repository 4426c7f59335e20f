"""LMLT (Kim, Nang and Choe, 2024): window attention at four resolutions, from the coarsest to the finest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone
from srbench_zoo.parts import pixel_shuffle_tail, single_scale
from srbench_zoo.sizes import cropped, from_windows, mirrored, to_windows

__all__ = ["LMLT", "lmlt_tiny"]

_LEVELS = 4
_WINDOW = 8


class ChannelNorm(nn.Module):
    """Normalise every pixel over its channels, then scale and shift the channels.

    Args:
        num_feat: Channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_feat))
        self.bias = nn.Parameter(torch.zeros(num_feat))

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        last = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, eps=1e-6)
        return last.permute(0, 3, 1, 2)


class WindowAttention(nn.Module):
    """Single-head attention within windows of 8x8 pixels, without shifts or position biases.

    Args:
        num_feat: Channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(num_feat, 3 * num_feat)
        self.local = nn.Conv2d(num_feat, num_feat, 3, padding=1, groups=num_feat)
        self.proj = nn.Linear(num_feat, num_feat)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`; height and width are multiples of 8."""
        channels = x.shape[1]
        query, key, value = self.qkv(to_windows(x, _WINDOW)).chunk(3, dim=-1)
        scores = (query * channels**-0.5) @ key.transpose(1, 2)
        attended = scores.softmax(-1) @ value
        # The convolution sees one window at a time, padded with zeros at the window's border.
        image = value.transpose(1, 2).reshape(-1, channels, _WINDOW, _WINDOW)
        attended = attended + self.local(image).flatten(2).transpose(1, 2)
        return from_windows(self.proj(attended), x.shape, _WINDOW)


class MultiLevelAttention(nn.Module):
    """Window attention on four groups of channels, each pooled to half the size of the previous one.

    The output of a level is added to the input of the next finer level.

    Args:
        num_feat: Channels, a multiple of 4.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(WindowAttention(num_feat // _LEVELS) for _ in range(_LEVELS))
        self.fuse = nn.Conv2d(num_feat, num_feat, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`; height and width are multiples of 64."""
        parts = x.chunk(_LEVELS, dim=1)
        outputs: list[Tensor] = []
        coarser = None
        for level in reversed(range(_LEVELS)):
            part = F.max_pool2d(parts[level], 2**level) if level else parts[level]
            if coarser is not None:
                part = part + F.interpolate(coarser, scale_factor=2, mode="nearest")
            coarser = self.levels[level](part)
            outputs.append(F.interpolate(coarser, scale_factor=2**level, mode="nearest") if level else coarser)
        return F.gelu(self.fuse(torch.cat(outputs, 1))) * x


class TransformerBlock(nn.Module):
    """Multi-level attention, then a channel mixer, each with a normalisation before it and a skip over both.

    Args:
        num_feat: Channels, a multiple of 4.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(num_feat)
        self.attention = MultiLevelAttention(num_feat)
        self.norm2 = ChannelNorm(num_feat)
        self.mixer = nn.Sequential(
            nn.Conv2d(num_feat, 2 * num_feat, 3, padding=1), nn.GELU(), nn.Conv2d(2 * num_feat, num_feat, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`; height and width are multiples of 64."""
        features = self.attention(self.norm1(x)) + x
        return self.mixer(self.norm2(features)) + features  # type: ignore[no-any-return]


class LMLT(Backbone):
    """Transformer blocks in a chain, with one skip over all of them.

    Images are padded by reflection at the right and the bottom to multiples of 64 LR pixels. Features are cropped
    before the last convolution, which therefore does not see the padding.

    Source: Kim, Nang and Choe, "LMLT: Low-to-high Multi-Level Vision Transformer for Image Super-Resolution", 2024
    (arXiv 2409.03516).

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, a multiple of 4.
        num_block: Number of blocks.

    Raises:
        ConfigError: More than one scale, an unsupported one, or `num_feat` not a multiple of 4.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 36, num_block: int = 8) -> None:
        scale = single_scale("LMLT", scales)
        if num_feat % _LEVELS:
            raise ConfigError(f"LMLT splits its features in {_LEVELS}; got num_feat={num_feat}")
        super().__init__(scales)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        self.body = nn.Sequential(*(TransformerBlock(num_feat) for _ in range(num_block)))
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        # Each level has three layers in a row, and levels follow one another; then a fusing layer and the mixer's two.
        self.architecture = Architecture(depth=(3 * _LEVELS + 3) * num_block + 2, filters=num_feat, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the two convolutions of each block's mixer, in two banks."""
        return [
            SharingSite(f"body.{block}.mixer.{layer}", kind="conv", bank=f"mixer_{name}", tie=name, step=(block,))
            for block in range(len(self.body))
            for layer, name in ((0, "widen"), (2, "narrow"))
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        height, width = lr.shape[2:]
        multiple = _WINDOW * 2 ** (_LEVELS - 1)
        entry = self.entry(mirrored(mirrored(lr, 2, multiple), 3, multiple))
        return self.upsample(cropped(self.body(entry) + entry, height, width))  # type: ignore[no-any-return]


@register_backbone
def lmlt_tiny(scales: tuple[int, ...]) -> LMLT:
    """Build LMLT-Tiny: 8 blocks of 36 features (239,340 / 244,215 / 251,040 parameters at x2 / x3 / x4)."""
    return LMLT(scales)
