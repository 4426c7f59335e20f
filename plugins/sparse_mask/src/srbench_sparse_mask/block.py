"""A block whose convolutions are masked: where it computes, which channels it computes everywhere."""

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
        dense: Dense share of each convolution's channels, `(N or 1, channels)`.
        temperature: That of the Gumbel softmax; None for hard masks.
        spatial: Spatial mask `(N, 1, h, w)` of each stage, as far as the pass has come.
    """

    block: MaskedBlock
    dense: list[Tensor]
    temperature: float | None
    spatial: list[Tensor] = field(default_factory=list)
    _positions: list[Positions] = field(default_factory=list)

    def of(self, index: int, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return what masks a convolution: the spatial mask, dense shares of its input (None: all) and output.

        Args:
            index: Which of the block's convolutions.
            x: Its input `(N, C, h, w)`, from which the mask of a new stage is predicted.
        """
        stage, place = divmod(index, self.block.stage_length)
        if stage == len(self.spatial):
            self.spatial.append(self.block.spatial_mask(stage, x, self.temperature))
        if place == 0:
            return self.spatial[stage], None, self.dense[index]
        # Of the layer before, those that did not leave the block (BlockSpec.splits).
        return self.spatial[stage], self.dense[index - 1][:, self.block.splits[index - 1] :], self.dense[index]

    def positions(self, index: int) -> Positions:
        """Return where the mask of a convolution is on; worked out once for each stage."""
        stage = index // self.block.stage_length
        if stage == len(self._positions):
            self._positions.append(Positions(self.spatial[stage]))
        return self._positions[stage]

    def active(self) -> Tensor:
        """Return the mean active share of channels and positions, of each image: `(N,)`."""
        length = self.block.stage_length
        shares = []
        for stage, spatial in enumerate(self.spatial):
            on = spatial.mean((1, 2, 3))[:, None]
            dense = torch.cat(self.dense[stage * length : (stage + 1) * length], 1)
            shares.append(dense + (1 - dense) * on)
        return torch.cat(shares, 1).mean(1)


class MaskedConv(nn.Module):
    """A convolution whose sparse channels are computed where the spatial mask is on.

    With M the spatial mask and d the dense shares (paper: Eqs. 4 to 6, where s = 1 - d), the output is
    `M * conv(x) + (1 - M) * d_out * conv(d_in * x)`: dense channels exist everywhere, yet what sparse channels add to
    them is added only where the mask is on.

    Args:
        conv: The convolution; stride 1, its output as large as its input.
        index: Which of the block's convolutions it is.
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
            return cast(Tensor, self.conv(x) * spatial)  # costs alone: what the masks will be is not known
        if hard and isinstance(self.conv, nn.Conv2d) and self.masks.block.path == "sparse":
            return self._sparse(self.conv, x, dense_in, dense_out)
        # A convolution that another method has replaced may have no kernel to take channels of, and a graph that is
        # exported cannot depend on how many of them are dense.
        split = dense_out.shape[0] == 1 and not torch.compiler.is_exporting()
        if hard and split and isinstance(self.conv, nn.Conv2d):
            return self._hard(self.conv, x, spatial, dense_in, dense_out)
        return self._soft(x, spatial, dense_in, dense_out)

    def _sparse(self, conv: nn.Conv2d, x: Tensor, dense_in: Tensor | None, dense_out: Tensor) -> Tensor:
        assert self.masks is not None
        spatial = self.masks.spatial[self.index // self.masks.block.stage_length]
        if dense_out.shape[0] > 1:  # each image has channels of its own
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
        # The form of two terms, not of a difference: exact for masks of 0 and 1.
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
        block: The block, its convolutions wrapped in `MaskedConv`.
        spatial: A predictor of the spatial mask for each stage of the block; empty where several blocks share one.
        channel: What marks dense channels.
        splits: Channels that leave the block after each convolution.
        stage_length: Convolutions that share a spatial mask.
        temperature: Of the Gumbel softmax in training.
        path: How inference computes: one of `PATHS`.
        recorder: Where each pass leaves its masks; None: nowhere.
        prepared: What the sparse path keeps of the weights, and of which.

    Args:
        block: The block; it is copied.
        parts: What it consists of.
        spatial: The predictors of its own, one for each stage.
        channel: What marks dense channels.
        shared: The spatial mask that it has together with other blocks.
        leads: It is the first of them, whose input the mask is predicted from.
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
        # The network's other sites are paths into the block, and stay valid.
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "block":
                raise
            return getattr(self.block, name)

    def layers(self) -> list[MaskedConv]:
        """Return the masked convolutions, in the order of execution."""
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
        """Return the masks of a pass that begins with the input `(N, C, h, w)`."""
        temperature = self.temperature if self.training else None
        share = self.channel(x, temperature)
        return BlockMasks(self, list(share.split([layer.channels for layer in self.layers()], 1)), temperature)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the block makes of features `(N, C, h, w)`, masked."""
        if self.path == "dense":
            return cast(Tensor, self.block(x))
        return self.run(x, self.masks(x))

    def run(self, x: Tensor, masks: BlockMasks) -> Tensor:
        """Return what the block makes of features `(N, C, h, w)` under given masks; missing ones are predicted."""
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
        """Say whether one spatial mask serves all convolutions, and these are plain: no other method's."""
        return self.stage_length == len(self.convs) and all(type(layer.conv) is nn.Conv2d for layer in self.layers())

    def take_active(self) -> list[Tensor]:
        """Return the active shares `(N,)` of the training passes since the last call, and forget them."""
        active, self._active = self._active, []
        return active

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_active": [], "prepared": None, "recorder": None}  # a copy has been through no pass


def masked_blocks(model: nn.Module) -> Iterator[tuple[str, MaskedBlock]]:
    """Yield path and module of a network's masked blocks."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, MaskedBlock))


def _set_module(root: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(root.get_submodule(parent), name, module)
