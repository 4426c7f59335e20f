"""The precision of a training: number formats, memory layout, and whether a device supports a recipe."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from srbench.errors import ConfigError
from srbench.models.backbone import Backbone
from srbench.models.methods.sharing_method import SharingMethod

if TYPE_CHECKING:
    from srbench.training.recipe import Recipe

__all__ = ["autocast", "check_arithmetic", "full_precision_loss", "in_layout", "keep_in_float32", "memory_format"]

# Their state starts at zero and their step count is on the device, so that a captured step can be replayed.
_CAPTURABLE = ("Adam", "AdamW")


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of a forward pass: bfloat16 if the recipe says so; weights stay in float32."""
    if recipe.precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def full_precision_loss(criterion: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a criterion that compares in float32, whatever the outputs' dtype."""
    return lambda output, target: criterion(output.float(), target)


def memory_format(recipe: Recipe) -> torch.memory_format:
    """Return the memory format of features and kernels."""
    return torch.channels_last if recipe.channels_last else torch.contiguous_format


def keep_in_float32(net: Any, recipe: Recipe) -> None:
    """Make a network's `float32_layers` compute in float32 while the others compute in bfloat16."""
    if recipe.precision != "bf16":
        return
    for path in net.float32_layers:
        layer = net.get_submodule(path)
        contexts: list[torch.autocast] = []

        def enter(_: nn.Module, inputs: tuple[Tensor, ...], contexts: list[torch.autocast] = contexts) -> Any:
            device = inputs[0].device.type
            if not torch.is_autocast_enabled(device):
                return None
            contexts.append(torch.autocast(device, enabled=False))
            contexts[-1].__enter__()
            return tuple(part.float() for part in inputs)

        def leave(*_: Any, contexts: list[torch.autocast] = contexts) -> None:
            if contexts:
                contexts.pop().__exit__(None, None, None)

        layer.register_forward_pre_hook(enter)
        layer.register_forward_hook(leave, always_call=True)


def in_layout(net: Any, recipe: Recipe) -> Any:
    """Return a network with its kernels in the recipe's memory format."""
    return net.to(memory_format=torch.channels_last) if recipe.channels_last else net


def check_arithmetic(recipe: Recipe, net: nn.Module, device: torch.device) -> None:
    """Refuse settings that cannot work for this network on this device.

    Raises:
        ConfigError: The message says which setting, why, and what to use instead.
    """
    if recipe.precision == "tf32" and device.type != "cuda":
        raise ConfigError(f"precision 'tf32' is a mode of NVIDIA GPUs, and the device is {device}; take float32.")
    if recipe.precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigError(f"{torch.cuda.get_device_name(device)} has no bfloat16; take precision tf32 or float32.")
    if recipe.compile == "graph":
        _check_graph(recipe, net, device)
    if recipe.compile == "inductor" and device.type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        raise ConfigError(
            "compile 'inductor' needs a C++ compiler on a CPU, and neither g++ nor clang++ is installed; "
            "install one, or take compile none."
        )


def _check_graph(recipe: Recipe, net: nn.Module, device: torch.device) -> None:
    if device.type != "cuda":
        raise ConfigError(
            f"compile 'graph' records CUDA kernels, and the device is {device}; take compile none or inductor."
        )
    if recipe.optimizer not in _CAPTURABLE:
        raise ConfigError(
            f"compile 'graph' works with {' and '.join(_CAPTURABLE)}, not with {recipe.optimizer}; take compile none."
        )
    if recipe.clip is not None and recipe.clip.type == "adjustable":
        raise ConfigError(
            "compile 'graph' records one bound for gradients, and clip 'adjustable' moves; take compile none."
        )
    method = getattr(net, "method", None)
    scheduled = type(net).on_step is not Backbone.on_step if isinstance(net, Backbone) else False
    if scheduled or (method is not None and type(method).on_step is not SharingMethod.on_step):
        raise ConfigError(
            "compile 'graph' repeats one recorded iteration, and this network changes from iteration to iteration by "
            "a schedule; take compile none or inductor."
        )
