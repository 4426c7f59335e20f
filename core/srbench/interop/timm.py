"""Put sr-bench's models into timm's registry: `timm.create_model("carn_m", pretrained=True, scale=2)`."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from srbench.errors import ConfigError, SRBenchError
from srbench.registry import list_backbones, list_methods
from srbench.registry.names import ModelName
from srbench.registry.registries import WEIGHTS

if TYPE_CHECKING:
    from srbench.models.backbone import Backbone

__all__ = ["register_in_timm"]

# timm's module name of a model is the last part of its function's module: `timm.list_models(module="srbench")`.
_MODULE = "srbench.interop.timm.srbench"

# Arguments that timm.create_model passes to every function; None unless given by the caller.
_TIMM_OPTIONS = ("pretrained_cfg_overlay", "cache_dir")


def register_in_timm() -> None:
    """Register every installed backbone in timm, alone and with each method, and the tags of published weights.

    A model's code is imported when timm creates it. Names that already exist in timm are not replaced.
    """
    from timm.models import generate_default_cfgs, is_model, register_model

    module = sys.modules.setdefault(_MODULE, types.ModuleType(_MODULE, "sr-bench's models in timm's registry."))
    tags = _tags()
    module.default_cfgs = generate_default_cfgs(  # type: ignore[attr-defined]
        {f"{name}.{tag}": _pretrained_cfg(f"{name}.{tag}") for name, found in tags.items() for tag in found}
    )
    for backbone in list_backbones():
        for method in (None, *list_methods()):
            name = ModelName(backbone, method)
            if not is_model(str(name)):
                entry = _entry(name, tags.get(str(name), ()))
                setattr(module, str(name), entry)
                register_model(entry)


def _tags() -> dict[str, list[str]]:
    """Return model -> tags of its weights, `author` first: timm takes the first of several as the default."""
    found: dict[str, list[str]] = {}
    for tagged in sorted(WEIGHTS.names(), key=lambda name: (not name.endswith(".author"), name)):
        model, _, tag = tagged.partition(".")
        found.setdefault(model, []).append(tag)
    return found


def _pretrained_cfg(tagged: str) -> dict[str, Any]:
    """Return timm's configuration of published weights; images are RGB in 0..1 without normalization."""
    value: dict[str, Any] = {"num_classes": 0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    try:
        source = WEIGHTS.get(tagged).sources[0]
    except SRBenchError:
        return value  # a broken plugin: without an address, timm counts no weights
    return {**value, "url": source.url, "license": source.licence, "paper_name": source.paper}


def _entry(name: ModelName, tags: list[str] | tuple[str, ...]) -> Callable[..., Backbone]:
    def entry(pretrained: bool = False, pretrained_cfg: Any = None, **kwargs: Any) -> Backbone:
        from srbench.models.factory import create_model

        for unwanted in _TIMM_OPTIONS:
            if kwargs.pop(unwanted, None):
                raise ConfigError(f"'{unwanted}' is not used by sr-bench's models; choose weights by tag: '{name}.TAG'")
        if pretrained_cfg and not isinstance(pretrained_cfg, str):
            raise ConfigError(f"pretrained_cfg is a tag for sr-bench's models, such as '{name}.author'; got an object")
        options = {key: kwargs.pop(key) for key in ("scale", "scales", "seed") if key in kwargs}
        if kwargs and name.method is None:
            raise ConfigError(f"'{name}' takes scale, scales and seed; got {', '.join(sorted(kwargs))}")
        tag = pretrained_cfg or (_default_tag(name, tags) if pretrained else None)
        model = ModelName(name.backbone, name.method, tuple(kwargs.items()), tag)
        return create_model(model, pretrained=pretrained, **options)

    entry.__name__ = entry.__qualname__ = str(name)
    entry.__module__ = _MODULE
    entry.__doc__ = f"Create sr-bench's '{name}'; give `scale=2` or `scales=(2, 3, 4)`, and the method's arguments."
    return entry


def _default_tag(name: ModelName, tags: list[str] | tuple[str, ...]) -> str:
    """Return the tag selected by `pretrained=True`.

    Raises:
        ConfigError: There is none, or there are several.
    """
    if not tags:
        raise ConfigError(
            f"no weights are known for '{name}'; with weights: {', '.join(WEIGHTS.names()) or '(none installed)'}"
        )
    if len(tags) > 1:
        raise ConfigError(
            f"'{name}' has weights under {len(tags)} tags; name one: " + ", ".join(f"'{name}.{tag}'" for tag in tags)
        )
    return tags[0]
