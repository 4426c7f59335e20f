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

    Networks are written unrolled, each use of a layer at a path of its own, and tie their native recursion in the
    constructor (`srbench.models.surgery.tie`). Input is RGB `(N, 3, h, w)` in 0..1; output is RGB
    `(N, 3, scale*h, scale*w)`, not clamped, or a structure of several outputs which `loss` and `image` understand.

    Attributes:
        scales: The scales that the network can do; more than one for a multi-scale network.
        shared: What sharing sites use together, each registered here once.
        method: The sharing method applied, or None for the published network.
        model_name: The canonical name that the network was created under, or None.
        receptive_field: LR pixels on each side beyond which nothing changes an output pixel; None where there is no
            such bound, as with global pooling or attention, or where none is known. Tiling overlaps by it.
        accepts_luma: Whether it also takes luma `(N, 1, h, w)` in 16/255..235/255 and then returns luma, as protocols
            that compare luma alone need it.
        float32_layers: Paths of the layers that a training in bfloat16 computes in float32: those that make the image,
            since bfloat16 tells apart only 128 levels between 0.5 and 1.
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
        """Return the sites, in the order of execution."""
        return []

    def select_scale(self, scale: int | None) -> int:
        """Make a scale the active one and return it; None means the only one.

        Raises:
            ConfigError: The network lacks the scale, or has several and none was named.
        """
        if scale is None:
            if len(self.scales) != 1:
                raise ConfigError(
                    f"this network has the scales {_listed(self.scales)}; say which: model(lr, scale={self.scales[0]})"
                )
            scale = self.scales[0]
        if scale not in self.scales:
            raise ConfigError(f"scale {scale} was asked of a network for scale {_listed(self.scales)}")
        if scale != self._active_scale:
            for module in self.modules():
                if isinstance(module, MultiScaleModule) and scale in module.scales:
                    module.active_scale = scale
            self._active_scale = scale
        return scale

    def at_scale(self, scale: int) -> Self:
        """Return a copy that holds only what one scale deploys.

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
        """Remove parts that only other scales use; a multi-scale backbone with several upsamplers overrides it."""

    def targets(self, hr: Tensor, scale: int) -> Any:
        """Return what the outputs are compared with in training (default: the HR batch itself)."""
        return hr

    def loss(self, outputs: Any, targets: Any, criterion: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Return the training loss of the outputs (default: the criterion on the SR image)."""
        return criterion(self.image(outputs), targets)

    def image(self, outputs: Any) -> Tensor:
        """Return the SR image `(N, 3, H, W)` among the outputs (default: the output is the image)."""
        if not isinstance(outputs, Tensor):
            raise ConfigError(
                f"{type(self).__name__} returns {type(outputs).__name__}; it must override `image` to say which "
                "output is the SR image"
            )
        return outputs

    def executed_macs(self, lr: Tensor, scale: int | None = None) -> list[int] | None:
        """Return the multiply-accumulates that inference executes for each image of a batch, where masks skip some.

        What depends on the images, such as sparse masks, is beyond `srbench.cost`, which counts the dense computation
        from shapes. A network that skips work says here how much is left: convolutions and matrix products at the size
        of `lr` as it is, all of them, those that are never skipped included. Where an image skips nothing, it must be
        the dense count. None, every image takes what the shapes say; default: what the sharing method answers.

        Args:
            lr: LR images `(N, 3, h, w)` in 0..1.
            scale: As in `forward`.
        """
        return None if self.method is None else self.method.executed_macs(self, lr, scale)

    def auxiliary_loss(self) -> Tensor | None:
        """Return the sharing method's additional loss, or None."""
        return None if self.method is None else self.method.auxiliary_loss(self)

    def on_step(self, iteration: int, total: int) -> None:
        """Let the sharing method follow its schedule; call it before each training iteration, counted from 1."""
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
