"""Surgery: replace the modules at a network's sharing sites, tie them, and fold them back into plain layers."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import TypeVar

from torch import nn

from srbench.errors import SharingError
from srbench.models.backbone import Backbone
from srbench.models.methods.recursive import Recursive
from srbench.models.methods.sharing_method import SharingMethod
from srbench.models.shared_modules import SharedModuleRef, TiedLayer
from srbench.models.sites import BIAS_POLICIES, SharingSite

__all__ = ["apply_method", "checked_sites", "deployed", "fold", "layer_at", "tie"]

B = TypeVar("B", bound=Backbone)


def layer_at(model: nn.Module, path: str) -> nn.Module:
    """Return the layer that computes at a path: the module there, or the shared layer that it refers to."""
    module = model.get_submodule(path)
    if isinstance(module, TiedLayer):
        shared = module.shared_module
        assert shared is not None  # a TiedLayer always has a layer
        return shared
    return module


def checked_sites(model: Backbone) -> list[SharingSite]:
    """Return a network's sites after checking that their paths exist and are unique.

    Raises:
        SharingError: Two sites have the same path, a path does not exist, or a bias policy is unknown.
    """
    sites = list(model.sharing_sites())
    seen: set[str] = set()
    for site in sites:
        if site.path in seen:
            raise SharingError(f"{type(model).__name__} declares the sharing site '{site.path}' twice")
        seen.add(site.path)
        if site.bias not in BIAS_POLICIES:
            raise SharingError(
                f"{type(model).__name__} declares the bias policy '{site.bias}' at '{site.path}', which is not one of "
                f"{', '.join(BIAS_POLICIES)}"
            )
        for path in (site.path, *site.companions):
            try:
                model.get_submodule(path)
            except AttributeError:
                raise SharingError(
                    f"{type(model).__name__} declares the sharing site '{path}', but has no such module"
                ) from None
    return sites


def _set_module(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def _key(prefix: str, name: str) -> str:
    return f"{prefix}_" + re.sub(r"\W+", "_", name)


def apply_method(model: B, method: SharingMethod) -> B:
    """Apply a sharing method to a network in place, and return the network.

    All replacements are built before the first one is inserted, so a method that fails leaves the network unchanged.

    Raises:
        SharingError: The method applies to none of the network's sites, or the sites cannot share this way.
    """
    groups = method.groups(checked_sites(model))
    method.require_sites(groups, _name_of(model))
    replacements: dict[str, nn.Module] = {}
    shared_modules: dict[str, nn.Module] = {}
    for group in groups:
        modules = {site.path: layer_at(model, site.path) for site in (*group.sites, *group.sources)}
        shared = method.build(group, modules, model.scales)
        if shared is not None:
            shared_modules[_key(type(method).__name__.lower(), group.name)] = shared
        for site in group.sites:
            scales = tuple(scale for scale in model.scales if site.scales is None or scale in site.scales)
            module = method.replace(site, modules[site.path], shared, scales)
            replacements[site.path] = TiedLayer(shared) if module is shared and shared is not None else module
            if module is not shared:
                # Companions are untied with the site and get their own parameters too (SRFBN's PReLU of each time
                # step).
                replacements.update({path: copy.deepcopy(layer_at(model, path)) for path in site.companions})
    for path, module in replacements.items():
        _set_module(model, path, module)
    _forget_unused(model, replaced_by=shared_modules.values())
    model.shared.update(shared_modules)
    model.method = method
    model._active_scale = None
    method.applied(model)
    return model


def tie(model: Backbone, sites: Iterable[SharingSite]) -> None:
    """Tie sites as in the published network; called by constructors of backbones.

    Raises:
        SharingError: Sites of one tie class differ in shape.
    """
    method = Recursive()
    for group in method.groups(list(sites)):
        if len(group.sites) < 2:
            continue
        shared = method.build(group, {site.path: layer_at(model, site.path) for site in group.sites}, model.scales)
        assert shared is not None
        for key in [key for key, module in model.shared.items() if module is shared]:
            del model.shared[key]  # register each layer once, even if the constructor has already registered it
        model.shared[_key("native", group.name)] = shared
        for site in group.sites:
            _set_module(model, site.path, TiedLayer(shared))


def _forget_unused(model: Backbone, replaced_by: Iterable[nn.Module] = ()) -> None:
    used = {id(module.shared_module) for module in model.modules() if isinstance(module, SharedModuleRef)}
    # A natively tied layer that a method ties again is registered only under the method's key.
    used -= {id(module) for module in replaced_by}
    for key in [key for key, module in model.shared.items() if id(module) not in used]:
        del model.shared[key]


def fold(model: B, scale: int | None = None) -> B:
    """Return a copy for inference, with plain layers in place of shared ones wherever possible.

    The copy computes the same function as the network and costs as much as its dense form. A method may leave a site
    unfolded where folding would be slower.

    Raises:
        ConfigError: The network has several scales and none was named, or lacks the one named.
    """
    scale = model.select_scale(scale)
    folded = model.at_scale(scale)
    method = folded.method
    if method is None:
        return folded
    for site in filter(method.takes, folded.sharing_sites()):  # others may lie in replaced modules
        module = folded.get_submodule(site.path)
        plain = method.fold(site, layer_at(folded, site.path), scale)
        if plain is not None:
            _set_module(folded, site.path, copy.deepcopy(plain) if isinstance(module, TiedLayer) else plain)
            for path in site.companions:
                _set_module(folded, path, copy.deepcopy(layer_at(folded, path)))
    _forget_unused(folded)
    return folded


def deployed(model: B, scale: int) -> B:
    """Return the network to measure at a scale: restricted to the scale, and folded if the method says so.

    Raises:
        ConfigError: The network lacks the scale.
    """
    if model.method is not None and model.method.measured_folded:
        return fold(model, scale)
    return model if model.scales == (scale,) else model.at_scale(scale)


def _name_of(model: Backbone) -> str:
    return str(model.model_name.backbone) if model.model_name is not None else type(model).__name__
