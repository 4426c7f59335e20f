"""IMDN (Hui et al., ACM MM 2019): blocks that split off a quarter of their channels after each convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, BlockSpec, ConfigError, SharingSite, register_backbone
from srbench_zoo.attention import ContrastAttention
from srbench_zoo.parts import pixel_shuffle_tail, single_scale

__all__ = ["IMDN", "DistillationBlock", "imdn", "imdn_tiny"]

_SLOPE = 0.05
_CONVS = ("conv1", "conv2", "conv3", "conv4")


class DistillationBlock(nn.Module):
    """Four convolutions; some channels are split off after each, and these are fused and added to the input.

    Args:
        num_feat: Feature channels.
        num_kept: Channels split off after each convolution.
        reduction: Channel reduction factor of the attention.
    """

    def __init__(self, num_feat: int, num_kept: int, reduction: int) -> None:
        super().__init__()
        self.num_kept = num_kept
        passed_on = num_feat - num_kept
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv2 = nn.Conv2d(passed_on, num_feat, 3, padding=1)
        self.conv3 = nn.Conv2d(passed_on, num_feat, 3, padding=1)
        self.conv4 = nn.Conv2d(passed_on, num_kept, 3, padding=1)
        self.gather = nn.Sequential(
            ContrastAttention(4 * num_kept, reduction),
            nn.Conv2d(4 * num_kept, num_feat, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        kept = []
        features = x
        for conv in (self.conv1, self.conv2, self.conv3):
            features = F.leaky_relu(conv(features), _SLOPE)
            left, features = features.tensor_split([self.num_kept], dim=1)
            kept.append(left)
        kept.append(self.conv4(features))
        return self.gather(torch.cat(kept, 1)) + x  # type: ignore[no-any-return]


class IMDN(Backbone):
    """Information multi-distillation blocks; the outputs of all blocks are fused before a sub-pixel upsampler.

    Source: Hui, Gao, Yang and Wang, "Lightweight Image Super-Resolution with Information Multi-distillation Network",
    ACM MM 2019.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, a multiple of 4; a quarter is split off after each convolution.
        num_block: Number of blocks.
        reduction: Channel reduction factor of the blocks' attention.

    Raises:
        ConfigError: More than one scale, an unsupported one, or `num_feat` not a multiple of 4.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 64, num_block: int = 6, reduction: int = 16) -> None:
        scale = single_scale("IMDN", scales)
        if num_feat % 4:
            raise ConfigError(f"IMDN splits its features in four; got num_feat={num_feat}")
        super().__init__(scales)
        self.num_feat = num_feat
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        self.body = nn.ModuleList(DistillationBlock(num_feat, num_feat // 4, reduction) for _ in range(num_block))
        self.fuse = nn.Conv2d(num_block * num_feat, num_feat, 1)
        self.tail = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        self.architecture = Architecture(depth=5 * num_block + 4, filters=num_feat, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return each block and its four convolutions, the latter in three banks, one for each shape."""
        parts = BlockSpec(convs=_CONVS, splits=(self.num_feat // 4,) * 4, gather="gather")
        banks = {"conv1": "body_first", "conv2": "body_middle", "conv3": "body_middle", "conv4": "body_last"}
        sites = []
        for block in range(len(self.body)):
            path = f"body.{block}"
            sites.append(SharingSite(path, kind="block", bank="blocks", tie="block", step=(block,), parts=parts))
            sites += [
                SharingSite(f"{path}.{conv}", kind="conv", bank=banks[conv], tie=conv, step=(block,)) for conv in _CONVS
            ]
        return sites

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        features = entry = self.entry(lr)
        outputs = []
        for block in self.body:
            features = block(features)
            outputs.append(features)
        merged = F.leaky_relu(self.fuse(torch.cat(outputs, 1)), _SLOPE)
        return self.upsample(self.tail(merged) + entry)  # type: ignore[no-any-return]


@register_backbone
def imdn(scales: tuple[int, ...]) -> IMDN:
    """Build IMDN: 6 blocks of 64 features (694,404 / 703,059 / 715,176 parameters at x2 / x3 / x4)."""
    return IMDN(scales)


@register_backbone
def imdn_tiny(scales: tuple[int, ...]) -> IMDN:
    """Build a tiny IMDN of 2 blocks of 16 features for quick runs and tests; not a published network."""
    return IMDN(scales, num_feat=16, num_block=2, reduction=4)
