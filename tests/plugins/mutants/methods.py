"""Sharing methods that break one law each: name -> (class, the check that it breaks, what fails with it)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mutants.sound import Mixed, SoundMethod
from srbench.models.backbone import Backbone
from srbench.models.sites import SharingSite
from srbench.plugin import GeneratedConv, SharedModuleRef, plain_conv

METHODS: dict[str, tuple[type[SoundMethod], str, frozenset[str]]] = {}


def breaks(check: str, *consequences: str) -> Callable[[type[Any]], type[Any]]:
    def register(cls: type[Any]) -> type[Any]:
        METHODS[cls.__name__] = (cls, check, frozenset(consequences))
        return cls

    return register


def folding(make: Callable[[Mixed, int | None], nn.Module]) -> Any:
    """Return a `fold` for layers of ours."""

    def fold(self: Any, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module | None:
        return make(module, scale) if isinstance(module, Mixed) else None

    return fold


def filled(layer: Mixed, make: Callable[[], nn.Conv2d]) -> nn.Conv2d:
    """Copy a layer's kernel and bias into a convolution."""
    plain = make()
    with torch.no_grad():
        plain.weight.copy_(layer.kernel())
        plain.bias.copy_(layer.bias)
    return plain


@breaks("fold_equals_unfolded")
class Doubling(SoundMethod):
    fold = folding(lambda layer, scale: layer.options.plain(2 * layer.kernel(), layer.bias))


@breaks("fold_on_meta")
class FoldsByValue(SoundMethod):
    fold = folding(
        lambda layer, scale: layer.options.plain(layer.kernel() * float(layer.kernel().isfinite().all()), layer.bias)
    )


@breaks("fold_keeps_device")
class FoldsOntoTheCPU(SoundMethod):
    fold = folding(
        lambda layer, scale: (
            plain_conv(nn.Conv2d(6, 6, 3, padding=1), torch.zeros(layer.kernel_shape), torch.zeros(6))
            if layer.mixture.is_meta
            else layer.folded()
        )
    )


@breaks("fold_keeps_dtype", "global_state_unchanged")
class FoldsIntoFloat32(SoundMethod):
    """`nn.Conv2d` makes a weight in float32, and draws it at random; copying into it says nothing."""

    fold = folding(
        lambda layer, scale: (
            layer.folded()
            if layer.mixture.is_meta
            else filled(layer, lambda: nn.Conv2d(6, 6, 3, padding=1, device=layer.mixture.device))
        )
    )


class _Unregistered(nn.Module):
    def __init__(self, layer: Mixed) -> None:
        super().__init__()
        self.weight, self.offset = layer.kernel().detach(), layer.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.offset, padding=1)


@breaks("fold_keeps_registration")
class FoldsIntoUnregisteredTensors(SoundMethod):
    fold = folding(lambda layer, scale: _Unregistered(layer))


class _Shrunk(Mixed):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., 1:-1, 1:-1]


@breaks("replacement_shapes", "output_shape", "gradients_reach_every_parameter", "fold_equals_unfolded")
class LosesABorder(SoundMethod):
    conv = _Shrunk


class _Referring(SharedModuleRef):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.shared_module(x)


@breaks("shared_modules_registered", "state_dict_round_trip", "dtype_reaches_everything", "fold_keeps_registration")
class ForgetsToReturnWhatIsShared(SoundMethod):
    def build(self, *args: Any) -> None:
        return None

    def replace(self, site: SharingSite, module: nn.Module, shared: Any, scales: tuple[int, ...]) -> nn.Module:
        return _Referring(copy.deepcopy(module))

    def auxiliary_loss(self, model: Backbone) -> None:
        return None

    def identities(self) -> dict[str, Any]:
        return {}


class _Cheap(Mixed):
    def kernel_macs(self) -> int:
        return super().kernel_macs() // 2


@breaks("declared_synthesis")
class DeclaresHalf(SoundMethod):
    conv = _Cheap


@breaks("laws_after_on_step")
class BreaksLater(SoundMethod):
    """After half the training one parameter is used no more."""

    def on_step(self, model: Backbone, iteration: int, total: int) -> None:
        if 2 * iteration >= total > 2:
            model.unused = nn.Parameter(torch.zeros(3))


@breaks("laws_after_on_step")
class FoldsByValueLater(SoundMethod):
    """After half the training, folding reads values, which a network on the meta device does not have."""

    trained = False

    def on_step(self, model: Backbone, iteration: int, total: int) -> None:
        self.trained = 2 * iteration >= total > 2

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module | None:
        if self.trained and isinstance(module, Mixed):
            return module.options.plain(module.kernel() * float(module.kernel().isfinite().all()), module.bias)
        return super().fold(site, module, scale)


@breaks("auxiliary_loss_finite", "gradients_reach_every_parameter")
class DividesByZero(SoundMethod):
    def auxiliary_loss(self, model: Backbone) -> Tensor:
        return super().auxiliary_loss(model) / 0


@breaks("identity:mixtures_of_the_filters_themselves")
class WrongIdentity(SoundMethod):
    identity_factor = 1.01


@breaks("global_state_unchanged")
class ChangesTheDefaultDtype(SoundMethod):
    def on_step(self, model: Backbone, iteration: int, total: int) -> None:
        if total == 2:
            torch.set_default_dtype(torch.float64)


@breaks("global_state_unchanged")
class TurnsGradientsOff(SoundMethod):
    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module | None:
        torch.set_grad_enabled(False)
        return super().fold(site, module, scale)


class Explodes(SoundMethod):
    """Fails inside a layer, and so almost every check: for what is said of it."""

    def layer(self, site: SharingSite, layer: Any, shared: Any, scales: tuple[int, ...]) -> GeneratedConv:
        return _Exploding(site, layer, shared, scales)


class _Exploding(Mixed):
    def kernel(self) -> Tensor:
        raise ZeroDivisionError("no kernel today")
