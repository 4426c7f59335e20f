"""The base class of super-resolution networks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from srbench.errors import ConfigError

if TYPE_CHECKING:
    from srbench.models.architecture import Architecture
    from srbench.models.methods.sharing_method import SharingMethod
    from srbench.models.sites import SharingSite
    from srbench.registry.names import ModelName

from srbench.models.shared_modules import MultiScaleModule

__all__ = ["Backbone"]


class Backbone(nn.Module):
    """A super-resolution network that declares where its layers may share weights.

    Networks are written unrolled: each use of a layer has its own path. A natively recursive network ties its layers
    in the constructor (`srbench.models.surgery.tie`). Input is RGB `(N, 3, h, w)` in 0..1; output is RGB
    `(N, 3, scale*h, scale*w)`, not clamped, or a structure of several outputs which `loss` and `image` understand.

    Attributes:
        scales: The supported scales; more than one for a multi-scale network.
        shared: The modules that sharing sites have in common, each registered here once.
        method: The sharing method applied, or None for the published network.
        model_name: The canonical name with which the network was created, or None.
        receptive_field: How many LR pixels on each side can influence an output pixel. None if it is unbounded
            (global pooling, attention) or unknown. Tiles overlap by this much.
        accepts_luma: Whether it also takes luma `(N, 1, h, w)` in 16/255..235/255 and then returns luma. Protocols
            that compare luma only require this.
        float32_layers: Paths of the layers that bfloat16 training keeps in float32: those that produce the image,
            since bfloat16 distinguishes only 128 levels between 0.5 and 1.
        architecture: What `srbench list models --table` shows beside the network's size; None if not declared.
    """

    receptive_field: int | None = None
    accepts_luma: bool = False
    float32_layers: tuple[str, ...] = ()
    architecture: Architecture | None = None

    def __init__(self, scales: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.shared = nn.ModuleDict()
        self.method: SharingMethod | None = None
        self.model_name: ModelName | None = None
        self._active_scale: int | None = None

    def sharing_sites(self) -> list[SharingSite]:
        """Return the sites in execution order."""
        return []

    def select_scale(self, scale: int | None) -> int:
        """Select a scale and return it; None selects the only one.

        Raises:
            ConfigError: The network lacks the scale, or has several and none was named.
        """
        if scale is None:
            if len(self.scales) != 1:
                raise ConfigError(
                    f"this network has the scales {_listed(self.scales)}; choose one: model(lr, scale={self.scales[0]})"
                )
            scale = self.scales[0]
        if scale not in self.scales:
            raise ConfigError(f"this network supports scale {_listed(self.scales)}, not {scale}")
        if scale != self._active_scale:
            for module in self.modules():
                if isinstance(module, MultiScaleModule) and scale in module.scales:
                    module.active_scale = scale
            self._active_scale = scale
        return scale

    def at_scale(self, scale: int) -> Self:
        """Return a copy with only the parameters that one scale needs.

        Raises:
            ConfigError: The network lacks the scale.
        """
        self.select_scale(scale)
        view = copy.deepcopy(self)
        view.drop_other_scales(scale)
        for module in view.modules():
            if isinstance(module, MultiScaleModule):
                module.keep_scale(scale)
        view.scales = (scale,)
        return view

    def drop_other_scales(self, scale: int) -> None:
        """Remove the parts that only other scales use. Multi-scale backbones with several upsamplers override this."""

    def targets(self, hr: Tensor, scale: int) -> Any:
        """Return the training targets of the outputs (default: the HR batch itself)."""
        return hr

    def loss(self, outputs: Any, targets: Any, criterion: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Return the training loss of the outputs (default: the criterion on the SR image)."""
        return criterion(self.image(outputs), targets)

    def image(self, outputs: Any) -> Tensor:
        """Select the SR image `(N, 3, H, W)` from the outputs (default: the output is the image)."""
        if not isinstance(outputs, Tensor):
            raise ConfigError(
                f"{type(self).__name__} returns {type(outputs).__name__}; it must override `image` to say which "
                "output is the SR image"
            )
        return outputs

    def executed_macs(self, lr: Tensor, scale: int | None = None) -> list[int] | None:
        """Return the multiply-accumulates that inference executes for each image of a batch, if masks skip some.

        `srbench.cost` counts the dense computation from shapes and cannot see work that depends on the images, such
        as sparse masks. A network that skips work returns here how much is left: all convolutions and matrix products
        at the size of `lr`, including those that are never skipped. For an image that skips nothing this must equal
        the dense count. None means that every image takes the dense count. By default the sharing method decides.

        Args:
            lr: LR images `(N, 3, h, w)` in 0..1.
            scale: As in `forward`.
        """
        return None if self.method is None else self.method.executed_macs(self, lr, scale)

    def auxiliary_loss(self) -> Tensor | None:
        """Return the sharing method's additional loss, or None."""
        return None if self.method is None else self.method.auxiliary_loss(self)

    def on_step(self, iteration: int, total: int) -> None:
        """Update the sharing method's schedule; called before each training iteration, counted from 1."""
        if self.method is not None:
            self.method.on_step(self, iteration, total)

    def expected_failures(self) -> Mapping[str, str]:
        """Return conformance check -> why the network fails it by design; it is an error if the check then passes."""
        return {}

    @torch.no_grad()
    def super_resolve(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Return the SR image of LR images `(N, 3, h, w)` in 0..1, clamped to 0..1."""
        return self.image(self(lr, scale)).clamp(0, 1)


def _listed(scales: tuple[int, ...]) -> str:
    return ", ".join(str(s) for s in scales)
