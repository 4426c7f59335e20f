"""SPAN, SPANF and ESPAN: blocks with parameter-free attention, a function of their own output."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, SharingSite, register_backbone
from srbench_zoo.parts import pixel_shuffle_tail, single_scale

__all__ = ["ESPAN", "SPAN", "SPANF", "SwiftAttentionBlock", "espan", "span", "span_c28", "spanf"]

# SPAN's input is (image - mean) * 255; its output is an image in 0..1, without shift or scaling.
_MEAN = (0.4488, 0.4371, 0.4040)
_RANGE = 255
_CONVS = ("conv1", "conv2", "conv3")


def _attended(out: Tensor, x: Tensor) -> Tensor:
    """Return the sum of a block's last output and its input, scaled by an odd function of the output."""
    return (out + x) * (torch.sigmoid(out) - 0.5)


class SwiftAttentionBlock(nn.Module):
    """Three convolutions, whose output is added to the input and scaled by an odd function of the output.

    Source: Wan et al., CVPRW 2024, section 3.1.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv3 = nn.Conv2d(num_feat, num_feat, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return self.refine(x, self.enter(x))

    def enter(self, x: Tensor) -> Tensor:
        """Return the activated output of the first convolution, `(N, C, H, W)`."""
        return F.silu(self.conv1(x))

    def refine(self, x: Tensor, entered: Tensor) -> Tensor:
        """Return the block's output `(N, C, H, W)` from its input and the result of `enter`."""
        return _attended(self.conv3(F.silu(self.conv2(entered))), x)


def _block_sites(blocks: range) -> list[SharingSite]:
    """Return the convolutions of blocks in `body`, all of the same shape and in one bank."""
    return [
        SharingSite(f"body.{block}.{conv}", kind="conv", bank="body", tie=conv, step=(block,))
        for block in blocks
        for conv in _CONVS
    ]


class SPAN(Backbone):
    """Blocks with parameter-free attention; features from four depths are fused before the upsampler.

    The published code applies its activations in place, so that the feature it takes from inside the last block is the
    first convolution's output after the activation. Here this is explicit.

    Source: Wan et al., "Swift Parameter-free Attention Network for Efficient Super-Resolution", CVPRW 2024.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels: 48 in the paper, 28 in the network that won NTIRE 2024.
        num_block: Number of blocks.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    mean: Tensor

    def __init__(self, scales: tuple[int, ...], num_feat: int = 48, num_block: int = 6) -> None:
        scale = single_scale("SPAN", scales)
        super().__init__(scales)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.entry = nn.Conv2d(3, num_feat, 3, padding=1)
        self.body = nn.ModuleList(SwiftAttentionBlock(num_feat) for _ in range(num_block))
        self.tail = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.fuse = nn.Conv2d(4 * num_feat, num_feat, 1)
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        self.architecture = Architecture(depth=3 * num_block + 4, filters=num_feat, local_skips=True)
        self.receptive_field = 3 * num_block + 3

    def sharing_sites(self) -> list[SharingSite]:
        """Return the three convolutions of each block, all of the same shape and in one bank."""
        return _block_sites(range(len(self.body)))

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        features = entry = self.entry((lr - self.mean) * _RANGE)
        first = entered = entry
        for number, block in enumerate(self._blocks()):
            entered = block.enter(features)
            features = block.refine(features, entered)
            first = first if number else features
        return self.upsample(self.fuse(torch.cat([entry, self.tail(features), first, entered], 1)))  # type: ignore[no-any-return]

    def _blocks(self) -> list[SwiftAttentionBlock]:
        return list(self.body)  # type: ignore[arg-type]  # a ModuleList has no element type


class ImageBlock(nn.Module):
    """Three convolutions from an image to features: SPANF's first block, without skip or attention.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, num_feat, 3, padding=1)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv3 = nn.Conv2d(num_feat, num_feat, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)` of images `(N, 3, H, W)`."""
        return self.conv3(F.silu(self.conv2(F.silu(self.conv1(x)))))  # type: ignore[no-any-return]


