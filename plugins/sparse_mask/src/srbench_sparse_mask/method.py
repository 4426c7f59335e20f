"""Method `sparse_mask`: skip computation at unimportant positions and channels (SMSR, Wang et al., CVPR 2021)."""

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
# The authors' schedule in epochs: total, linear decay of the temperature from 1 to 0 (clamped at 0.4), warm-up.
_EPOCHS, _COOLING, _WARM_UP = 1000, 500, 50
_LOWEST_TEMPERATURE = 0.4
# The authors' pixel values are in 0..255 and ours in 0..1, and so is the loss that the regularisation is added to.
_VALUE_RANGE = 255


def temperature_at(iteration: int, total: int) -> float:
    """Return the temperature of the Gumbel softmax: falls from 1 to 0.4 over the first 30% of the training."""
    return max(1 - _epoch(iteration, total) / _COOLING, _LOWEST_TEMPERATURE)


def warm_up_at(iteration: int, total: int) -> float:
    """Return the warm-up factor of the regularisation: rises from 0 to 1 over the first 5% of the training."""
    return min(_epoch(iteration, total) / _WARM_UP, 1.0)


def _epoch(iteration: int, total: int) -> float:
    return (iteration - 1) * _EPOCHS / total


@register_method(name="sparse_mask")
class SparseMask(SharingMethod):
    """Mask the convolutions of blocks: compute sparse channels only where a spatial mask is on.

    Args:
        channel: Selection of the dense channels, computed everywhere: `static` (learned), `dynamic` (predicted for each
            image) or `none`.
        spatial: Selection of the positions where the other channels are computed: `learned` (predicted from features)
            or `gradient` (edges of the LR image).
        n_layers: Number of convolutions that share a spatial mask: a divisor of the convolutions of a block, or those
            of several whole blocks.
        weight: Weight of the mean active share relative to a loss on pixel values in 0..255, as in the authors' code.

    Raises:
        ConfigError: An argument is out of range.
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
        """Group the blocks that share a spatial mask.

        Raises:
            SharingError: `n_layers` neither divides the convolutions of a block nor covers whole blocks.
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
        """Return how many blocks like this one share a spatial mask."""
        assert site.parts is not None  # `takes` declines blocks without parts
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
        """Return whether a site is a block that declares its parts."""
        return super().takes(site) and site.parts is not None

    def build(self, group: SiteGroup, modules: Mapping[str, nn.Module], scales: tuple[int, ...]) -> nn.Module | None:
        """Return the spatial mask shared by several blocks; None for a block with its own masks."""
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
        """Let gradient masks see the LR images."""
        from srbench_sparse_mask.surgery import show_images

        show_images(model)

    def auxiliary_loss(self, model: Backbone) -> Tensor | None:
        """Return the weighted mean active share of the masks since the last call; None without training passes."""
        import torch

        from srbench_sparse_mask.block import masked_blocks

        shares = [share for _, block in masked_blocks(model) for share in block.take_active()]
        if not shares:
            return None
        return torch.cat(shares).mean() * (float(self.weight) / _VALUE_RANGE * self._warm_up)

    def on_step(self, model: Backbone, iteration: int, total: int) -> None:
        """Set the temperature and the warm-up factor, which depend on the iteration only."""
        from srbench_sparse_mask.block import masked_blocks

        self._warm_up = warm_up_at(iteration, total)
        for _, block in masked_blocks(model):
            block.temperature = temperature_at(iteration, total)

    def executed_macs(self, model: Backbone, lr: Tensor, scale: int | None) -> list[int] | None:
        """Return the executed multiply-accumulates of each image of a batch."""
        from srbench_sparse_mask.accounting import executed_macs

        return executed_macs(model, lr, scale)

    def require_sites(self, groups: Sequence[SiteGroup], backbone: str) -> None:
        """Check that the network has blocks.

        Raises:
            SharingError: There is no group.
        """
        if not groups:
            raise SharingError(
                f"method 'sparse_mask' masks whole blocks, and '{backbone}' declares no sites of kind block; choose "
                "another backbone, such as smsr, or another method"
            )
