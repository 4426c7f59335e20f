"""Masked blocks: convolutions with a spatial mask and a choice of channels that are computed everywhere."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from srbench.plugin import BlockSpec, SharedModuleRef
from srbench_sparse_mask.masks import SharedMask
from srbench_sparse_mask.rows import Positions
from srbench_sparse_mask.sparse import DENSEST, dense_part, sparse_conv

__all__ = ["PATHS", "BlockMasks", "MaskedBlock", "MaskedConv", "masked_blocks"]

PATHS = ("masked_dense", "sparse", "dense")


@dataclass
class BlockMasks:
    """The masks of one pass through a block.

    Attributes:
        block: The block.
        dense: Share, 0..1, of each convolution's channels that is dense, `(N or 1, channels)`.
        temperature: Temperature of the Gumbel softmax; None for hard masks.
        spatial: Spatial mask `(N, 1, h, w)` of each stage that the pass has reached.
    """

    block: MaskedBlock
    dense: list[Tensor]
    temperature: float | None
    spatial: list[Tensor] = field(default_factory=list)
    _positions: list[Positions] = field(default_factory=list)

    def of(self, index: int, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return the spatial mask of a convolution and the dense shares of its input (None: all 1) and output.

        Args:
            index: Index of the convolution in the block.
            x: Its input `(N, C, h, w)`, from which the mask of a new stage is predicted.
        """
        stage, place = divmod(index, self.block.stage_length)
        if stage == len(self.spatial):
            self.spatial.append(self.block.spatial_mask(stage, x, self.temperature))
        if place == 0:
            return self.spatial[stage], None, self.dense[index]
        # Channels of the previous layer that were not split off (BlockSpec.splits).
        return self.spatial[stage], self.dense[index - 1][:, self.block.splits[index - 1] :], self.dense[index]

    def positions(self, index: int) -> Positions:
        """Return where the mask of a convolution is on; computed once per stage."""
        stage = index // self.block.stage_length
        if stage == len(self._positions):
            self._positions.append(Positions(self.spatial[stage]))
        return self._positions[stage]

    def active(self) -> Tensor:
        """Return the mean active share of channels and positions of each image, `(N,)`."""
        length = self.block.stage_length
        shares = []
        for stage, spatial in enumerate(self.spatial):
            on = spatial.mean((1, 2, 3))[:, None]
            dense = torch.cat(self.dense[stage * length : (stage + 1) * length], 1)
            shares.append(dense + (1 - dense) * on)
        return torch.cat(shares, 1).mean(1)


