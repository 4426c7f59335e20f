"""Add masks to networks and select their inference path."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from torch import nn

from srbench.plugin import Backbone, BlockSpec, ConfigError, SharingError, SharingSite, SiteGroup
from srbench_sparse_mask.block import PATHS, MaskedBlock, masked_blocks
from srbench_sparse_mask.masks import (
    DynamicChannelMask,
    GradientMask,
    NoChannelMask,
    SharedMask,
    SpatialMask,
    StaticChannelMask,
)

if TYPE_CHECKING:
    from srbench_sparse_mask.method import SparseMask

__all__ = [
    "infers_sparsely", "mask_natively", "masked", "masked_dense", "shared_mask", "show_images", "sparse", "with_path",
]  # fmt: skip

B = TypeVar("B", bound=Backbone)


def shared_mask(method: SparseMask, group: SiteGroup, modules: Mapping[str, nn.Module]) -> nn.Module | None:
    """Return the spatial mask shared by several blocks; None for a block with its own masks."""
    if method.spatial == "gradient":
        return GradientMask()
    if len(group.sites) == 1:
        return None
    first = group.sites[0]
    return SharedMask(_convs(_unmasked(modules[first.path]), first)[0].in_channels, first.path)


def masked(method: SparseMask, site: SharingSite, module: nn.Module, shared: nn.Module | None) -> MaskedBlock:
    """Return a block with the masks of a method.

    Raises:
        SharingError: A layer cannot be masked; the message names it.
    """
    block = _unmasked(module)
    convs = _convs(block, site)
    assert site.parts is not None  # checked by `_convs`
    channels = sum(conv.out_channels for conv in convs)
    seen = convs[0].in_channels
    channel: nn.Module
    if method.channel == "static":
        channel = StaticChannelMask(channels)
    elif method.channel == "dynamic":
        channel = DynamicChannelMask(seen, channels)
    else:
        channel = NoChannelMask(channels)
    firsts = convs[:: method.n_layers] if shared is None else []
    spatial = nn.ModuleList(SpatialMask(conv.in_channels) for conv in firsts)
    return MaskedBlock(block, site.parts, spatial, channel, shared, getattr(shared, "leader", None) == site.path)


def _unmasked(module: nn.Module) -> nn.Module:
    # Built-in masks of a network are replaced by those of the method.
    return module.plain() if isinstance(module, MaskedBlock) else module


def _convs(block: nn.Module, site: SharingSite) -> list[nn.Conv2d]:
    """Check that a block's convolutions can be masked, and return them."""
    parts = site.parts or BlockSpec(())
    if parts.mask_input not in ("", *parts.convs[:1]):
        raise SharingError(
            f"the block '{site.path}' asks for masks from the input of '{parts.mask_input}'; masks are predicted from "
            "the block's own input"
        )
    convs = []
    for path in parts.convs:
        conv = block.get_submodule(path)
        if not isinstance(conv, nn.Conv2d):
            raise SharingError(f"'{site.path}.{path}' is a {type(conv).__name__}; masks act on convolutions")
        same = tuple(size // 2 for size in conv.kernel_size)
        if (
            conv.stride != (1, 1)
            or conv.groups != 1
            or conv.dilation != (1, 1)
            or conv.padding != same
            or any(size % 2 == 0 for size in conv.kernel_size)
            or conv.padding_mode != "zeros"
        ):
            raise SharingError(
                f"the convolution '{site.path}.{path}' cannot be masked: it must have stride 1, one group, no dilation "
                "and an output as large as its input"
            )
        convs.append(conv)
    if not convs or len(parts.splits) not in (0, len(convs)):
        raise SharingError(
            f"the block '{site.path}' names {len(convs)} convolutions and {len(parts.splits)} splits; it must name as "
            "many splits as convolutions, or none"
        )
    return convs


def show_images(model: Backbone) -> None:
    """Let gradient masks see the LR images of every call of a network."""
    for module in model.shared.values():
        if isinstance(module, GradientMask):
            model.register_forward_pre_hook(module.see)


def mask_natively(model: Backbone, method: SparseMask) -> None:
    """Add masks to a network whose published form has them; for constructors of backbones."""
    for group in method.groups(model.sharing_sites()):
        for site in group.sites:
            parent, _, name = site.path.rpartition(".")
            module = masked(method, site, model.get_submodule(site.path), None)
            setattr(model.get_submodule(parent), name, module)


def infers_sparsely(model: Backbone) -> bool:
    """Return whether a network has masks and uses the sparse path."""
    return any(block.path == "sparse" for _, block in masked_blocks(model))


def with_path(model: B, path: str) -> B:
    """Return a copy of a network with another inference path.

    Args:
        model: A network with masks.
        path: `masked_dense` computes everything and masks the result; `sparse` computes only what the masks select;
            `dense` is the network without masks.

    Raises:
        ConfigError: The path is unknown, or the network has no masks.
    """
    if path not in PATHS:
        raise ConfigError(f"there is no inference path '{path}'; give one of {', '.join(PATHS)}")
    copied = copy.deepcopy(model)
    blocks = list(masked_blocks(copied))
    if not blocks:
        raise ConfigError(f"{type(model).__name__} has no masks, and so one path only; leave the path out")
    for _, block in blocks:
        block.path = path
    return copied


def masked_dense(model: B) -> B:
    """Return a copy of a network with masks that computes everything and masks the result.

    Raises:
        ConfigError: The network has no masks.
    """
    return with_path(model, "masked_dense")


def sparse(model: B) -> B:
    """Return a copy of a network with masks that computes only what the masks select.

    Raises:
        ConfigError: The network has no masks.
    """
    return with_path(model, "sparse")
