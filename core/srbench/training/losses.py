"""basicsr losses by name, alone or summed."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from srbench.compat.basicsr import load_basicsr
from srbench.errors import ConfigError, suggest

load_basicsr()
# basicsr logs every loss that it builds.
logging.getLogger("basicsr").setLevel(logging.ERROR)

from basicsr.archs.vgg_arch import VGG_PRETRAIN_PATH  # noqa: E402
from basicsr.losses import build_loss  # noqa: E402
from basicsr.losses.basic_loss import PerceptualLoss  # noqa: E402
from basicsr.losses.gan_loss import GANLoss  # noqa: E402
from basicsr.utils.registry import LOSS_REGISTRY  # noqa: E402

if TYPE_CHECKING:
    from srbench.training.recipe import Recipe

__all__ = ["check_losses", "make_criterion"]

# The value of LapSRN, which introduced this loss to super-resolution. basicsr's default makes it an L1 loss.
CHARBONNIER_EPSILON = 1e-3

_VGG_SHA256 = "dcbb9e9d"  # beginning of the hash of torchvision's VGG-19 file, which its name contains


class SummedLoss(nn.Module):
    """Sum of a loss between two images and additional losses; single-image losses are applied to the SR image.

    Args:
        main: The loss between SR and HR image.
        extra: The additional losses.
    """

    def __init__(self, main: nn.Module, extra: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList([main, *extra])

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the sum for images `(N, C, H, W)` in 0..1."""
        total: Tensor = sum((_value(part, sr, hr) for part in self.parts), torch.zeros((), device=sr.device))
        return total


def make_criterion(recipe: Recipe) -> Any:
    """Return a recipe's loss between SR and HR images.

    Raises:
        ConfigError: The loss needs the weights of VGG-19, which are missing.
    """
    main = _build(recipe.loss, recipe.loss_options)
    if not recipe.extra_losses and _plain(main):
        return main
    return SummedLoss(main, [_build(str(spec["type"]), _options(spec)) for spec in recipe.extra_losses])


def check_losses(recipe: Recipe) -> None:
    """Refuse a recipe whose losses cannot be made, or do not compare images.

    Raises:
        ValueError: A name, an option or a value is wrong; the message suggests the nearest name.
    """
    _check(recipe.loss, recipe.loss_options, alone=True)
    for spec in recipe.extra_losses:
        if "type" not in spec:
            raise ValueError("each of extra_losses has a 'type', such as {type: WeightedTVLoss, loss_weight: 0.01}")
        _check(str(spec["type"]), _options(spec), alone=False)


def _options(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key != "type"}


def _check(name: str, options: dict[str, Any], *, alone: bool) -> None:
    known = set(LOSS_REGISTRY.keys())
    if name not in known:
        raise ValueError(f"unknown loss '{name}'" + suggest(name, known, noun="basicsr has"))
    cls = LOSS_REGISTRY.get(name)
    if inspect.isclass(cls) and issubclass(cls, GANLoss):
        raise ValueError(f"the loss '{name}' judges a discriminator's output, and recipes train no discriminator")
    if alone and len(_required(cls.forward)) < 2:
        raise ValueError(f"the loss '{name}' sees the SR image only; give it in extra_losses, beside one that compares")
    parameters = inspect.signature(cls).parameters
    for key in options:
        if key not in parameters:
            raise ValueError(f"the loss '{name}' has no option '{key}'" + suggest(key, parameters, noun="it has"))
    if cls is PerceptualLoss:
        if "layer_weights" not in options:
            raise ValueError("the loss 'PerceptualLoss' needs 'layer_weights', such as {conv5_4: 1}")
        return  # half a gigabyte of weights, which are checked when the training begins
    image = torch.linspace(0, 1, 768).view(1, 3, 16, 16)  # no random numbers: a check must not change the generators
    try:
        value = _value(_build(name, options), image, 1 - image)
    except Exception as error:  # losses raise various exceptions for a wrong value
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"the loss '{name}' cannot be used with its options: {reason}") from None
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise ValueError(f"the loss '{name}' does not return one number; with 'reduction', take mean or sum")


def _build(name: str, options: dict[str, Any]) -> Any:
    if name == "CharbonnierLoss":
        options = {"eps": CHARBONNIER_EPSILON**2, **options}
    if name == "PerceptualLoss":
        _check_vgg_weights()
    return build_loss({"type": name, **options})


def _check_vgg_weights() -> None:
    """Refuse to run without weights that basicsr would otherwise download without checking their hash."""
    from srbench.storage import sha256_file

    path = Path(VGG_PRETRAIN_PATH)
    if not path.is_file() or not sha256_file(path).startswith(_VGG_SHA256):
        raise ConfigError(
            f"the loss 'PerceptualLoss' needs torchvision's weights of VGG-19 as '{path}' in the working directory, "
            "where basicsr looks for them; put the file there, or choose another loss."
        )


def _required(forward: Any) -> list[str]:
    """Return the required arguments of a loss, without `self`."""
    return [
        name
        for name, parameter in list(inspect.signature(forward).parameters.items())[1:]
        if parameter.default is parameter.empty and parameter.kind in (0, 1)
    ]


def _plain(loss: nn.Module) -> bool:
    return not isinstance(loss, PerceptualLoss) and len(_required(type(loss).forward)) == 2


def _value(loss: nn.Module, sr: Tensor, hr: Tensor) -> Any:
    if isinstance(loss, PerceptualLoss) and sr.shape[1] == 1:
        sr, hr = sr.expand(-1, 3, -1, -1), hr.expand(-1, 3, -1, -1)
    value = loss(sr) if len(_required(type(loss).forward)) < 2 else loss(sr, hr)
    if isinstance(value, tuple):  # perceptual and style loss; None if its weight is 0
        given = [part for part in value if part is not None]
        value = sum(given[1:], given[0]) if given else sr.sum() * 0
    return value
