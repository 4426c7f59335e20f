"""Method `dhp`: differentiable meta pruning via hypernetworks (Li et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from srbench.plugin import ConfigError, GeneratedConvMethod, SiteGroup, register_method

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from srbench.plugin import Backbone, SharingSite
    from srbench_pruning.layers import DHPConv

    Identity = Callable[[str, tuple[int, ...], int], tuple[Backbone, Backbone] | None]

__all__ = ["DHP"]


@register_method
class DHP(GeneratedConvMethod):
    """Generate the kernel of each layer from latent vectors of its input and output channels, and prune these.

    Training has two parts. In the first, the search, each iteration shrinks all latents by soft-thresholding, and a
    channel whose latent falls below the threshold is pruned, in all layers that produce or read it, until the ratio
    is reached. The second part trains the pruned network.

    Args:
        ratio: Share of the layers' weights at which the search ends, more than 0 and at most 1; 1 prunes nothing.
        embedding: Size of the embedding of each pair of an input and an output channel, 1 or more.
        threshold: Absolute value of a latent below which its channel is pruned, more than 0 and at most 1.
        shrink: Sum of the soft-thresholding steps of a whole search, 0 or more.
        search: Share of the iterations that the search takes at most, more than 0 and at most 1.
        least: Number of its prunable channels that each layer keeps at least, 1 or more.

    Raises:
        ConfigError: An argument is out of its range.

    Source:
        Li, Gu, Zhang, Van Gool and Timofte, "DHP: Differentiable Meta Pruning via HyperNetworks", ECCV 2020.
    """

    measured_folded = True

    def __init__(
        self,
        *,
        ratio: Fraction | int = Fraction(3, 5),
        embedding: int = 8,
        threshold: Fraction | int = Fraction(1, 200),
        shrink: Fraction | int = Fraction(6, 5),
        search: Fraction | int = Fraction(1, 2),
        least: int = 4,
    ) -> None:
        for name, count in (("embedding", embedding), ("least", least)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ConfigError(f"{name}={count} is not a whole number of at least 1")
        for name, share in (("ratio", ratio), ("threshold", threshold), ("search", search)):
            if isinstance(share, bool | str) or not 0 < share <= 1:
                raise ConfigError(f"{name}={share} is not a number above 0 and up to 1, such as 3/5")
        if isinstance(shrink, bool | str) or shrink < 0:
            raise ConfigError(f"shrink={shrink} is not a number of at least 0")
        self.ratio, self.search = Fraction(ratio), Fraction(search)
        self.threshold, self.shrink = Fraction(threshold), Fraction(shrink)
        self.embedding, self.least = embedding, least

    def groups(self, sites: Sequence[SharingSite]) -> list[SiteGroup]:
        """Put all layers in one group: any of them may feed any other."""
        taken = tuple(filter(self.takes, sites))
        return [SiteGroup("latents", taken)] if taken else []

    def bank(self, layers: Mapping[str, Any], scales: tuple[int, ...]) -> nn.Module:
        """Return the latents of all layers, which `applied` fills."""
        from srbench_pruning.latents import Latents

        return Latents()

    def layer(self, site: SharingSite, layer: Any, shared: nn.Module | None, scales: tuple[int, ...]) -> DHPConv:
        """Return the layer that generates its kernel from latents."""
        from srbench_pruning.layers import DHPConv

        return DHPConv(site, layer, shared, scales, self.embedding)

    def applied(self, model: Backbone) -> None:
        """Trace which layers feed which, and create a latent for each group of channels that are pruned together."""
        from srbench_pruning.layers import connect

        connect(model)

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module | None:
        """Return the layer without its pruned channels."""
        from srbench_pruning.layers import DHPConv

        return module.pruned() if isinstance(module, DHPConv) else None

    def identities(self) -> Mapping[str, Identity]:
        """Return one: before pruning, the network equals the published one with the generated kernels."""
        return {"unpruned_is_dense": _unpruned_is_dense}

    def on_step(self, model: Backbone, iteration: int, total: int) -> None:
        """Shrink the latents after the last optimizer step, and prune; only during the search."""
        from srbench_pruning.layers import latents_of

        last = int(self.search * total)
        if 1 < iteration <= last:  # no optimizer step has been taken before the first
            latents = latents_of(model)
            latents.soft_threshold(float(self.shrink) / last, float(self.threshold), float(self.ratio), self.least)
            latents.prune(float(self.threshold), float(self.ratio), self.least)


def _unpruned_is_dense(backbone: str, scales: tuple[int, ...], seed: int) -> tuple[Backbone, Backbone] | None:
    from srbench.plugin import create_model, fold

    if len(scales) > 1:
        return None  # a folded network is for one scale
    generated = create_model(f"{backbone}+dhp", scales=scales, seed=seed)
    dense = create_model(backbone, scales=scales, seed=seed + 1)
    kernels = fold(generated).state_dict()
    if kernels.keys() != dense.state_dict().keys():
        return None  # the published network ties layers, which have separate kernels here
    dense.load_state_dict(kernels)
    return generated, dense
