"""Method `dsconv`: depthwise-separable convolutions (Howard et al., MobileNets, 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from srbench.plugin import ConfigError, SharingError, register_method
from srbench_ps.per_layer import PerLayerMethod

if TYPE_CHECKING:
    from torch import nn

    from srbench.plugin import SharingSite

__all__ = ["DSConv"]


@register_method
class DSConv(PerLayerMethod):
    """Replace each convolution of the last `blocks` blocks by a depthwise and a pointwise one.

    D.S.Conv-n of Park and Cho, WACV 2025, supplement, Table 1, is `dsconv(blocks=n)`. The paper does not say which
    blocks are replaced; here they are the last ones, so that the features that all blocks build on come from ordinary
    convolutions. A block consists of the sites with the same `step`.

    A convolution `k_h x k_w` from `i` to `o` channels in `g` groups becomes `i*k_h*k_w + i*o/g` weights, and `i + o`
    biases where it had one.

    Args:
        blocks: How many blocks, at least 1; all of them if not given.

    Raises:
        ConfigError: `blocks` is no such number.
    """

    def __init__(self, *, blocks: int | None = None) -> None:
        if blocks is not None and (isinstance(blocks, bool) or not isinstance(blocks, int) or blocks < 1):
            raise ConfigError(f"blocks={blocks} is not a whole number of at least 1; leave it out for all blocks")
        self.blocks = blocks

    def chosen(self, sites: Sequence[SharingSite]) -> list[SharingSite]:
        """Return the convolutions of the last `blocks` blocks.

        Raises:
            SharingError: The network has fewer blocks.
        """
        convs = super().chosen(sites)
        steps = list(dict.fromkeys(site.step for site in convs))
        if self.blocks is None or not steps:
            return convs
        if self.blocks > len(steps):
            raise SharingError(
                f"blocks={self.blocks} exceeds the {len(steps)} blocks with convolutions that the network has; give at "
                f"most {len(steps)}"
            )
        return [site for site in convs if site.step in steps[-self.blocks :]]

    def restructured(self, path: str, layer: nn.Module) -> nn.Module:
        """Return the depthwise-separable layer in a convolution's place.

        Raises:
            SharingError: The layer is no plain convolution.
        """
        from srbench_ps.structures import DepthwiseSeparable, plain_convolution

        return DepthwiseSeparable(plain_convolution("dsconv", path, layer))