class MaskedConv(nn.Module):
    """A convolution whose sparse channels are only computed where the spatial mask is on.

    With M the spatial mask and d the dense shares, the output is
    `M * conv(x) + (1 - M) * d_out * conv(d_in * x)`: dense channels are computed everywhere, but the contribution of
    sparse input channels to them only where the mask is on.

    Source: Wang et al., CVPR 2021, Eqs. 4 to 6, where s = 1 - d.

    Args:
        conv: The convolution, of stride 1 and with an output as large as its input.
        index: Its index in the block.
    """

    def __init__(self, conv: nn.Conv2d, index: int) -> None:
        super().__init__()
        self.conv: nn.Module = conv
        self.in_channels, self.channels = conv.in_channels, conv.out_channels
        self.taps = conv.kernel_size[0] * conv.kernel_size[1]
        self.index = index
        self.masks: BlockMasks | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, C, h, w)`, zero in sparse channels where the mask is off."""
        if self.masks is None:
            return cast(Tensor, self.conv(x))
        spatial, dense_in, dense_out = self.masks.of(self.index, x)
        hard = self.masks.temperature is None
        if hard and x.is_meta:
            return cast(Tensor, self.conv(x) * spatial)  # for counting costs only, as masks are unknown
        if hard and isinstance(self.conv, nn.Conv2d) and self.masks.block.path == "sparse":
            return self._sparse(self.conv, x, dense_in, dense_out)
        # A convolution replaced by another method may have no kernel from which to select channels, and an exported
        # graph cannot depend on the number of dense channels.
        split = dense_out.shape[0] == 1 and not torch.compiler.is_exporting()
        if hard and split and isinstance(self.conv, nn.Conv2d):
            return self._hard(self.conv, x, spatial, dense_in, dense_out)
        return self._soft(x, spatial, dense_in, dense_out)

    def _sparse(self, conv: nn.Conv2d, x: Tensor, dense_in: Tensor | None, dense_out: Tensor) -> Tensor:
        assert self.masks is not None
        spatial = self.masks.spatial[self.index // self.masks.block.stage_length]
        if dense_out.shape[0] > 1:  # dense channels differ between images
            images = zip(x.split(1), spatial.split(1), dense_out, strict=True)
            parts = [
                self._one(conv, image, mask, Positions(mask), None if dense_in is None else dense_in[number], here)
                for number, (image, mask, here) in enumerate(images)
            ]
            return torch.cat(parts)
        positions = self.masks.positions(self.index)
        return self._one(conv, x, spatial, positions, None if dense_in is None else dense_in[0], dense_out[0])

    @staticmethod
    def _one(
        conv: nn.Conv2d, x: Tensor, spatial: Tensor, positions: Positions, dense_in: Tensor | None, dense_out: Tensor
    ) -> Tensor:
        if positions.share > DENSEST:
            shares = None if dense_in is None else dense_in[None]
            return MaskedConv._hard(conv, x, spatial, shares, dense_out[None])
        return sparse_conv(conv, x, positions, dense_in, dense_out)

    def _soft(self, x: Tensor, spatial: Tensor, dense_in: Tensor | None, dense_out: Tensor) -> Tensor:
        full = self.conv(x)
        dense = full if dense_in is None else self.conv(x * dense_in[:, :, None, None])
        # A sum of two terms, not a difference, is exact for masks of 0 and 1.
        return cast(Tensor, full * spatial + dense * ((1 - spatial) * dense_out[:, :, None, None]))

    @staticmethod
    def _hard(conv: nn.Conv2d, x: Tensor, spatial: Tensor, dense_in: Tensor | None, dense_out: Tensor) -> Tensor:
        full = cast(Tensor, conv(x))
        if dense_in is None:
            return full * (spatial + dense_out[:, :, None, None]).clamp(max=1)
        masked = full * spatial
        outputs = dense_out[0].nonzero()[:, 0]
        if not len(outputs):
            return masked
        dense = dense_part(conv, x, dense_in[0], outputs)
        masked[:, outputs] += dense * (1 - spatial)
        return masked


class MaskedBlock(SharedModuleRef):
    """A block with its masks.

    Attributes:
        block: The block, with its convolutions wrapped in `MaskedConv`.
        spatial: A predictor of the spatial mask for each stage of the block; empty if several blocks share one.
        channel: The channel mask, which selects dense channels.
        splits: Channels split off after each convolution.
        stage_length: Number of convolutions that share a spatial mask.
        temperature: Temperature of the Gumbel softmax in training.
        path: Inference path, one of `PATHS`.
        recorder: List to which each pass appends its masks, if any.
        prepared: Weights prepared for the sparse path and a key that identifies their origin.

    Args:
        block: The block; it is copied.
        parts: Structure of the block.
        spatial: Its own predictors of spatial masks, one per stage.
        channel: The channel mask.
        shared: The spatial mask shared with other blocks.
        leads: Whether it is the first of these blocks, from whose input the mask is predicted.
    """

    def __init__(
        self,
        block: nn.Module,
        parts: BlockSpec,
        spatial: nn.ModuleList,
        channel: nn.Module,
        shared: nn.Module | None = None,
        leads: bool = True,
    ) -> None:
        super().__init__(shared)
        self.block = copy.deepcopy(block)
        self.parts = parts
        self.convs: tuple[str, ...] = parts.convs
        for index, path in enumerate(parts.convs):
            conv = self.block.get_submodule(path)
            assert isinstance(conv, nn.Conv2d)  # the method has checked it
            _set_module(self.block, path, MaskedConv(conv, index))
        self.spatial, self.channel = spatial, channel
        self.splits = parts.splits or (0,) * len(parts.convs)
        self.stage_length = len(parts.convs) // max(len(spatial), 1)
        self.leads = leads
        self.temperature = 1.0
        self.path = "masked_dense"
        self.recorder: list[BlockMasks] | None = None
        self.prepared: tuple[Any, Any] | None = None
        self._active: list[Tensor] = []

    def __getattr__(self, name: str) -> Any:
        # Paths of the network's other sites lead into the block and must remain valid.
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "block":
                raise
            return getattr(self.block, name)

    def layers(self) -> list[MaskedConv]:
        """Return the masked convolutions in the order of execution."""
        return [cast(MaskedConv, self.block.get_submodule(path)) for path in self.convs]

    def plain(self) -> nn.Module:
        """Return a copy of the block without masks."""
        block = copy.deepcopy(self.block)
        for path in self.convs:
            _set_module(block, path, cast(MaskedConv, block.get_submodule(path)).conv)
        return block

    def spatial_mask(self, stage: int, x: Tensor, temperature: float | None) -> Tensor:
        """Return the spatial mask `(N, 1, h, w)` of a stage whose input is `x`."""
        shared = self.shared_module
        if isinstance(shared, SharedMask):
            if self.leads:
                shared.current = (shared(x, temperature),)
            return shared.current[0]
        return cast(Tensor, (self.spatial[stage] if shared is None else shared)(x, temperature))

    def masks(self, x: Tensor) -> BlockMasks:
        """Return the masks of a pass whose input is `x`, `(N, C, h, w)`."""
        temperature = self.temperature if self.training else None
        share = self.channel(x, temperature)
        return BlockMasks(self, list(share.split([layer.channels for layer in self.layers()], 1)), temperature)

    def forward(self, x: Tensor) -> Tensor:
        """Return the masked block's output for features `(N, C, h, w)`."""
        if self.path == "dense":
            return cast(Tensor, self.block(x))
        return self.run(x, self.masks(x))

    def run(self, x: Tensor, masks: BlockMasks) -> Tensor:
        """Return the block's output for features `(N, C, h, w)` under given masks; missing ones are predicted."""
        layers = self.layers()
        for layer in layers:
            layer.masks = masks
        try:
            out = cast(Tensor, self.block(x))
        finally:
            for layer in layers:
                layer.masks = None
        if self.training:
            self._active.append(masks.active())
        if self.recorder is not None:
            self.recorder.append(masks)
        return out

    def plainly_masked(self) -> bool:
        """Return whether all convolutions share one spatial mask and are plain, not replaced by another method."""
        return self.stage_length == len(self.convs) and all(type(layer.conv) is nn.Conv2d for layer in self.layers())

    def take_active(self) -> list[Tensor]:
        """Return and clear the active shares `(N,)` of the training passes since the last call."""
        active, self._active = self._active, []
        return active

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_active": [], "prepared": None, "recorder": None}  # a copy starts without passes


def masked_blocks(model: nn.Module) -> Iterator[tuple[str, MaskedBlock]]:
    """Iterate over paths and modules of a network's masked blocks."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, MaskedBlock))


def _set_module(root: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(root.get_submodule(parent), name, module)
