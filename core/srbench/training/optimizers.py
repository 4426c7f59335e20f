"""torch optimizers by name, with their options."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from srbench.errors import suggest

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from srbench.training.recipe import Recipe

__all__ = ["check_optimizer", "optimizer_arguments", "optimizer_class"]

_UNSUITABLE = {
    "LBFGS": "computes the loss several times in a step, which a training of patches does not",
    "Muon": "updates matrices only, and the kernels of convolutions are none",
    "SparseAdam": "takes sparse gradients only, which super-resolution networks do not have",
}
# Settings that have their own keys in a recipe.
_OWN_KEYS = ("lr", "betas", "weight_decay")
# Not SGD: its fused form fails if a layer's first gradient comes late, as in multi-scale networks.
_FUSED = ("Adam", "AdamW")
# Mutually exclusive implementations of the same step.
_VARIANTS = ("fused", "foreach", "capturable", "differentiable")


def optimizer_class(name: str) -> type[Optimizer]:
    """Return a class of `torch.optim` by name.

    Raises:
        ValueError: There is none, or it cannot train a network on patches; the message suggests the nearest name.
    """
    import torch

    known = {
        key: value
        for key, value in vars(torch.optim).items()
        if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
    }
    if name in _UNSUITABLE:
        raise ValueError(f"the optimizer '{name}' {_UNSUITABLE[name]}; take another, such as Adam or SGD")
    if name not in known:
        raise ValueError(f"unknown optimizer '{name}'" + suggest(name, set(known) - set(_UNSUITABLE), noun="torch has"))
    return known[name]


def optimizer_arguments(recipe: Recipe) -> dict[str, Any]:
    """Return the keyword arguments of a recipe's optimizer, the learning rate included.

    Raises:
        ValueError: An option or setting is unknown to the optimizer, or given under the wrong key.
    """
    parameters = inspect.signature(optimizer_class(recipe.optimizer)).parameters
    options = recipe.optimizer_options
    for key in options:
        if key in _OWN_KEYS:
            raise ValueError(f"optimizer_options has '{key}', which is a key of the recipe itself; give it there")
        if key not in parameters or key == "params":
            known = set(parameters) - {"params", *_OWN_KEYS}
            raise ValueError(
                f"the optimizer '{recipe.optimizer}' has no option '{key}'" + suggest(key, known, noun="it has")
            )
    arguments: dict[str, Any] = {"lr": recipe.lr}
    for key in ("betas", "weight_decay"):
        if key in parameters:
            arguments[key] = getattr(recipe, key)
        elif getattr(recipe, key) != type(recipe).model_fields[key].default:
            raise ValueError(f"the optimizer '{recipe.optimizer}' has no {key}; leave out '{key}'")
    if recipe.optimizer in _FUSED and not any(options.get(key) for key in _VARIANTS):
        # One call for all parameters: small networks have many small tensors.
        arguments["fused"] = True
    return {**arguments, **options}


def check_optimizer(recipe: Recipe) -> None:
    """Refuse a recipe whose optimizer cannot be made.

    Raises:
        ValueError: The name, an option or a value is wrong.
    """
    import torch

    arguments = optimizer_arguments(recipe)
    kernel = torch.nn.Parameter(torch.zeros(1, 1, 3, 3))
    try:
        optimizer_class(recipe.optimizer)([kernel], **arguments)
    except Exception as error:  # optimizers raise various exceptions for a wrong value
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"the optimizer '{recipe.optimizer}' refuses its options: {reason}") from None
