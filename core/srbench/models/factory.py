"""Create models by name."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence

import torch

from srbench.errors import ConfigError
from srbench.models.backbone import Backbone
from srbench.models.surgery import apply_method
from srbench.registry import canonical_name, get_backbone, make_method, tagged_source
from srbench.registry.names import ModelName

__all__ = ["create_model"]


def create_model(
    name: str | ModelName,
    *,
    scale: int | None = None,
    scales: Sequence[int] | None = None,
    pretrained: bool | None = None,
    seed: int | None = None,
) -> Backbone:
    """Create a model by name.

    Args:
        name: `BACKBONE[+METHOD[(key=value,...)]][.TAG]`.
        scale: The model's only scale; a multi-scale network is created without the parameters of its other scales.
        scales: All scales of a multi-scale network, instead of `scale`.
        pretrained: Load the tag's weights (default: True if the name has a tag).
        seed: Seed of the initialization; the global random state is restored afterwards. None uses the global random
            state.

    Raises:
        NameSyntaxError, UnknownNameError, PluginError: The name is invalid or unknown, or its plugin is broken.
        ConfigError: A wrong argument or scale, or `pretrained=True` without a tag.
        SharingError: The method cannot be applied to the backbone.
        WeightsError, NetworkError: The weights are not available or do not fit.

    Example:
        >>> create_model("edsr_tiny+recursive", scale=2).scales
        (2,)
    """
    model_name = canonical_name(name)
    wanted = _wanted_scales(scale, scales, model_name)
    tagged = tagged_source(model_name) if model_name.tag is not None else None
    if pretrained and tagged is None:
        raise ConfigError(f"pretrained=True needs a tag to choose the weights, and '{model_name}' has none")
    found = [tagged.serving(s) for s in wanted] if tagged is not None else []
    source = found[0] if found and pretrained is not False else None
    if source is not None and any(other is not source for other in found):
        raise ConfigError(
            f"'{model_name}' has a separate weights file for each scale, and one network cannot load several; create "
            "it for one scale"
        )
    with _seeded(seed):
        model = _build(model_name, source.scales if source is not None else wanted)
    if source is not None:
        source.load_into(model)
    return model.at_scale(wanted[0]) if len(wanted) == 1 and model.scales != wanted else model


def _wanted_scales(scale: int | None, scales: Sequence[int] | None, name: ModelName) -> tuple[int, ...]:
    if (scale is None) == (scales is None):
        raise ConfigError(f"give either scale=2 or scales=(2, 3, 4) to create '{name}'")
    wanted = (scale,) if scale is not None else tuple(scales or ())
    if (
        not wanted
        or any(isinstance(s, bool) or not isinstance(s, int) or not 1 <= s <= 16 for s in wanted)
        or len(set(wanted)) != len(wanted)
    ):
        raise ConfigError(f"scales must be distinct whole numbers from 1 to 16, such as 2, 3 or 4; got {wanted!r}")
    return wanted


def _build(name: ModelName, scales: tuple[int, ...]) -> Backbone:
    entry = get_backbone(name.backbone)
    if "scales" not in inspect.signature(entry).parameters:
        raise ConfigError(f"backbone '{name.backbone}' is not a function that takes `scales`; see docs/plugins.md")
    model = entry(scales=scales)
    if not isinstance(model, Backbone):
        raise ConfigError(
            f"backbone '{name.backbone}' returned {type(model).__name__}, which is not a srbench.Backbone"
        )
    model.model_name = name
    method = make_method(name)
    return model if method is None else apply_method(model, method)


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
