"""Put sr-bench's backbones into timm's registry: `timm.create_model("edsr_baseline", scale=2)`."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

__all__ = ["register_in_timm"]

# timm files a model under the module of its function; one module of our own keeps its listings apart.
_MODULE = "srbench.timm_models"


def register_in_timm() -> None:
    """Register every installed backbone in timm by name; nothing is imported until timm creates one.

    A name that timm has already, its own or an earlier registration, is left alone.
    """
    from timm.models import is_model, register_model

    from srbench.registry import list_backbones

    module = sys.modules.setdefault(_MODULE, types.ModuleType(_MODULE, "Backbones of sr-bench in timm's registry."))
    for name in list_backbones():
        if not is_model(name):
            entry = _entry(name)
            setattr(module, name, entry)
            register_model(entry)


def _entry(name: str) -> Callable[..., Any]:
    def entry(pretrained: bool = False, **kwargs: Any) -> Any:
        from srbench.errors import ConfigError
        from srbench.models.factory import create_model

        for unwanted in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
            if kwargs.pop(unwanted, None):
                raise ConfigError(
                    f"'{unwanted}' is not used by sr-bench's backbones; name the weights by tag with "
                    "srbench.create_model"
                )
        allowed = {"scale", "scales", "seed"}
        if unknown := sorted(set(kwargs) - allowed):
            raise ConfigError(f"backbone '{name}' takes {', '.join(sorted(allowed))}; got {', '.join(unknown)}")
        return create_model(name, pretrained=pretrained or None, **kwargs)

    entry.__name__ = entry.__qualname__ = name
    entry.__module__ = _MODULE
    entry.__doc__ = f"Create the sr-bench backbone '{name}'; give `scale=2` or `scales=(2, 3, 4)`."
    return entry
