"""SMFANet (Zheng et al., ECCV 2024): modulation by pooled features and their variance, with a local branch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, register_backbone
from srbench_zoo.parts import pixel_shuffle_tail, single_scale
from srbench_zoo.sizes import adaptive_max

__all__ = ["SMFANet", "smfanet", "smfanet_plus"]

# Features are pooled to an eighth of the image's height and width.
_POOLING = 8
# A quarter of the hidden channels of the feed-forward part passes through its 3x3 convolution.
_PARTIAL = 4
_FLOOR = 1e-12

# Path in a block and bank of each convolution; those of the same shape share a bank.
_CONVS = (
    ("modulation.split", "expand"),
    ("modulation.local.depthwise", "depthwise_local"),
    ("modulation.local.pointwise", "pointwise"),
    ("modulation.local.reduce", "reduce"),
    ("modulation.context", "depthwise_context"),
    ("modulation.weigh", "mix"),
    ("modulation.merge", "mix"),
    ("feed_forward.expand", "expand"),
    ("feed_forward.partial", "partial"),
    ("feed_forward.reduce", "reduce"),
)


def _variance(x: Tensor) -> Tensor:
    """Return the unbiased variance of each channel over the image, `(N, C, 1, 1)`; zero for one pixel."""
    squares = (x - x.mean((2, 3), keepdim=True)).square().sum((2, 3), keepdim=True)
    return squares / torch.sym_max(x.shape[2] * x.shape[3] - 1, 1)  # type: ignore[no-any-return]


class LocalDetail(nn.Module):
    """A grouped 3x3 convolution to twice the channels and two 1x1 convolutions.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(num_feat, 2 * num_feat, 3, padding=1, groups=num_feat)
        self.pointwise = nn.Conv2d(2 * num_feat, 2 * num_feat, 1)
        self.reduce = nn.Conv2d(2 * num_feat, num_feat, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return self.reduce(F.gelu(self.pointwise(self.depthwise(x))))  # type: ignore[no-any-return]


class Modulation(nn.Module):
    """Self-modulation: half the channels are scaled by their pooled context; a local branch processes the other half.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.split = nn.Conv2d(num_feat, 2 * num_feat, 1)
        self.local = LocalDetail(num_feat)
        self.context = nn.Conv2d(num_feat, num_feat, 3, padding=1, groups=num_feat)
        self.weigh = nn.Conv2d(num_feat, num_feat, 1)
        self.merge = nn.Conv2d(num_feat, num_feat, 1)
        self.context_scale = nn.Parameter(torch.ones(1, num_feat, 1, 1))
        self.variance_scale = nn.Parameter(torch.zeros(1, num_feat, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        near, far = self.split(x).chunk(2, 1)
        height, width = x.shape[2:]
        context = self.context(adaptive_max(far, _POOLING)) * self.context_scale + _variance(far) * self.variance_scale
        context = F.interpolate(F.gelu(self.weigh(context)), (height, width), mode="nearest")
        return self.merge(far * context + self.local(near))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """A 1x1 convolution to twice the channels, a 3x3 one on a quarter of them, and a 1x1 one back.

    Args:
        num_feat: Feature channels, an even number.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.num_partial = 2 * num_feat // _PARTIAL
        self.expand = nn.Conv2d(num_feat, 2 * num_feat, 1)
        self.partial = nn.Conv2d(self.num_partial, self.num_partial, 3, padding=1)
        self.reduce = nn.Conv2d(2 * num_feat, num_feat, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        partial, rest = F.gelu(self.expand(x)).tensor_split([self.num_partial], dim=1)
        return self.reduce(torch.cat([F.gelu(self.partial(partial)), rest], 1))  # type: ignore[no-any-return]


class ModulationBlock(nn.Module):
    """Self-modulation, then the feed-forward part, each with a skip and on features normalised to unit length.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.modulation = Modulation(num_feat)
        self.feed_forward = FeedForward(num_feat)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        x = self.modulation(F.normalize(x, eps=_FLOOR)) + x
        return self.feed_forward(F.normalize(x, eps=_FLOOR)) + x  # type: ignore[no-any-return]


class SMFANet(Backbone):
    """Modulation blocks in a chain, with one skip over all of them.

    Because of the variance over the image, every output pixel depends on the whole image. Images under 8 pixels, which
    the authors' code rejects, are pooled to one pixel.

    Source: Zheng, Sun, Dong and Pan, "SMFANet: A Lightweight Self-Modulation Feature Aggregation Network for Efficient
    Image Super-Resolution", ECCV 2024.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels, an even number.
        num_block: Number of blocks.

    Raises:
        ConfigError: More than one scale, an unsupported one, or an odd `num_feat`.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 36, num_block: int = 8) -> None:
        scale = single_scale("SMFANet", scales)
        if num_feat % 2:
            raise ConfigError(f"SMFANet takes a quarter of twice its features; got num_feat={num_feat}, an odd number")
        super().__init__(scales)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        self.body = nn.Sequential(*(ModulationBlock(num_feat) for _ in range(num_block)))
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        self.architecture = Architecture(depth=8 * num_block + 2, filters=num_feat, local_skips=True)

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions of each block, one bank per shape."""
        return [
            SharingSite(f"body.{block}.{path}", kind="conv", bank=bank, tie=path, step=(block,))
            for block in range(len(self.body))
            for path, bank in _CONVS
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        entry = self.entry(lr)
        return self.upsample(self.body(entry) + entry)  # type: ignore[no-any-return]


@register_backbone
def smfanet(scales: tuple[int, ...]) -> SMFANet:
    """Build SMFANet: 8 blocks of 36 features (185,628 / 190,503 / 197,328 parameters at x2 / x3 / x4)."""
    return SMFANet(scales)


@register_backbone
def smfanet_plus(scales: tuple[int, ...]) -> SMFANet:
    """Build SMFANet+: 12 blocks of 48 features (480,300 / 486,795 / 495,888 parameters at x2 / x3 / x4)."""
    return SMFANet(scales, num_feat=48, num_block=12)
