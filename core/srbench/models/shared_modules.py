"""Layers that use a module registered once, elsewhere on the network."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

__all__ = ["MultiScaleModule", "SharedModuleRef", "TiedLayer"]


class SharedModuleRef(nn.Module):
    """A layer that uses a module registered elsewhere on the network.

    The reference is held in a tuple, which `nn.Module` does not register. So the state dict has the shared tensors
    once, and `deepcopy`, `pickle` and `to_empty` preserve the sharing, unlike with a bare shared parameter.
    """

    def __init__(self, shared: nn.Module | None) -> None:
        super().__init__()
        self._referred: tuple[nn.Module, ...] = () if shared is None else (shared,)

    @property
    def shared_module(self) -> nn.Module | None:
        """The module used, or None."""
        return self._referred[0] if self._referred else None


class TiedLayer(SharedModuleRef):
    """One use of a layer that several sites share entirely."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the shared layer."""
        return cast(Tensor, self._referred[0](x))


class MultiScaleModule(SharedModuleRef):
    """A layer with separate parameters for each scale of a multi-scale network; one scale is active at a time.

    A subclass must do three things: keep the parameters of each scale separate (usually in an `nn.ParameterDict` with
    keys such as `x2`), use only those of `active_scale` in `forward`, and override `keep_scale`.
    `Backbone.select_scale` sets `active_scale` before each forward pass.

    Attributes:
        scales: The scales that it has parameters for, of the whole network's those at which the layer is used.
        active_scale: The one that `forward` computes for; at first the first of `scales`.
    """

    def __init__(self, shared: nn.Module | None, scales: tuple[int, ...]) -> None:
        super().__init__(shared)
        self.scales = scales
        self.active_scale = scales[0]

    def keep_scale(self, scale: int) -> None:
        """Remove the parameters of all scales but one, in place; `Backbone.at_scale` calls it on a copy.

        An override must remove the parameters and buffers of all other scales, so that the deployed network is
        counted and saved without them, and set `scales` to `(scale,)` and `active_scale` to `scale`. If the layer is
        not used at the scale (`scale not in self.scales`), it must not change anything.

        Args:
            scale: The scale to keep.
        """
        raise NotImplementedError(f"{type(self).__name__} must override keep_scale")
