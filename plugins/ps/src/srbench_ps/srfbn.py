"""SRFBN-S (Li et al., CVPR 2019), its feedback unrolled over the time steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.plugin import Architecture, Backbone, ConfigError, SharingSite, mean_shift, register_backbone, tie

__all__ = ["SRFBN", "srfbn_s"]

_KERNEL_SIZE = {2: 6, 3: 7, 4: 8}
# The network works on pixel values, not on 0..1.
_VALUE_RANGE = 255.0

Conv = nn.Conv2d | nn.ConvTranspose2d


class Activated(nn.Module):
    """A (transposed) convolution followed by a PReLU with one slope.

    Args:
        conv: The convolution.
    """

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        self.conv = conv
        self.act = nn.PReLU(init=0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated features."""
        return self.act(self.conv(x))  # type: ignore[no-any-return]


class TimeStep(nn.Module):
    """One use of the feedback block and of the reconstruction after it.

    Each group upsamples the features and downsamples them again; its input includes the outputs of all previous
    groups.

    Args:
        num_feat: Features.
        num_group: Groups of an up- and a down-sampling convolution.
        scale: The scale.
    """

    def __init__(self, num_feat: int, num_group: int, scale: int) -> None:
        super().__init__()
        kernel_size = _KERNEL_SIZE[scale]

        def pointwise(parts: int) -> Activated:
            return Activated(nn.Conv2d(parts * num_feat, num_feat, 1))

        def enlarging() -> Activated:
            return Activated(nn.ConvTranspose2d(num_feat, num_feat, kernel_size, scale, padding=2))

        def shrinking() -> Activated:
            return Activated(nn.Conv2d(num_feat, num_feat, kernel_size, scale, padding=2))

        groups = range(num_group)
        self.compress_in = pointwise(2)
        # The first group has nothing to merge.
        self.up_merges = nn.ModuleList(pointwise(group + 1) for group in groups[1:])
        self.ups = nn.ModuleList(enlarging() for _ in groups)
        self.down_merges = nn.ModuleList(pointwise(group + 1) for group in groups[1:])
        self.downs = nn.ModuleList(shrinking() for _ in groups)
        self.compress_out = pointwise(num_group)
        self.out = enlarging()
        self.conv_out = nn.Conv2d(num_feat, 3, 3, padding=1)

    def forward(self, features: Tensor, hidden: Tensor) -> Tensor:
        """Return the hidden state `(N, C, h, w)` after this step, of the LR features and the state before."""
        small = [self.compress_in(torch.cat([features, hidden], 1))]
        large: list[Tensor] = []
        for group, (up, down) in enumerate(zip(self.ups, self.downs, strict=True)):
            merged = torch.cat(small, 1)
            large.append(up(self.up_merges[group - 1](merged) if group else merged))
            merged = torch.cat(large, 1)
            small.append(down(self.down_merges[group - 1](merged) if group else merged))
        return self.compress_out(torch.cat(small[1:], 1))  # type: ignore[no-any-return]

    def residual(self, hidden: Tensor) -> Tensor:
        """Return what the step adds to the enlarged image, `(N, 3, s*h, s*w)`."""
        return self.conv_out(self.out(hidden))  # type: ignore[no-any-return]

    def layers(self) -> list[tuple[str, str, int | None]]:
        """Return path, kind and group (None outside the groups) of the step's convolutions, as they are executed."""
        found: list[tuple[str, str, int | None]] = [("compress_in.conv", "conv", None)]
        for group in range(len(self.ups)):
            if group:
                found.append((f"up_merges.{group - 1}.conv", "conv", group))
            found.append((f"ups.{group}.conv", "tconv", group))
            if group:
                found.append((f"down_merges.{group - 1}.conv", "conv", group))
            found.append((f"downs.{group}.conv", "conv", group))
        return [*found, ("compress_out.conv", "conv", None), ("out.conv", "tconv", None), ("conv_out", "conv", None)]


