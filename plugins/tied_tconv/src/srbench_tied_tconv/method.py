"""Method `tied_tconv`: a transposed convolution uses a convolution's weights (Hyun et al., NeurIPS 2024 workshop)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from srbench.plugin import ConfigError, SharingError, SharingMethod, SiteGroup, register_method

if TYPE_CHECKING:
    from torch import nn

    from srbench.plugin import SharingSite

__all__ = ["TiedTConv"]

_MIX = "mix"


@register_method(name="tied_tconv")
class TiedTConv(SharingMethod):
    """Let each transposed convolution be the adjoint of a convolution of the block before it, with the same weights.

    It applies to sites that declare `adjoint`. Native ties and biases are preserved.

    Args:
        conv: Which convolution of the block, from 1 on; or `mix`, a learned mixture of all of them.

    Raises:
        ConfigError: It is neither.
    """

    kinds = frozenset({"tconv"})

    def __init__(self, *, conv: int | str = 3) -> None:
        if conv != _MIX and (isinstance(conv, bool) or not isinstance(conv, int) or conv < 1):
            raise ConfigError(f"conv={conv} is no place of a convolution in its block; give 1, 2, 3, ... or {_MIX}")
        self.conv = conv

    def takes(self, site: SharingSite) -> bool:
        """Take transposed convolutions that may be an adjoint."""
        return site.kind in self.kinds and site.adjoint is not None

    def groups(self, sites: Sequence[SharingSite]) -> list[SiteGroup]:
        """Group the transposed convolutions by tie class, each with the convolutions that it may take weights of."""
        by_tie: dict[str, list[SharingSite]] = {}
        for site in sites:
            if self.takes(site):
                by_tie.setdefault(site.tie, []).append(site)
        groups = []
        for tie, members in by_tie.items():
            sources = [other for other in sites if any(_related(other, site) for site in members)]
            if sources:
                groups.append(SiteGroup(tie, tuple(members), tuple(sources)))
        return groups

    def require_sites(self, groups: Sequence[SiteGroup], backbone: str) -> None:
        """Refuse a network without a transposed convolution in a group with convolutions, or without that convolution.

        Raises:
            SharingError: It is so.
        """
        if not groups:
            raise SharingError(
                f"method 'tied_tconv' gives a transposed convolution the weights of a convolution, and '{backbone}' "
                "declares no sites of both kinds that may share them; choose another backbone, such as ms_lapsrn_r8"
            )
        for group in groups:
            places = sorted({site.place for site in group.sources})
            if self.conv != _MIX and self.conv not in places:
                there = f"conv={places[0]}" if len(places) == 1 else f"conv={places[0]} to conv={places[-1]}, or {_MIX}"
                number = "1 convolution" if len(places) == 1 else f"{len(places)} convolutions"
                raise SharingError(f"conv={self.conv}: a block of '{backbone}' has {number}; give {there}")

    def build(self, group: SiteGroup, modules: Mapping[str, nn.Module], scales: tuple[int, ...]) -> nn.Module:
        """Make the adjoint that all sites of a natively tied class use, or one for each site."""
        from torch import nn

        from srbench_tied_tconv.layers import AdjointConv

        chosen = {site.path: self._chosen(site, group.sources) for site in group.sites}
        made: dict[tuple[int, ...], AdjointConv] = {}
        layers = nn.ModuleDict()
        for site in group.sites:
            layer = modules[site.path]
            convs = []
            for source in chosen[site.path]:
                conv = modules[source.path]
                if not isinstance(conv, nn.Conv2d):
                    raise SharingError(
                        f"method 'tied_tconv' needs a plain convolution at '{source.path}' and found "
                        f"{type(conv).__name__}"
                    )
                convs.append((source.path, conv))
            if not isinstance(layer, nn.ConvTranspose2d):
                raise SharingError(
                    f"method 'tied_tconv' needs a plain transposed convolution at '{site.path}' and found "
                    f"{type(layer).__name__}"
                )
            same = (id(layer), *(id(conv) for _, conv in convs))
            if same not in made:
                made[same] = AdjointConv(site, layer, convs, scales)
            layers[_key(site)] = made[same]
        return next(iter(made.values())) if len(made) == 1 else layers

    def replace(
        self, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
    ) -> nn.Module:
        """Return the adjoint that serves the site."""
        from torch import nn

        from srbench.plugin import TiedLayer
        from srbench_tied_tconv.layers import AdjointConv

        if isinstance(shared, AdjointConv):
            return shared
        assert isinstance(shared, nn.ModuleDict)  # `build` made it
        return TiedLayer(shared[_key(site)])

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module | None:
        """Return the plain transposed convolution."""
        from srbench_tied_tconv.layers import AdjointConv

        return module.folded() if isinstance(module, AdjointConv) else None

    def _chosen(self, site: SharingSite, sources: Sequence[SharingSite]) -> list[SharingSite]:
        """Return the convolution that a transposed one takes its weights of, or all for a mixture.

        Where several blocks have it, the last before the site: in a recursive network they are one.
        """
        by_place = {source.place: source for source in sources if _related(source, site)}
        return [by_place[place] for place in sorted(by_place)] if self.conv == _MIX else [by_place[int(self.conv)]]


def _related(conv: SharingSite, tconv: SharingSite) -> bool:
    """Say whether a site is a convolution whose weights a transposed one may take."""
    return (
        conv.kind == "conv"
        and conv.adjoint == tconv.adjoint
        and conv.place > 0
        and conv.step[: len(tconv.step)] == tconv.step
    )


def _key(site: SharingSite) -> str:
    return site.path.replace(".", "_")
