"""Methods that replace each layer independently by another structure; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from srbench.plugin import SharingMethod, SiteGroup

if TYPE_CHECKING:
    from torch import nn

    from srbench.plugin import SharingSite

__all__ = ["PerLayerMethod"]


class PerLayerMethod(SharingMethod):
    """Replace each layer by a structure with fewer parameters.

    A layer that the published network uses several times has one replacement, which is used as often. Layers are not
    folded, because the equivalent plain convolution would be slower.
    """

    def chosen(self, sites: Sequence[SharingSite]) -> list[SharingSite]:
        """Return the sites to act on (default: all that the method takes)."""
        return [site for site in sites if self.takes(site)]

    def restructured(self, path: str, layer: nn.Module) -> nn.Module:
        """Return the replacement of a layer.

        Raises:
            SharingError: The layer cannot be replaced so; the message names it.
        """
        raise NotImplementedError

    def groups(self, sites: Sequence[SharingSite]) -> list[SiteGroup]:
        """Group the chosen sites by tie class, as published networks tie them."""
        by_tie: dict[str, list[SharingSite]] = {}
        for site in self.chosen(sites):
            by_tie.setdefault(site.tie, []).append(site)
        return [SiteGroup(tie, tuple(members)) for tie, members in by_tie.items()]

    def build(self, group: SiteGroup, modules: Mapping[str, nn.Module], scales: tuple[int, ...]) -> nn.Module | None:
        """Make one replacement for a layer that all sites of the group use; None where each has its own.

        Raises:
            SharingError: The layer cannot be replaced so.
        """
        path = group.sites[0].path
        one_layer = len(group.sites) > 1 and len({id(module) for module in modules.values()}) == 1
        return self.restructured(path, modules[path]) if one_layer else None

    def replace(
        self, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
    ) -> nn.Module:
        """Return the group's replacement, or one for this layer alone."""
        return self.restructured(site.path, module) if shared is None else shared
