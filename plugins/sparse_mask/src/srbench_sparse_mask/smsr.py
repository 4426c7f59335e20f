"""SMSR (Wang et al., CVPR 2021): a single-scale network with sparse masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, BlockSpec, ConfigError, SharingSite, mean_shift, register_backbone
from srbench_sparse_mask.engine import sparse_features
from srbench_sparse_mask.method import SparseMask
from srbench_sparse_mask.surgery import infers_sparsely, mask_natively

__all__ = ["SMM", "SMSR", "ChannelAttention", "smsr", "smsr_tiny"]

_VALUE_RANGE = 255


class ChannelAttention(nn.Module):
    """Scale channels by factors predicted from their means over the image.

    Args:
        num_feat: Feature channels.
        reduction: Channel reduction factor inside the attention.
    """

    def __init__(self, num_feat: int, reduction: int = 16) -> None:
        super().__init__()
        inner = max(num_feat // reduction, 1)
        self.layers = nn.Sequential(
            nn.Conv2d(num_feat, inner, 1), nn.ReLU(inplace=True), nn.Conv2d(inner, num_feat, 1), nn.Sigmoid()
        )

    def scales(self, means: Tensor) -> Tensor:
        """Return the factors `(N, C, 1, 1)` of channels with means `(N, C, 1, 1)`."""
        factors: Tensor = self.layers(means)
        return factors

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, h, w)`."""
        return x * self.scales(x.mean((2, 3), keepdim=True))


class SMM(nn.Module):
    """A sparse mask module without its masks, which the method adds.

    Args:
        num_feat: Feature channels.
        num_layer: Number of convolutions in a row; the last layer fuses all their outputs.
    """

    def __init__(self, num_feat: int, num_layer: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(num_feat, num_feat, 3, padding=1, bias=False) for _ in range(num_layer))
        self.collect = nn.Conv2d(num_feat * num_layer, num_feat, 1)
        self.attention = ChannelAttention(num_feat)

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, h, w)`."""
        collected, features = [], x
        for conv in self.convs:
            features = F.relu_(conv(features))
            collected.append(features)
        return self.attention(self.collect(torch.cat(collected, 1))) + x  # type: ignore[no-any-return]


class SMSR(Backbone):
    """Five sparse mask modules between a head and a tail, with the masks of method `sparse_mask` built in.

    Args:
        scales: One of the scales 2, 3, 4.
        num_feat: Feature channels.
        num_module: Number of sparse mask modules.
        num_layer: Number of masked convolutions in each.

    Raises:
        ConfigError: More than one scale, or an unsupported one.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 64, num_module: int = 5, num_layer: int = 4) -> None:
        if len(scales) != 1 or scales[0] not in (2, 3, 4):
            raise ConfigError(f"SMSR is a network for one scale of 2, 3, 4; got {', '.join(map(str, scales))}")
        super().__init__(scales)
        self.num_layer = num_layer
        self.sub_mean, self.add_mean = mean_shift(-1, _VALUE_RANGE), mean_shift(1, _VALUE_RANGE)
        self.head = nn.Sequential(
            nn.Conv2d(3, num_feat, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(num_feat, num_feat, 3, padding=1)
        )
        self.body = nn.ModuleList(SMM(num_feat, num_layer) for _ in range(num_module))
        self.collect = nn.Sequential(
            nn.Conv2d(num_feat * num_module, num_feat, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_feat, num_feat, 3, padding=1),
        )
        self.tail = nn.Sequential(nn.Conv2d(num_feat, 3 * scales[0] ** 2, 3, padding=1), nn.PixelShuffle(scales[0]))
        # Each module has one more, fusing layer; outside them are 2 layers of the head, 2 of `collect`, and the tail.
        depth = num_module * (num_layer + 1) + 5
        self.architecture = Architecture(depth=depth, filters=num_feat, global_skip=True, local_skips=True)
        self.native = SparseMask(n_layers=num_layer)
        mask_natively(self, self.native)

    def sharing_sites(self) -> list[SharingSite]:
        """Return each sparse mask module (a block) and its convolutions, the latter all in one bank."""
        convs = tuple(f"convs.{index}" for index in range(self.num_layer))
        parts = BlockSpec(convs=convs, gather="collect")
        sites = []
        for number in range(len(self.body)):
            path, step = f"body.{number}", (number,)
            sites.append(SharingSite(path, kind="block", bank="modules", tie="module", step=step, parts=parts))
            sites += [
                SharingSite(f"{path}.block.{conv}.conv", kind="conv", bank="body", tie=conv.replace(".", ""), step=step)
                for conv in convs
            ]
        return sites

    def masks(self) -> SparseMask:
        """Return the method that controls the network's masks: the applied one or else the built-in one."""
        return self.method if isinstance(self.method, SparseMask) else self.native

    def executed_macs(self, lr: Tensor, scale: int | None = None) -> list[int] | None:
        """Return the executed multiply-accumulates of each image of a batch."""
        return self.masks().executed_macs(self, lr, scale)

    def auxiliary_loss(self) -> Tensor | None:
        """Return the weighted mean active share of the masks."""
        return self.masks().auxiliary_loss(self)

    def on_step(self, iteration: int, total: int) -> None:
        """Set temperature and regularisation as scheduled for an iteration."""
        self.masks().on_step(self, iteration, total)

    def merged(self, features: Tensor) -> Tensor:
        """Apply the modules, and the layer fusing their outputs, to features `(N, C, h, w)`."""
        collected = []
        for module in self.body:
            features = module(features)
            collected.append(features)
        return self.collect[0](torch.cat(collected, 1))  # type: ignore[no-any-return]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return SR images `(N, 3, s*h, s*w)` of LR images `(N, 3, h, w)` in 0..1."""
        scale = self.select_scale(scale)
        shifted = self.sub_mean(lr * _VALUE_RANGE)
        first = self.head(shifted)
        if not self.training and not lr.is_meta and infers_sparsely(self):
            merged = torch.cat([sparse_features(self, image, number) for number, image in enumerate(first.split(1))])
        else:
            merged = self.merged(first)
        residual = self.tail(self.collect[1:](merged) + first)
        enlarged = F.interpolate(shifted, scale_factor=scale, mode="bicubic", align_corners=False)
        return self.add_mean(residual + enlarged) / _VALUE_RANGE  # type: ignore[no-any-return]


@register_backbone
def smsr(scales: tuple[int, ...]) -> SMSR:
    """Build SMSR: 5 modules of 4 masked convolutions of 64 features (987,330 parameters at x2)."""
    return SMSR(scales)


@register_backbone
def smsr_tiny(scales: tuple[int, ...]) -> SMSR:
    """Build a tiny SMSR of 3 modules of 16 features for quick runs and tests; not a published network."""
    return SMSR(scales, num_feat=16, num_module=3)