class SRFBN(Backbone):
    """A feedback network: each time step refines the features with the state of the step before and returns an image.

    All steps are one natively. Partial filter-Sharing acts on the down-sampling convolutions only, each with a PReLU
    of its own and without a bias, as its authors have it.

    Args:
        scales: One scale of 2, 3, 4.
        num_feat: Features.
        num_step: Time steps.
        num_group: Groups in the feedback block.

    Raises:
        ConfigError: Several scales, or one other than 2, 3, 4.
    """

    def __init__(self, scales: tuple[int, ...], num_feat: int = 32, num_step: int = 4, num_group: int = 3) -> None:
        if len(scales) != 1 or scales[0] not in _KERNEL_SIZE:
            raise ConfigError(f"SRFBN is a network for one scale of 2, 3, 4; got {', '.join(map(str, scales))}")
        super().__init__(scales)
        self.sub_mean, self.add_mean = mean_shift(-1, _VALUE_RANGE), mean_shift(1, _VALUE_RANGE)
        self.conv_in = Activated(nn.Conv2d(3, 4 * num_feat, 3, padding=1))
        self.feat_in = Activated(nn.Conv2d(4 * num_feat, num_feat, 1))
        self.receptive_field = 1 + num_step * num_group * _reach(scales[0], 0) + _reach(scales[0], 1)
        # A step has four convolutions in each group but the first, which merges nothing, and one at either end.
        depth = 2 + num_step * 4 * num_group + 2
        self.architecture = Architecture(depth=depth, filters=num_feat, global_skip=True, local_skips=True)
        self.steps = nn.ModuleList(TimeStep(num_feat, num_group, scales[0]) for _ in range(num_step))
        for module in self.modules():
            if isinstance(module, Conv) and module.weight.requires_grad:  # all but the mean shifts
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        tie(self, self.sharing_sites())

    def sharing_sites(self) -> list[SharingSite]:
        """Return the convolutions of all time steps: one bank of the down-sampling ones, steps tied.

        A group's up- and downsampling kernels have the same shape, so they may be each other's adjoint.
        """
        sites = []
        for number, step in enumerate(self.steps):
            assert isinstance(step, TimeStep)  # a module list forgets its type
            for path, kind, group in step.layers():
                layer = path.removesuffix(".conv")
                down = layer.startswith("downs.")
                sites.append(
                    SharingSite(
                        f"steps.{number}.{path}",
                        kind=kind,
                        bank="downs" if down else None,
                        tie=layer.replace(".", "_"),
                        step=(number,) if group is None else (number, group),
                        companions=() if layer == path else (f"steps.{number}.{layer}.act",),
                        bias="none",
                        place=int(down),
                        adjoint="projections" if down or layer.startswith("ups.") else None,
                    )
                )
        return sites

    def forward(self, lr: Tensor, scale: int | None = None) -> list[Tensor]:
        """Return an SR image `(N, 3, s*h, s*w)` for each time step, of LR images `(N, 3, h, w)` in 0..1."""
        scale = self.select_scale(scale)
        shifted = self.sub_mean(lr * _VALUE_RANGE)
        enlarged = F.interpolate(shifted, scale_factor=scale, mode="bilinear", align_corners=False)
        hidden = features = self.feat_in(self.conv_in(shifted))
        outputs = []
        for step in self.steps:
            assert isinstance(step, TimeStep)
            hidden = step(features, hidden)
            outputs.append(self.add_mean(enlarged + step.residual(hidden)) / _VALUE_RANGE)
        return outputs

    def loss(self, outputs: Any, targets: Any, criterion: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Return the mean of the criterion over the time steps (paper: Eq. 10, all weights 1)."""
        return torch.stack([criterion(output, targets) for output in outputs]).mean()

    def image(self, outputs: Any) -> Tensor:
        """Return the SR image of the last time step."""
        image: Tensor = outputs[-1]
        return image


def _reach(scale: int, after: int) -> int:
    """Return how many LR pixels an up-sampling convolution reaches, together with what comes after it.

    Args:
        scale: The scale.
        after: Half the width of the convolution on large features after it: 0 for a down-sampling one of the same
            kernel, which makes them small again.
    """
    kernel_size, padding = _KERNEL_SIZE[scale], 2
    # Large pixels that one LR pixel is made of, and LR pixels that a large one is made of.
    first, last = (-padding, kernel_size - 1 - padding) if not after else (-after, scale - 1 + after)
    lowest = -((kernel_size - 1 - padding - first) // scale)
    highest = (last + padding) // scale
    return max(-lowest, highest)


@register_backbone
def srfbn_s(scales: tuple[int, ...]) -> SRFBN:
    """Build SRFBN-S: 4 time steps, 3 groups, 32 features (282,442 parameters at x2)."""
    return SRFBN(scales)
