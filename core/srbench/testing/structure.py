"""Checks of structure: sites, their replacements, registered modules, and declared costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from srbench.cost.operators import on_meta, run
from srbench.cost.rules import CONVOLUTION, PRODUCT
from srbench.errors import CostError, SharingError
from srbench.models.backbone import Backbone
from srbench.models.factory import create_model
from srbench.models.generated_conv import GeneratedConv
from srbench.models.shared_modules import SharedModuleRef
from srbench.models.sites import SharingSite
from srbench.models.surgery import checked_sites, layer_at
from srbench.registry.names import ModelName
from srbench.testing.subject import Check, CheckFailedError, CheckSkipped, Example, Subject, require, require_method

__all__ = ["STRUCTURE"]


def check_site_kinds(subject: Subject, example: Example) -> None:
    """A `conv` site is a convolution, a `tconv` site a transposed convolution, and a block has its declared parts."""
    plain = _without_method(subject, example)
    sites = _sites(plain)
    if not sites:
        raise CheckSkipped("no sharing sites")
    wanted = {"conv": nn.Conv2d, "tconv": nn.ConvTranspose2d}
    for site in sites:
        layer = layer_at(plain, site.path)
        if site.kind in wanted:
            require(
                isinstance(layer, wanted[site.kind]),
                f"the site '{site.path}' is of kind '{site.kind}' and holds {type(layer).__name__}, not "
                f"{wanted[site.kind].__name__}",
                site.path,
            )
        elif site.kind == "block":
            _require_parts(site, layer)


def check_replacement_shapes(subject: Subject, example: Example) -> None:
    """The replacement of a site has outputs of the same shapes as the original layer."""
    require_method(subject.fresh(example, spread=False))
    if subject.name is None:
        raise CheckSkipped("the name of the network without its method is unknown")
    plain, changed = _without_method(subject, example), subject.fresh(example)
    paths = [site.path for site in _sites(plain)]
    lr = example.images()
    for scale in subject.scales:
        before, _ = _output_shapes(plain, paths, lr, scale)
        after, error = _output_shapes(changed, paths, lr, scale)
        for path in paths:
            # Layers between the sites may be executed differently, and therefore more often.
            for shape in after[path] if before[path] else []:
                require(
                    shape in before[path],
                    f"x{scale}: the layer '{path}' gives {shape}, but the layer it replaces gives {before[path][0]}",
                    path,
                )
        if error is not None:
            raise CheckSkipped("the forward pass fails; the check 'output_shape' reports where") from error


def check_shared_modules_registered(subject: Subject, example: Example) -> None:
    """Every module that a layer refers to is registered in the network."""
    model = subject.fresh(example, spread=False)
    registered = {id(module) for module in model.modules()}
    references = [(path, module) for path, module in model.named_modules() if isinstance(module, SharedModuleRef)]
    if not references:
        raise CheckSkipped("no layer refers to a shared module")
    for path, module in references:
        for shared in module._referred:
            require(
                id(shared) in registered,
                f"the layer '{path}' uses {type(shared).__name__}, which is not registered in the network; return it "
                "from the method's `build`",
                path,
            )


def check_declared_synthesis(subject: Subject, example: Example) -> None:
    """The multiply-accumulates that a layer declares for generating its kernel match the counted ones."""
    model = subject.fresh(example, spread=False)
    if not any(isinstance(layer, GeneratedConv) and layer.kernel_macs() is not None for layer in model.modules()):
        raise CheckSkipped("no layer declares the cost of generating its kernel")
    for scale in subject.scales:
        view = on_meta(model.at_scale(scale))
        declared = {
            path: macs
            for path, module in view.named_modules()
            if isinstance(module, GeneratedConv) and (macs := module.kernel_macs()) is not None
        }
        try:
            execution = run(view, scale, example.height, example.width)
        except CostError as error:
            raise CheckSkipped("the network's operators cannot be counted") from error
        executions = [path for path, *_ in execution.layers]
        for path, macs in declared.items():
            calls = [call for call in execution.calls if call.synthesis and path in call.modules]
            found = sum(call.count for call in calls if call.kind in (CONVOLUTION, PRODUCT))
            expected = macs * executions.count(path)
            require(
                found == expected,
                f"x{scale}: the layer '{path}' declares {expected:,} multiply-accumulates for its kernel and takes "
                f"{found:,}",
                path,
            )


def _without_method(subject: Subject, example: Example) -> Backbone:
    """Return the network without its method; skip the check if it is unknown."""
    if subject.name is not None:
        return create_model(ModelName(subject.name.backbone), scales=subject.scales, seed=example.seed).eval()
    model = subject.fresh(example, spread=False)
    if model.method is not None:
        raise CheckSkipped("the name of the network without its method is unknown")
    return model


def _sites(model: Backbone) -> list[SharingSite]:
    try:
        return checked_sites(model)
    except SharingError as error:
        raise CheckSkipped("the sites are invalid; the check 'sites_exist' reports why") from error


def _require_parts(site: SharingSite, block: nn.Module) -> None:
    if site.parts is None:
        raise CheckFailedError(f"the site '{site.path}' is of kind 'block' but does not declare its parts", site.path)
    parts: Sequence[str] = (*site.parts.convs, site.parts.gather, site.parts.mask_input)
    for part in filter(None, parts):
        # A network with its own masks wraps its blocks.
        if not any(part in dict(module.named_modules()) for module in block.modules()):
            raise CheckFailedError(f"the block '{site.path}' has no part '{part}'", site.path)


@torch.no_grad()
def _output_shapes(
    model: Backbone, paths: Sequence[str], lr: Tensor, scale: int
) -> tuple[dict[str, list[Any]], Exception | None]:
    """Return the output shapes of each path by execution, and the error that ended the forward pass, if any."""
    shapes: dict[str, list[Any]] = {path: [] for path in paths}
    handles = []

    def hook(path: str) -> Any:
        return lambda module, inputs, output: shapes[path].append(_shape(output))

    for path in paths:
        try:
            handles.append(model.get_submodule(path).register_forward_hook(hook(path)))
        except AttributeError:
            continue  # a method for blocks has replaced the layer
    try:
        model(lr, scale)
    except Exception as error:  # a model's code may raise anything
        return shapes, error
    finally:
        for handle in handles:
            handle.remove()
    return shapes, None


def _shape(output: Any) -> Any:
    if isinstance(output, Tensor):
        return tuple(output.shape)
    return tuple(map(_shape, output)) if isinstance(output, list | tuple) else type(output).__name__


STRUCTURE: dict[str, Check] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}
