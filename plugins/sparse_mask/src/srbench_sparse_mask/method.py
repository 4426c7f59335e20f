"""Method `sparse_mask`: compute only where and in which channels it matters (SMSR, Wang et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from srbench.plugin import ConfigError, SharingError, SharingMethod, SiteGroup, register_method

if TYPE_CHECKING:
    from torch import Tensor, nn

    from srbench.plugin import Backbone, SharingSite

__all__ = ["SparseMask"]

CHANNEL = ("static", "dynamic", "none")
SPATIAL = ("learned", "gradient")
# The authors' training, in epochs: all of it, until the temperature is lowest, until the regularisation is full.
_EPOCHS, _COOLING, _WARM_UP = 1000, 500, 50
_LOWEST_TEMPERATURE = 0.4
# The authors' pixels are 0..255 and ours 0..1: so is the loss that the regularization is added to.
_VALUE_RANGE = 255


def temperature_at(iteration: int, total: int) -> float:
    """Return the temperature of the Gumbel softmax: 1 at first, falling to 0.4 at three tenths of the training."""
    return max(1 - _epoch(iteration, total) / _COOLING, _LOWEST_TEMPERATURE)


def warm_up_at(iteration: int, total: int) -> float:
    """Return the share of the regularisation: 0 at first, 1 from a twentieth of the training on."""
    return min(_epoch(iteration, total) / _WARM_UP, 1.0)


def _epoch(iteration: int, total: int) -> float:
    return (iteration - 1) * _EPOCHS / total


@register_method(name="sparse_mask")
class SparseMask(SharingMethod):
    """Mask the convolutions of blocks: sparse channels only where a spatial mask is on.

    Args:
        channel: Which channels are computed everywhere: a `static` choice that is learned, a `dynamic` one that is
            predicted from each image, or `none`.
        spatial: Where the other channels are computed: `learned`, predicted from features; or `gradient`, at the edges
            of the LR image.
        n_layers: Convolutions that share one spatial mask; it divides the convolutions of a block, or spans whole
            blocks.
        weight: Weight of the mean active share beside the loss on pixel values 0..255, as the authors count it.

    Raises:
        ConfigError: An argument is out of its range.
    """

    kinds = frozenset({"block"})

    def __init__(
        self,
        *,
        channel: str = "static",
        spatial: str = "learned",
        n_layers: int = 4,
        weight: Fraction | int = Fraction(1, 10),
    ) -> None:
        for name, value, known in (("channel", channel, CHANNEL), ("spatial", spatial, SPATIAL)):
            if value not in known:
                raise ConfigError(f"{name}={value} is an unknown kind of mask; give one of {', '.join(known)}")
        if isinstance(n_layers, bool) or not isinstance(n_layers, int) or n_layers < 1:
            raise ConfigError(f"n_layers={n_layers} is not a whole number of at least 1")
        if isinstance(weight, bool | str) or weight < 0:
            raise ConfigError(f"weight={weight} is not a number of at least 0")
        self.channel, self.spatial, self.n_layers = channel, spatial, n_layers
        self.weight = Fraction(weight)
        self._warm_up = warm_up_at(1, 1)

    def groups(self, sites: Sequence[SharingSite]) -> list[SiteGroup]:
        """Group the blocks that have one spatial mask together.

        Raises:
            SharingError: `n_layers` does not divide the convolutions of a block, nor do whole blocks make it up.
        """
        groups: list[SiteGroup] = []
        for bank in super().groups(sites):
            spans = {self._span(site) for site in bank.sites}
            if len(spans) > 1 or len(bank.sites) % max(spans):
                raise SharingError(
                    f"n_layers={self.n_layers} does not divide the {len(bank.sites)} blocks of '{bank.name}' evenly: "
                    f"a spatial mask would span {max(spans)} of them; give another n_layers"
                )
            span = len(bank.sites) if self.spatial == "gradient" else spans.pop()
            groups += [
                SiteGroup(
                    bank.name if span == len(bank.sites) else f"{bank.name}_{first}", bank.sites[first : first + span]
                )
                for first in range(0, len(bank.sites), span)
            ]
        return groups

    def _span(self, site: SharingSite) -> int:
        """Return how many blocks like this one have a spatial mask together."""
        assert site.parts is not None  # `takes` declines a block that does not say
        convs = len(site.parts.convs)
        if convs % self.n_layers == 0:
            return 1
        if self.n_layers % convs == 0:
            return self.n_layers // convs
        raise SharingError(
            f"n_layers={self.n_layers} does not divide the {convs} convolutions of the block '{site.path}'; give a "
            f"divisor or a multiple of {convs}"
        )

    def takes(self, site: SharingSite) -> bool:
        """Take the blocks that say what they consist of."""
        return super().takes(site) and site.parts is not None

    def build(self, group: SiteGroup, modules: Mapping[str, nn.Module], scales: tuple[int, ...]) -> nn.Module | None:
        """Make the spatial mask of several blocks; None for a block with masks of its own."""
        from srbench_sparse_mask.surgery import shared_mask

        return shared_mask(self, group, modules)

    def replace(
        self, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
    ) -> nn.Module:
        """Return the block with its masks.

        Raises:
            SharingError: A layer cannot be masked; the message names it.
        """
        from srbench_sparse_mask.surgery import masked

        return masked(self, site, module, shared)

    def applied(self, model: Backbone) -> None:
        """Show the LR image to what takes its mask from there."""
        from srbench_sparse_mask.surgery import show_images

        show_images(model)

    def auxiliary_loss(self, model: Backbone) -> Tensor | None:
        """Return the weighted mean active share of the masks since the last call; None where nothing was drawn."""
        import torch

        from srbench_sparse_mask.block import masked_blocks

        shares = [share for _, block in masked_blocks(model) for share in block.take_active()]
        if not shares:
            return None
        return torch.cat(shares).mean() * (float(self.weight) / _VALUE_RANGE * self._warm_up)

    def on_step(self, model: Backbone, iteration: int, total: int) -> None:
        """Set temperature and share of the regularisation, which the iteration alone decides."""
        from srbench_sparse_mask.block import masked_blocks

        self._warm_up = warm_up_at(iteration, total)
        for _, block in masked_blocks(model):
            block.temperature = temperature_at(iteration, total)

    def executed_macs(self, model: Backbone, lr: Tensor, scale: int | None) -> list[int] | None:
        """Return the multiply-accumulates that the masks leave, for each image of a batch."""
        from srbench_sparse_mask.accounting import executed_macs

        return executed_macs(model, lr, scale)

    def require_sites(self, groups: Sequence[SiteGroup], backbone: str) -> None:
        """Refuse a network without blocks.

        Raises:
            SharingError: There is no group.
        """
        if not groups:
            raise SharingError(
                f"method 'sparse_mask' masks whole blocks, and '{backbone}' declares no sites of kind block; choose "
                "another backbone, such as smsr, or another method"
            )
