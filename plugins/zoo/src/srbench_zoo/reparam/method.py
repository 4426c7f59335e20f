"""Method `reparam`: convolutions are trained as several branches, which folding merges into one convolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from srbench.plugin import ConfigError, SharingError, SharingMethod, SiteGroup, register_method

if TYPE_CHECKING:
    from torch import nn

    from srbench.plugin import SharingSite
    from srbench_zoo.reparam.branches import BranchedConv

    Branching = Callable[[nn.Conv2d, SharingSite], BranchedConv | None]

__all__ = ["KINDS", "Reparam"]

# Kind -> module whose function `branched(layer, site)` returns the branches, or None for a layer that does not fit.
KINDS: dict[str, str] = {
    "ecb": "srbench_zoo.reparam.ecb",
    "etds": "srbench_zoo.reparam.etds",
    "rep1x1": "srbench_zoo.reparam.rep1x1",
}


@register_method
class Reparam(SharingMethod):
    """Replace each convolution by branches equivalent to one convolution, and merge them when folding.

    A layer whose shape does not fit the kind is unchanged. A layer that the published network uses several times
    remains a single shared one. Until they are folded, branches count towards parameters and MACs.

    Args:
        kind: The branches: `ecb` (Zhang et al., ACM MM 2021), `edbb` (Wang, CVPRW 2022, EFDN), `etds` (Chao et al.,
            CVPR 2023), `rep1x1` (Xie et al., CVPRW 2023, LKDN-S), `repmbconv` (Wang et al., ACCV 2024, PlainUSR),
            `rrrb` (Du et al., CVPRW 2022, FMEN) or `span` (Wan et al., CVPRW 2024).

    Raises:
        ConfigError: The kind is unknown.
    """

    kinds = frozenset({"conv"})
    measured_folded = True

    def __init__(self, *, kind: str = "ecb") -> None:
        if kind not in KINDS:
            raise ConfigError(f"kind={kind} is no known re-parameterisation; give one of {', '.join(KINDS)}")
        self.kind = kind

    def takes(self, site: SharingSite) -> bool:
        """Return True for every convolution, in a bank or not, because no weights are shared."""
        return site.kind in self.kinds

    def groups(self, sites: Sequence[SharingSite]) -> list[SiteGroup]:
        """Group the convolutions by tie class, as published networks tie theirs.

        All convolutions are sources of each group, so that `build` can check whether the kind fits any of them.
        """
        taken = tuple(filter(self.takes, sites))
        by_tie: dict[str, list[SharingSite]] = {}
        for site in taken:
            by_tie.setdefault(site.tie, []).append(site)
        return [SiteGroup(tie, tuple(members), taken) for tie, members in by_tie.items()]

    def build(self, group: SiteGroup, modules: Mapping[str, nn.Module], scales: tuple[int, ...]) -> nn.Module | None:
        """Return the replacement of a layer that all sites of the group share; None if each site has its own layer.

        Raises:
            SharingError: No layer of the network fits the kind, or a site is not a plain convolution.
        """
        if all(self._branched(site, modules[site.path]) is None for site in group.sources):
            first = group.sources[0].path
            raise SharingError(
                f"kind={self.kind} of method 'reparam' fits none of the convolutions at the network's "
                f"{len(group.sources)} sites ('{first}' is {modules[first]}); choose another kind "
                f"({', '.join(kind for kind in KINDS if kind != self.kind)}) or another backbone"
            )
        first_site = group.sites[0]
        one_layer = len(group.sites) > 1 and len({id(modules[site.path]) for site in group.sites}) == 1
        return self.replace(first_site, modules[first_site.path], None, scales) if one_layer else None

    def replace(
        self, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
    ) -> nn.Module:
        """Return the branches, or the module itself if the kind does not fit it."""
        return self._branched(site, module) or module if shared is None else shared

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module:
        """Return the merged convolution, or the layer itself if it was not replaced."""
        from srbench_zoo.reparam.branches import BranchedConv

        return module.merged() if isinstance(module, BranchedConv) else module

    def _branched(self, site: SharingSite, layer: nn.Module) -> BranchedConv | None:
        from torch import nn

        if not isinstance(layer, nn.Conv2d):
            raise SharingError(
                f"method 'reparam' needs a plain convolution at '{site.path}' and found {type(layer).__name__}"
            )
        branching: Branching = import_module(KINDS[self.kind]).branched
        return branching(layer, site)
