"""Method `dense`: every use of a layer has its own weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from srbench.models.methods.sharing_method import SharingMethod, SiteGroup
from srbench.registry.registries import register_method

if TYPE_CHECKING:
    from torch import nn

    from srbench.models.sites import SharingSite

__all__ = ["Dense"]


@register_method
class Dense(SharingMethod):
    """Untie all sites, as if no layer were used twice."""

    kinds = frozenset({"conv", "tconv"})

    def takes(self, site: SharingSite) -> bool:
        """Take every layer, in a bank or not; the layers inside blocks are sites themselves."""
        return site.kind in self.kinds

    def groups(self, sites: Sequence[SharingSite]) -> list[SiteGroup]:
        """Put every site in its own group."""
        return [SiteGroup(site.path, (site,)) for site in sites if self.takes(site)]

    def replace(
        self, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
    ) -> nn.Module:
        """Return a copy of the module, with parameters of its own."""
        return copy.deepcopy(module)

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module | None:
        """Return the module, which is already a plain layer."""
        return module
