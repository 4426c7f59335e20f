"""Whether a device supports a recipe, checked before images are decoded and before anything is written.

`srbench.training.precision` checks again when a training starts, but it accepts settings that a GPU only emulates or
ignores, which a record would then state without their having had any effect.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from srbench.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from srbench.training.recipe import Recipe

__all__ = ["GPUFeatures", "check_features", "check_training", "depends_on_device", "gpu_features"]

# Ampere; torch.cuda.is_bf16_supported(including_emulation=False) compares with the same, on the current GPU only.
_BF16_CAPABILITY = _TF32_CAPABILITY = (8, 0)
_TRITON_CAPABILITY = (7, 0)


@dataclass(frozen=True)
class GPUFeatures:
    """What a GPU can do, as far as recipes depend on it.

    Attributes:
        name: Its name.
        capability: CUDA compute capability; None for a GPU that is not NVIDIA's.
        native_bf16: Whether it computes in bfloat16 instead of emulating it.
        triton: Whether Triton, which inductor needs on GPUs, is installed.
    """

    name: str
    capability: tuple[int, int] | None
    native_bf16: bool
    triton: bool


def depends_on_device(recipe: Recipe) -> bool:
    """Return whether a recipe asks for something that not every device and every network supports."""
    return recipe.precision != "float32" or recipe.compile != "none"


def check_training(recipe: Recipe, net: nn.Module, device: str, *, here: bool = True) -> None:
    """Refuse settings that cannot work for a network on a device.

    Args:
        recipe: The training's settings.
        net: The network.
        device: `cpu`, `cuda` or `cuda:N`.
        here: Whether the device is one of this machine; of a cluster's nodes, only the kind of device is known.

    Raises:
        ConfigError: The message says which setting, why, and what to use instead.
    """
    if not depends_on_device(recipe):
        return
    import torch

    from srbench.training.precision import check_arithmetic

    where = torch.device(device)
    if here:
        check_arithmetic(recipe, net, where)
        if where.type == "cuda":
            check_features(recipe, gpu_features(where))
        return
    unknown: dict[str, str] = {}
    if recipe.compile == "inductor":  # needs a compiler or Triton on the node
        unknown["compile"] = "none"
    if where.type == "cuda":
        unknown["precision"] = "float32"
    check_arithmetic(recipe.model_copy(update=unknown), net, where)


def gpu_features(device: torch.device) -> GPUFeatures:
    """Return the features of a GPU of this machine."""
    import torch

    capability = torch.cuda.get_device_capability(device) if torch.version.hip is None else None
    return GPUFeatures(
        torch.cuda.get_device_name(device),
        capability,
        native_bf16=capability is None or capability >= _BF16_CAPABILITY,
        triton=importlib.util.find_spec("triton") is not None,
    )


def check_features(recipe: Recipe, gpu: GPUFeatures) -> None:
    """Refuse settings that a GPU would emulate, ignore or fail to compile.

    Raises:
        ConfigError: The message says which setting, why, and what to use instead.
    """
    if recipe.precision == "bf16" and not gpu.native_bf16:
        raise ConfigError(f"precision 'bf16' is only emulated on {gpu.name}, which is slow; take precision float32.")
    if recipe.precision == "tf32" and _below(gpu, _TF32_CAPABILITY):
        raise ConfigError(
            f"precision 'tf32' has no effect on {gpu.name}: it needs compute capability {_said(_TF32_CAPABILITY)}, and "
            f"this GPU has {_said(gpu.capability)}; take precision float32."
        )
    if recipe.compile == "inductor" and not gpu.triton:
        raise ConfigError(
            "compile 'inductor' needs Triton on a GPU, and it is not installed; install it (`pip install triton`), or "
            "take compile none."
        )
    if recipe.compile == "inductor" and _below(gpu, _TRITON_CAPABILITY):
        raise ConfigError(
            f"compile 'inductor' needs compute capability {_said(_TRITON_CAPABILITY)} on a GPU, and {gpu.name} has "
            f"{_said(gpu.capability)}; take compile none."
        )


def _below(gpu: GPUFeatures, least: tuple[int, int]) -> bool:
    return gpu.capability is not None and gpu.capability < least


def _said(capability: tuple[int, int] | None) -> str:
    return "unknown" if capability is None else f"{capability[0]}.{capability[1]}"