class SPANF(Backbone):
    """SPAN without an entry convolution: the first block takes the image, which is also fused with the features.

    For this, a depthwise convolution, initialised as nearest-neighbour enlargement, expands the image's channels.

    Source: Ren et al., "The Tenth NTIRE 2025 Efficient Super-Resolution Challenge Report", CVPRW 2025, team 24.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_block: Number of blocks, including the one that takes the image.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 32, num_block: int = 5) -> None:
        scale = single_scale("SPANF", scales)
        super().__init__(scales)
        self.nearest = nn.Conv2d(3, 3 * scale**2, 3, padding=1, groups=3, bias=False)
        with torch.no_grad():
            self.nearest.weight.zero_()[:, :, 1, 1] = 1
        self.body = nn.ModuleList(
            [ImageBlock(num_feat), *(SwiftAttentionBlock(num_feat) for _ in range(num_block - 1))]
        )
        self.fuse = nn.Conv2d(2 * num_feat + 3 * scale**2, num_feat, 1)
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        self.architecture = Architecture(depth=3 * num_block + 2, filters=num_feat, local_skips=True)
        self.receptive_field = 3 * num_block + 1

    def sharing_sites(self) -> list[SharingSite]:
        """Return the three convolutions of each block except the first, all of the same shape and in one bank."""
        return _block_sites(range(1, len(self.body)))

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        features, outputs = lr, []
        for block in self.body:
            features = block(features)
            outputs.append(features)
        return self.upsample(self.fuse(torch.cat([self.nearest(lr), features, outputs[0]], 1)))  # type: ignore[no-any-return]


class ShortAttentionBlock(nn.Module):
    """Two convolutions and the attention of `SwiftAttentionBlock`: ESPAN's last block.

    Args:
        num_feat: Feature channels.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, H, W)`."""
        return _attended(self.conv2(F.silu(self.conv1(x))), x)


class ESPAN(Backbone):
    """SPAN with a 9x9 entry convolution and a last block of two convolutions, without mean subtraction.

    Source: Wang et al., "Expanded SPAN for Efficient Super-Resolution", CVPRW 2025.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_block: Number of blocks of three convolutions.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 32, num_block: int = 5) -> None:
        scale = single_scale("ESPAN", scales)
        super().__init__(scales)
        self.entry = nn.Conv2d(3, num_feat, 9, padding=4)
        self.body = nn.ModuleList(SwiftAttentionBlock(num_feat) for _ in range(num_block))
        self.last = ShortAttentionBlock(num_feat)
        self.tail = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.fuse = nn.Conv2d(4 * num_feat, num_feat, 1)
        self.upsample = pixel_shuffle_tail(num_feat, scale)
        self.architecture = Architecture(depth=3 * num_block + 6, filters=num_feat, local_skips=True)
        self.receptive_field = 3 * num_block + 8

    def sharing_sites(self) -> list[SharingSite]:
        """Return the three convolutions of each block except the last, all of the same shape and in one bank."""
        return _block_sites(range(len(self.body)))

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        self.select_scale(scale)
        features = entry = self.entry(lr)
        outputs = []
        for block in self.body:
            features = block(features)
            outputs.append(features)
        last = self.last(features)
        return self.upsample(self.fuse(torch.cat([entry, self.tail(last), outputs[0], last], 1)))  # type: ignore[no-any-return]


@register_backbone
def span(scales: tuple[int, ...]) -> SPAN:
    """Build SPAN: 6 blocks of 48 features (410,700 / 417,195 / 426,288 parameters at x2 / x3 / x4)."""
    return SPAN(scales)


@register_backbone
def span_c28(scales: tuple[int, ...]) -> SPAN:
    """Build the SPAN that won NTIRE 2024: 28 features (141,580 / 145,375 / 150,688 parameters at x2 / x3 / x4)."""
    return SPAN(scales, num_feat=28)


@register_backbone
def spanf(scales: tuple[int, ...]) -> SPANF:
    """Build SPANF: 5 blocks of 32 features (136,444 / 141,379 / 148,288 parameters at x2 / x3 / x4)."""
    return SPANF(scales)


@register_backbone
def espan(scales: tuple[int, ...]) -> ESPAN:
    """Build ESPAN: 5 blocks of 32 features (181,868 / 186,203 / 192,272 parameters at x2 / x3 / x4)."""
    return ESPAN(scales)
