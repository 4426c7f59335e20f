"""Work skipped by masks: sparsity of each module and executed multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srbench.plugin import Backbone, ConfigError, on_meta, work_at
from srbench_sparse_mask.block import BlockMasks, MaskedBlock, masked_blocks

__all__ = ["ImageWork", "ModuleWork", "account", "executed_macs", "module_work", "recorded_masks"]


@dataclass(frozen=True)
class ModuleWork:
    """Work of a block with masks for one image.

    Attributes:
        path: Path of the block.
        active: Fraction of positions where its spatial mask is on.
        dense: Number of channels that each of its convolutions computes everywhere.
        sparsity: Fraction of positions and channels that is skipped, 0..1.
        executed: Multiply-accumulates of its masked convolutions and of the layer fusing them, under the masks.
        full: The same without masks.
    """

    path: str
    active: float
    dense: tuple[int, ...]
    sparsity: float
    executed: int
    full: int


@dataclass(frozen=True)
class ImageWork:
    """Work of a network for one image.

    Attributes:
        modules: Its blocks with masks, in the order of execution.
        dense: Multiply-accumulates of the whole network with all masks on, including the prediction of masks.
        pixels: Number of LR pixels.
    """

    modules: tuple[ModuleWork, ...]
    dense: int
    pixels: int

    @property
    def sparsity(self) -> float:
        """Mean of the modules' sparsity, as the authors of SMSR report it."""
        return sum(module.sparsity for module in self.modules) / len(self.modules)

    @property
    def executed(self) -> int:
        """Executed multiply-accumulates of the whole network, including the prediction of masks."""
        return self.dense - sum(module.full - module.executed for module in self.modules)


@torch.no_grad()
def account(model: Backbone, lr: Tensor, scale: int | None = None) -> list[ImageWork]:
    """Run a network on LR images and count the work executed under its masks.

    Args:
        model: A network with masks; it is run in evaluation mode, and its mode is restored.
        lr: `(N, 3, h, w)` in 0..1.
        scale: As in the network's `forward`.

    Returns:
        The work for each image.

    Raises:
        ConfigError: The network has no masks.
    """
    scale = model.select_scale(scale)
    training = model.training
    model.eval()
    try:
        with recorded_masks(model) as found:
            for image in lr.split(1):
                model(image, scale)
    finally:
        model.train(training)
    dense = work_at(on_meta(model), scale, lr.shape[2], lr.shape[3]).macs
    pixels = lr.shape[2] * lr.shape[3]
    return [
        ImageWork(tuple(module_work(path, masks) for path, masks in zip(found, image, strict=True)), dense, pixels)
        for image in zip(*found.values(), strict=True)
    ]


def executed_macs(model: Backbone, lr: Tensor, scale: int | None = None) -> list[int] | None:
    """Return the executed multiply-accumulates of each image (`Backbone.executed_macs`); None with masks off."""
    if all(block.path == "dense" for _, block in masked_blocks(model)):
        return None
    return [work.executed for work in account(model, lr, scale)]


@contextmanager
def recorded_masks(model: Backbone) -> Iterator[dict[str, list[BlockMasks]]]:
    """Record the masks of every pass, by the path of the block.

    Raises:
        ConfigError: The network has no masks.
    """
    blocks = dict(masked_blocks(model))
    if not blocks:
        raise ConfigError(
            f"'{model.model_name or type(model).__name__}' has no sparse masks; give a model such as smsr.author or "
            "srresnet+sparse_mask"
        )
    found: dict[str, list[BlockMasks]] = {path: [] for path in blocks}
    before = {path: block.recorder for path, block in blocks.items()}
    for path, block in blocks.items():
        block.recorder = found[path]
    try:
        yield found
    finally:
        for path, block in blocks.items():
            block.recorder = before[path]


def module_work(path: str, masks: BlockMasks) -> ModuleWork:
    """Count the work of one pass of one image through a block.

    Where the spatial mask is off, a convolution only computes its dense output channels from its dense input channels,
    and the sparse channels of the fusing layer's input are zero.
    """
    block = masks.block
    dense = [share[0] > 0.5 for share in masks.dense]
    on = [int(spatial.sum()) for spatial in masks.spatial]
    positions = masks.spatial[0].numel()
    executed = full = 0
    for index, layer in enumerate(block.layers()):
        stage, place = divmod(index, block.stage_length)
        always = layer.in_channels if place == 0 else int(dense[index - 1][block.splits[index - 1] :].sum())
        executed += layer.taps * _work(
            always, layer.in_channels, int(dense[index].sum()), layer.channels, positions, on[stage]
        )
        full += layer.taps * layer.in_channels * layer.channels * positions
    if (gather := _gather(block)) is not None and (seen := _gathered(block, dense, on, gather.in_channels)) is not None:
        for always, among, active in seen:
            executed += gather.out_channels * (always * positions + (among - always) * active)
            full += gather.out_channels * among * positions
    return ModuleWork(
        path,
        active=sum(on) / (positions * len(on)),
        dense=tuple(int(layer.sum()) for layer in dense),
        sparsity=1 - float(masks.active()[0]),
        executed=executed,
        full=full,
    )


def _work(dense_in: int, inputs: int, dense_out: int, outputs: int, positions: int, active: int) -> int:
    """Return the products per tap: dense to dense channels everywhere, all others only where the mask is on."""
    everywhere = dense_in * dense_out
    return everywhere * positions + (inputs * outputs - everywhere) * active


def _gather(block: MaskedBlock) -> nn.Conv2d | None:
    """Return the 1x1 convolution that fuses a block's parts; None if there is none."""
    if not block.parts.gather:
        return None
    layers = [m for m in block.block.get_submodule(block.parts.gather).modules() if isinstance(m, nn.Conv2d)]
    return layers[-1] if layers and layers[-1].kernel_size == (1, 1) else None


def _gathered(
    block: MaskedBlock, dense: Sequence[Tensor], on: Sequence[int], wanted: int
) -> list[tuple[int, int, int]] | None:
    """Return dense channels, all channels and active positions of each input part of the fusing layer."""
    seen = []
    for index, (share, split) in enumerate(zip(dense, block.splits, strict=True)):
        part = share[:split] if any(block.splits) else share
        seen.append((int(part.sum()), len(part), on[index // block.stage_length]))
    return seen if sum(among for _, among, _ in seen) == wanted else None
