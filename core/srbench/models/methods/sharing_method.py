"""What a sharing method is. Torch is imported only for type checking: names and arguments need none."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from srbench.errors import SharingError
from srbench.registry.names import Value, value_from_object

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor, nn

    from srbench.models.backbone import Backbone
    from srbench.models.sites import SharingSite

    Identity = Callable[[str, tuple[int, ...], int], tuple[Backbone, Backbone] | None]

__all__ = ["SharingMethod", "SiteGroup"]


@dataclass(frozen=True)
class SiteGroup:
    """Sites that a method treats together: those of one bank, or of one tied layer.

    Attributes:
        name: A key for the shared module, unique within the network.
        sites: The sites, in the network's order.
        sources: Sites whose layers the shared module uses and that stay as they are.
    """

    name: str
    sites: tuple[SharingSite, ...]
    sources: tuple[SharingSite, ...] = ()


class SharingMethod:
    """Replace the modules at a network's sharing sites so that they share weights.

    A subclass takes its arguments as keyword parameters of its constructor, keeps each under the parameter's name,
    checks them there (raising `ConfigError`), and overrides `groups`, `build` and `replace`; the rest has defaults. A
    method's module imports torch only inside its functions, so that model names can be checked without it.

    Attributes:
        kinds: The kinds of sites that the method takes: of `conv`, `tconv`, `block`.
        initial: Arguments that decide initial weights only: weights of one initialisation load into another's model.
        measured_folded: Whether what the method adds is for training alone, and evaluations and runs measure the folded
            network.
    """

    kinds: frozenset[str] = frozenset({"conv"})
    initial: frozenset[str] = frozenset()
    measured_folded: bool = False

    def config(self) -> dict[str, Value]:
        """Return the arguments that make this instance, defaults filled in, None left out."""
        names = inspect.signature(type(self)).parameters
        return {name: value_from_object(getattr(self, name)) for name in names if getattr(self, name) is not None}

    def takes(self, site: SharingSite) -> bool:
        """Say whether the method acts on a site (default: one of its kinds that belongs to a bank)."""
        return site.kind in self.kinds and site.bank is not None

    def groups(self, sites: Sequence[SharingSite]) -> list[SiteGroup]:
        """Choose which sites the method takes and which of them share (default: one group per bank)."""
        by_bank: dict[str, list[SharingSite]] = {}
        for site in sites:
            if site.bank is not None and self.takes(site):
                by_bank.setdefault(site.bank, []).append(site)
        return [SiteGroup(bank, tuple(members)) for bank, members in by_bank.items()]

    def build(self, group: SiteGroup, modules: Mapping[str, nn.Module], scales: tuple[int, ...]) -> nn.Module | None:
        """Make what the group's layers share; None where they share nothing.

        Args:
            group: The sites.
            modules: Path -> the module there now, of sites and sources, whose shape, weights and bias may be used.
            scales: The scales of a multi-scale network, each with coefficients of its own.

        Raises:
            SharingError: The sites cannot share this way; the message names layer and dimension.
        """
        return None

    def replace(
        self, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
    ) -> nn.Module:
        """Return the module that takes the place of `module` at a site; `scales` are the scales that use the site."""
        raise NotImplementedError

    def applied(self, model: Backbone) -> None:
        """Do what needs the whole network, after the modules at its sites have been replaced."""

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module | None:
        """Return a plain layer that computes the same for one scale, or None where folding would cost more work."""
        return None

    def auxiliary_loss(self, model: Backbone) -> Tensor | None:
        """Return a loss to add to the reconstruction loss, or None."""
        return None

    def on_step(self, model: Backbone, iteration: int, total: int) -> None:
        """Do what a schedule asks at the start of an iteration, counted from 1."""

    def kernels_at_once(
        self, model: Backbone, scale: int, dtype: torch.dtype, layout: torch.memory_format
    ) -> AbstractContextManager[None]:
        """Return a context in which layers that make their kernels from shared parts find them made.

        A training on a GPU enters it for each forward pass. A method whose layers multiply small matrices may do it for
        all of them in one product; gradients must flow as they do without. Default: each layer makes its own.

        Args:
            model: The network; the scale is selected.
            scale: The scale of the forward pass; layers that it leaves out need no kernel.
            dtype: What the convolutions compute in.
            layout: The memory layout that they prefer for kernels.
        """
        return nullcontext()

    def executed_macs(self, model: Backbone, lr: Tensor, scale: int | None) -> list[int] | None:
        """Return what inference executes for each image of a batch, where the method's masks skip some of the work.

        `Backbone.executed_macs` says what counts. Default: None, nothing is skipped.
        """
        return None

    def identities(self) -> Mapping[str, Identity]:
        """Return name -> a pair of networks that must compute the same, such as a setting that shares nothing.

        Each is a function of a backbone's name, scales and a seed; it returns two networks, made with that seed, or
        None where it says nothing of that backbone. They are checked by name, before every measurement of the method,
        whatever its arguments. Default: none.
        """
        return {}

    def expected_failures(self) -> Mapping[str, str]:
        """Return conformance check -> why the method fails it by design; it is an error if the check then passes."""
        return {}

    def require_sites(self, groups: Sequence[SiteGroup], backbone: str) -> None:
        """Refuse a network without a site that the method takes.

        Raises:
            SharingError: There is no group.
        """
        if not groups:
            kinds = " or ".join(sorted(self.kinds))
            raise SharingError(
                f"method '{type(self).__name__.lower()}' acts on sites of kind {kinds}, and '{backbone}' declares "
                "none; "
                "choose another backbone or method"
            )
