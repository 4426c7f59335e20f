"""How much of a masked network's work is left, counted from the masks of given images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from srbench.backbone import Backbone
from srbench.cost.counts import work_at
from srbench.cost.operators import on_meta
from srbench_sparse_mask.block import BlockMasks, masked_blocks

__all__ = ["executed_macs", "skipped"]


@torch.no_grad()
def executed_macs(model: Backbone, lr: Tensor, scale: int | None = None) -> list[int] | None:
    """Return the multiply-accumulates that the masks leave for each image; None for a network whose masks are off.

    Args:
        model: A network with masks; its mode stays as it is.
        lr: LR images `(N, 3, h, w)` in 0..1.
        scale: As in `forward`.
    """
    if all(block.path == "dense" for _, block in masked_blocks(model)):
        return None
    scale = model.select_scale(scale)
    dense = work_at(on_meta(model), scale, *lr.shape[2:]).macs
    counts = []
    for image in lr.split(1):
        with _recorded(model) as passes:
            model(image, scale)
        counts.append(dense - round(sum(map(skipped, passes))))
    return counts


@contextmanager
def _recorded(model: Backbone) -> Iterator[list[BlockMasks]]:
    passes: list[BlockMasks] = []
    blocks = [block for _, block in masked_blocks(model)]
    before, training = [block.recorder for block in blocks], model.training
    model.eval()
    try:
        for block in blocks:
            block.recorder = passes
        yield passes
    finally:
        for block, recorder in zip(blocks, before, strict=True):
            block.recorder = recorder
        model.train(training)


def skipped(masks: BlockMasks) -> float:
    """Return the multiply-accumulates that hard masks save in one pass of one image through a block.

    Where a spatial mask is off, a convolution takes the dense channels of its input to the dense ones of its output
    only, and the layer that gathers the block's parts finds zeros in their sparse channels.
    """
    block = masks.block
    saved = 0.0
    gathered = _gathered(masks)
    for index, layer in enumerate(block.layers()):
        stage, place = divmod(index, block.stage_length)
        spatial = masks.spatial[stage]
        off = float((1 - spatial).sum())
        dense = masks.dense[index][0]
        conv = cast(nn.Conv2d, layer.conv)  # or a layer in its place, with the same attributes
        inputs = conv.in_channels
        dense_in = inputs if place == 0 else float(masks.dense[index - 1][0, block.splits[index - 1] :].sum())
        area = conv.kernel_size[0] * conv.kernel_size[1]
        saved += off * area * (inputs * conv.out_channels - dense_in * float(dense.sum()))
        if gathered is not None:
            outputs, leaves = gathered
            parts = dense[: leaves[index]]
            saved += off * outputs * (len(parts) - float(parts.sum()))
    return saved


def _gathered(masks: BlockMasks) -> tuple[int, list[int]] | None:
    """Return the outputs of the layer that gathers the parts, and how many channels of each layer it sees.

    None where there is no such layer, or it is not a pointwise convolution of just these channels.
    """
    block = masks.block
    layers = block.layers()
    if not block.parts.gather:
        return None
    gather = block.block.get_submodule(block.parts.gather)
    leaves = [split or layer.channels for split, layer in zip(block.splits, layers, strict=True)]
    if not isinstance(gather, nn.Conv2d) or gather.kernel_size != (1, 1) or gather.in_channels != sum(leaves):
        return None
    return gather.out_channels, leaves
