"""Method `basis`: each layer has a basis of small filters (Li et al., ICCV 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srbench.plugin import ConfigError, register_method
from srbench_ps.per_layer import PerLayerMethod

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Basis"]


@register_method
class Basis(PerLayerMethod):
    """Replace each convolution by a few basis filters and a 1x1 convolution that combines their outputs.

    Li, Gu, Van Gool and Timofte, "Learning Filter Basis for Convolutional Neural Network Compression", ICCV 2019: the
    input channels are split into `s` parts, every part is convolved with the same `m` filters, and the `s*m` maps are
    combined linearly. Each layer has a basis of its own; sharing one across layers is what PS does.

    A convolution `k_h x k_w` from `i` to `o` channels in `g` groups becomes `m * (i/(g*s)) * k_h*k_w + o*s*m` weights,
    and `o` biases where it had them. (The paper's code has `m` further biases in the basis, which those of the second
    convolution make redundant.) From 64 to 64 channels, 3x3, that is `640*m` at `s=1` and `416*m` at `s=2`, of 36,864.

    Args:
        num_basis: The filters of a basis, `m`, at least 1 and at most the rank of the layer's filters.
        splits: Parts of the input channels, `s`; it must divide those of each group.
        init: `svd` for the best approximation of the layer's present weights, by truncated SVD; otherwise as torch
            initialises convolutions.

    Raises:
        ConfigError: An argument is out of its range.
    """

    def __init__(self, *, num_basis: int = 8, splits: int = 1, init: str | None = None) -> None:
        for name, value in (("num_basis", num_basis), ("splits", splits)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name}={value} is not a whole number of at least 1")
        if init not in (None, "svd"):
            raise ConfigError(f"init={init} is not svd; leave it out for random initialization")
        self.num_basis = num_basis
        self.splits = splits
        self.init = init

    def restructured(self, path: str, layer: nn.Module) -> nn.Module:
        """Return basis and combination in a convolution's place.

        Raises:
            SharingError: The layer is no plain convolution, `splits` does not divide its input channels, or its
                filters have a smaller rank than `num_basis`.
        """
        from srbench_ps.structures import BasisConv, plain_convolution

        made = BasisConv(plain_convolution("basis", path, layer), self.num_basis, self.splits, path)
        if self.init == "svd":
            made.approximate(layer)
        return made
