"""The sparse path of a whole SMSR: features are kept as channels-last rows from the head to the tail.

In a module, positions where the mask is on have separate compact rows, for which all channels are computed by gathering
and one matrix product. Dense channels are computed everywhere by a small convolution of the previous layer's dense
channels and then corrected where the mask is on. The module's last layer and attention combine both parts and update
the features in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench_sparse_mask.block import MaskedBlock
from srbench_sparse_mask.rows import Positions, Product, gathered_conv, kernel_rows, side_by_side, to_image, to_rows
from srbench_sparse_mask.sparse import DENSEST

if TYPE_CHECKING:
    from srbench_sparse_mask.smsr import SMM, SMSR

__all__ = ["sparse_features"]


@dataclass(frozen=True)
class _Split:
    """A module's weights for given dense channels, with each layer's dense channels ordered before its sparse ones.

    Attributes:
        dense: Number of dense channels of each layer.
        kernels: Product with each layer's kernel, including its ReLU.
        dense_kernels: Each layer's kernel from dense channels (in the first layer: from all) to dense channels.
        gather_sparse: Product of the last layer with the concatenated channels of all layers, dense ones zeroed.
        gather_dense: Its weights for the concatenated dense channels, followed by its bias, `(dense + 1, C)`.
    """

    dense: list[int]
    kernels: list[Product]
    dense_kernels: list[Tensor]
    gather_sparse: Product
    gather_dense: Tensor


def _split(module: MaskedBlock, block: SMM, shares: list[Tensor]) -> _Split:
    """Return a module's split weights, cached until its weights or dense channels change."""
    weights = [cast(Tensor, layer.conv.weight) for layer in module.layers()]
    gather, bias = block.collect.weight, block.collect.bias
    assert bias is not None  # an SMM's last layer has one
    channels = tuple(share.cpu().numpy().tobytes() for share in shares)
    key = (tuple(map(_identity, (*weights, gather, bias))), channels)
    if module.prepared is None or module.prepared[0] != key:
        dense = [int(share.sum()) for share in shares]
        orders = [share.argsort(descending=True, stable=True) for share in shares]
        kernels = [weights[0][orders[0]]]
        kernels += [w[here][:, before] for w, here, before in zip(weights[1:], orders[1:], orders[:-1], strict=True)]
        inner = [kernels[0][: dense[0]]]
        inner += [k[:here, :before] for k, here, before in zip(kernels[1:], dense[1:], dense[:-1], strict=True)]
        parts = [part[order] for part, order in zip(kernel_rows(gather).chunk(len(shares)), orders, strict=True)]
        sparse = torch.cat(parts)
        for number, count in enumerate(dense):
            sparse[number * len(parts[0]) :][:count] = 0
        split = _Split(
            dense,
            [Product(kernel_rows(kernel), relu=True) for kernel in kernels],
            [kernel.contiguous(memory_format=torch.channels_last) for kernel in inner],
            Product(sparse),
            torch.cat([*(part[:count] for part, count in zip(parts, dense, strict=True)), bias[None]]),
        )
        module.prepared = (key, split)
    return cast(_Split, module.prepared[1])


def _identity(tensor: Tensor) -> tuple[object, ...]:
    # Inference tensors have no version counter, and cannot be changed in place outside of inference mode.
    version = 0 if tensor.is_inference() else tensor._version
    return tensor.data_ptr(), version, tensor.dtype, tensor.device


@torch.no_grad()
def sparse_features(network: SMSR, first: Tensor, number: int) -> Tensor:
    """Apply SMSR's modules, and the layer fusing their outputs, to the features of the head.

    Args:
        network: The network, in evaluation mode.
        first: Features of one image, `(1, C, h, w)`.
        number: Index of the image in the batch.

    Returns:
        `(1, C, h, w)` in channels-last memory.
    """
    _, channels, height, width = first.shape
    rows = to_rows(first)
    merge = cast(nn.Conv2d, network.collect[0])
    assert merge.bias is not None
    merged = merge.bias.repeat(height * width, 1)
    for module, weight in zip(network.body, kernel_rows(merge.weight).split(channels), strict=True):
        _run(module, rows, height, width, number)
        merged.addmm_(rows[:-1], weight)
    return to_image(merged, 1, height, width)


def _run(module: nn.Module, rows: Tensor, height: int, width: int, number: int) -> None:
    """Apply a module in place to the features of an image, given as rows with a last row of zeros."""
    features = to_image(rows[:-1], 1, height, width)
    if not isinstance(module, MaskedBlock) or not module.plainly_masked():
        rows[:-1] = module(features).permute(0, 2, 3, 1).reshape(height * width, -1)
        return
    masks = module.masks(features)
    mask = module.spatial_mask(0, features, None)
    if len(mask) > 1:  # predicted from the LR images of the whole batch
        mask = mask[number : number + 1]
    masks.spatial.append(mask)
    positions = Positions(mask)
    if positions.share > DENSEST:
        rows[:-1] = module.run(features, masks).permute(0, 2, 3, 1).reshape(height * width, -1)
        return
    if module.recorder is not None:
        module.recorder.append(masks)
    _run_sparsely(module, cast("SMM", module.block), [share[0] for share in masks.dense], positions, rows)


def _run_sparsely(module: MaskedBlock, block: SMM, shares: list[Tensor], positions: Positions, rows: Tensor) -> None:
    split = _split(module, block, shares)
    height, width, count = positions.height, positions.width, positions.count
    features = to_image(rows[:-1], 1, height, width)
    source, taps = rows, positions.taps((3, 3))
    inner_taps, halo = positions.compact(halo=any(split.dense[:-1]))
    compact: list[Tensor] = []
    everywhere: list[Tensor] = []
    before: Tensor | None = features
    for kernel, dense_kernel, dense in zip(split.kernels, split.dense_kernels, split.dense, strict=True):
        out = rows.new_empty(count + len(halo) + 1, rows.shape[1])
        out[count:] = 0
        gathered_conv(source, taps, kernel, out[:count])
        compact.append(out[:count])
        source, taps = out, inner_taps
        if not dense:
            before = None
            continue
        spread = _dense_channels(before, dense_kernel, features)
        # Where the mask is on, sparse channels contribute to the dense ones.
        spread[positions.active] = out[:count, :dense]
        out[count:-1, :dense] = spread[halo]
        everywhere.append(spread)
        before = to_image(spread, 1, height, width)
    ones = rows.new_ones(height * width, 1)
    parts = torch.cat([*everywhere, ones], 1)
    total = rows.new_empty(count, rows.shape[1])
    side_by_side(compact, split.gather_sparse, total)
    means = parts.mean(0) @ split.gather_dense + total.sum(0) / (height * width)
    scales = block.attention.scales(means.view(1, -1, 1, 1)).flatten()
    rows[:-1].addmm_(parts, split.gather_dense * scales)
    rows[positions.active] = rows.index_select(0, positions.active).addcmul_(total, scales)


def _dense_channels(before: Tensor | None, kernel: Tensor, features: Tensor) -> Tensor:
    """Compute dense channels everywhere, as rows, from the previous layer's dense channels (None: it has none)."""
    if before is None:
        return features.new_zeros(features.shape[2] * features.shape[3], kernel.shape[0])
    found = F.relu_(F.conv2d(before, kernel, padding=1))
    return found.permute(0, 2, 3, 1).reshape(-1, kernel.shape[0])
