"""Method `recursive`: sites that are one layer in the recursive network share weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from srbench.errors import SharingError
from srbench.models.methods.sharing_method import SharingMethod, SiteGroup
from srbench.registry.registries import register_method

if TYPE_CHECKING:
    from torch import nn

    from srbench.models.sites import SharingSite

__all__ = ["Recursive"]


@register_method
class Recursive(SharingMethod):
    """Tie the sites of each tie class: all use the first one's weight and bias."""

    kinds = frozenset({"conv", "tconv"})

    def takes(self, site: SharingSite) -> bool:
        """Take every layer, in a bank or not; the layers inside blocks are sites themselves."""
        return site.kind in self.kinds

    def groups(self, sites: Sequence[SharingSite]) -> list[SiteGroup]:
        """Group the sites by tie class; companions likewise: all first ones together, all second ones, ..."""
        by_tie: dict[str, list[SharingSite]] = {}
        for site in filter(self.takes, sites):
            by_tie.setdefault(site.tie, []).append(site)
            for number, path in enumerate(site.companions):
                companion = dataclasses.replace(site, path=path, companions=())
                by_tie.setdefault(f"{site.tie}_companion{number}", []).append(companion)
        return [SiteGroup(tie, tuple(members)) for tie, members in by_tie.items()]

    def build(self, group: SiteGroup, modules: Mapping[str, nn.Module], scales: tuple[int, ...]) -> nn.Module | None:
        """Return the first use's module as the layer of the class.

        Raises:
            SharingError: The uses have different shapes.
        """
        first = group.sites[0].path
        shapes = {path: {k: tuple(p.shape) for k, p in module.named_parameters()} for path, module in modules.items()}
        for site in group.sites[1:]:
            if shapes[site.path] != shapes[first]:
                raise SharingError(
                    f"'{site.path}' cannot be tied to '{first}': their parameters have the shapes "
                    f"{shapes[site.path]} and {shapes[first]}"
                )
        return modules[first]

    def replace(
        self, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
    ) -> nn.Module:
        """Return the layer of the class."""
        assert shared is not None  # `build` never returns None
        return shared

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module | None:
        """Return the module, which is already a plain layer."""
        return module
