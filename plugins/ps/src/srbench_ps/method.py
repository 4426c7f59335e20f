"""Method `ps`: Partial filter-Sharing (Park and Cho, WACV 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from srbench.plugin import BIAS_POLICIES, ConfigError, GeneratedConvMethod, SharingError, SiteGroup, register_method
from srbench_ps.shape import PartialShape

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import torch
    from torch import nn

    from srbench.plugin import Backbone, GeneratedConv, SharingSite

    Identity = Callable[[str, tuple[int, ...], int], tuple[Backbone, Backbone] | None]

__all__ = ["PS"]


@register_method
class PS(GeneratedConvMethod):
    """Share partial filters: every kernel of a bank is assembled from linear combinations of the same N_p filters.

    The sites of a bank have `N_total` tiles together (scales do not count). Give the bank's size by `ratio` or by
    `num_filters`.

    Args:
        ratio: `N_p / N_total`, in (0, 1]; 1/4 where neither size is given.
        num_filters: N_p itself.
        shape: Partial-filter shape, input x output channels x height x width; C is all channels, K the whole kernel.
        init: `svd` for the best approximation of the layers' present weights, by truncated SVD; `normal` for standard
            normal filters (the authors' SRFBN); otherwise He-normal filters, as in the authors' other networks.
            Without `svd` all coefficients start at 1/N_p and biases at 0.
        bias: The bias of layers that have one: `own`, one `per_scale`, one `tied` within the tie class, or `none`. By
            default as declared by the backbone's sites.

    Raises:
        ConfigError: An argument is out of its range.
    """

    kinds = frozenset({"conv", "tconv"})
    initial = frozenset({"init"})

    def __init__(
        self,
        *,
        ratio: Fraction | int | None = None,
        num_filters: int | None = None,
        shape: str = "CxCx1x1",
        init: str | None = None,
        bias: str | None = None,
    ) -> None:
        if ratio is not None and num_filters is not None:
            raise ConfigError(f"give ratio or num_filters, not both; got ratio={ratio} and num_filters={num_filters}")
        if ratio is None and num_filters is None:
            ratio = Fraction(1, 4)
        if ratio is not None and (isinstance(ratio, bool | str) or not 0 < ratio <= 1):
            raise ConfigError(f"ratio={ratio} is not in (0, 1]; give the share of partial filters to keep, such as 1/4")
        if num_filters is not None and (
            isinstance(num_filters, bool) or not isinstance(num_filters, int) or num_filters < 1
        ):
            raise ConfigError(f"num_filters={num_filters} is not a whole number of at least 1")
        if init not in (None, "he", "normal", "svd"):
            raise ConfigError(f"init={init} is not one of he, normal, svd")
        if bias is not None and bias not in BIAS_POLICIES:
            raise ConfigError(f"bias={bias} is not one of {', '.join(BIAS_POLICIES)}")
        self.partial_shape = PartialShape.parse(shape)
        self.ratio = None if ratio is None else Fraction(ratio)
        self.num_filters = num_filters
        self.shape = self.partial_shape.text
        self.init = None if init == "he" else init
        self.bias = bias

    def build(self, group: SiteGroup, modules: Mapping[str, nn.Module], scales: tuple[int, ...]) -> nn.Module:
        """Make the filter bank of a group, initialised.

        Raises:
            SharingError: A layer is no convolution, the shape does not tile it, or the bank would be empty or too
                large.
        """
        from srbench_ps.bank import make_bank

        layers = self.convolutions(group, modules)
        return make_bank(self, layers, self.tied_biases(group, layers))

    def layer(self, site: SharingSite, layer: Any, shared: nn.Module | None, scales: tuple[int, ...]) -> GeneratedConv:
        """Return the convolution that takes its kernel from the bank."""
        from srbench_ps.bank import make_layer

        return make_layer(self, site, layer, shared, scales)

    def kernels_at_once(
        self, model: Backbone, scale: int, dtype: torch.dtype, layout: torch.memory_format
    ) -> AbstractContextManager[None]:
        """Return a context in which each bank computes the kernels of all its layers in one product."""
        from srbench_ps.batched import kernels_at_once

        return kernels_at_once(model, scale, dtype, layout)

    def identities(self) -> dict[str, Identity]:
        """Return the pairs of docs/ps.md: ratio 1 is dense, and identity coefficients are recursive."""
        from srbench_ps import identities

        def of(pair: Callable[..., tuple[Backbone, Backbone] | None]) -> Identity:
            return lambda backbone, scales, seed: pair(backbone, self.shape, scales, seed)

        return {
            "ratio_1_equals_dense": of(identities.ratio_1_equals_dense),
            "identity_coefficients_equal_recursive": of(identities.identity_coefficients_equal_recursive),
        }

    def bias_policy(self, site: SharingSite) -> str:
        """Return which bias the layer at a site keeps: the argument, or else what the site declares."""
        return site.bias if self.bias is None else self.bias

    def size(self, total: int) -> int:
        """Return N_p for a bank of `total` tiles, halves rounded up.

        Raises:
            SharingError: No filter would be left, or more than there are tiles.
        """
        if self.num_filters is not None:
            if self.num_filters > total:
                raise SharingError(
                    f"num_filters={self.num_filters} exceeds the {total} tiles of the bank; give at most {total}"
                )
            return self.num_filters
        assert self.ratio is not None  # the constructor sets one of the two
        count = int(self.ratio * total + Fraction(1, 2))
        if count < 1:
            raise SharingError(f"ratio={self.ratio} of {total} tiles leaves no partial filter; give at least 1/{total}")
        return count
