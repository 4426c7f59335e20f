"""Base class of sharing methods. Torch is imported only for type checking: names and arguments do not need it."""

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
    """Sites that a method handles together: those of one bank, or of one tied layer.

    Attributes:
        name: A key for the shared module, unique within the network.
        sites: The sites, in the network's order.
        sources: Sites whose layers the shared module uses and that are not replaced.
    """

    name: str
    sites: tuple[SharingSite, ...]
    sources: tuple[SharingSite, ...] = ()


class SharingMethod:
    """Replace the modules at a network's sharing sites so that they share weights.

    A subclass takes its arguments as keyword parameters of its constructor, checks them there (raising `ConfigError`)
    and stores each in an attribute of the same name. It overrides `groups`, `build` and `replace`; the rest has
    defaults. A method's module imports torch only inside its functions, so that model names can be checked without
    it.

    Attributes:
        kinds: The kinds of sites that the method applies to: any of `conv`, `tconv`, `block`.
        initial: Names of arguments that only affect initial weights: models that differ only in these can load each
            other's weights.
        measured_folded: Whether the method's additions are only for training, so that evaluations and runs measure
            the folded network.
    """

    kinds: frozenset[str] = frozenset({"conv"})
    initial: frozenset[str] = frozenset()
    measured_folded: bool = False

    def config(self) -> dict[str, Value]:
        """Return this instance's arguments, including defaults and without those that are None."""
        names = inspect.signature(type(self)).parameters
        return {name: value_from_object(getattr(self, name)) for name in names if getattr(self, name) is not None}

    def takes(self, site: SharingSite) -> bool:
        """Return whether the method applies to a site (default: it has one of `kinds` and belongs to a bank)."""
        return site.kind in self.kinds and site.bank is not None

    def groups(self, sites: Sequence[SharingSite]) -> list[SiteGroup]:
        """Choose the sites that the method replaces, grouped by what they share (default: one group per bank)."""
        by_bank: dict[str, list[SharingSite]] = {}
        for site in sites:
            if site.bank is not None and self.takes(site):
                by_bank.setdefault(site.bank, []).append(site)
        return [SiteGroup(bank, tuple(members)) for bank, members in by_bank.items()]

    def build(self, group: SiteGroup, modules: Mapping[str, nn.Module], scales: tuple[int, ...]) -> nn.Module | None:
        """Build the module that the group's layers share; None if they share nothing.

        Args:
            group: The sites.
            modules: Path -> current module, for sites and sources; their shapes, weights and biases may be used.
            scales: The scales of a multi-scale network, each of which gets its own coefficients.

        Raises:
            SharingError: The sites cannot share this way; the message names layer and dimension.
        """
        return None

    def replace(
        self, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
    ) -> nn.Module:
        """Return the replacement for `module` at a site; `scales` are the scales that use the site."""
        raise NotImplementedError

    def applied(self, model: Backbone) -> None:
        """Finish the network after the modules at its sites have been replaced."""

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module | None:
        """Return a plain layer that computes the same for one scale, or None if folding would be slower."""
        return None

    def auxiliary_loss(self, model: Backbone) -> Tensor | None:
        """Return a loss to add to the reconstruction loss, or None."""
        return None

    def on_step(self, model: Backbone, iteration: int, total: int) -> None:
        """Update a schedule at the start of an iteration, counted from 1."""

    def kernels_at_once(
        self, model: Backbone, scale: int, dtype: torch.dtype, layout: torch.memory_format
    ) -> AbstractContextManager[None]:
        """Return a context in which layers find their kernels precomputed.

        Training on a GPU enters it for each forward pass. A method whose layers multiply small matrices may compute
        all kernels in one product here; gradients must be the same as without. Default: each layer computes its own.

        Args:
            model: The network, with the scale already selected.
            scale: The scale of the forward pass; layers not used at this scale need no kernel.
            dtype: Dtype of the convolutions.
            layout: Preferred memory layout of the kernels.
        """
        return nullcontext()

    def executed_macs(self, model: Backbone, lr: Tensor, scale: int | None) -> list[int] | None:
        """Return the multiply-accumulates that inference executes for each image, if the method's masks skip some.

        See `Backbone.executed_macs`. Default: None, nothing is skipped.
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
        """Refuse a network that has no sites for the method.

        Raises:
            SharingError: There are no groups.
        """
        if not groups:
            kinds = " or ".join(sorted(self.kinds))
            raise SharingError(
                f"method '{type(self).__name__.lower()}' applies to sites of kind {kinds}, and '{backbone}' declares "
                "none; "
                "choose another backbone or method"
            )
