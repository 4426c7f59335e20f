"""Record the masks and the masked layers' outputs of a network on an image; imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from srbench.plugin import ConfigError, super_resolve
from srbench_sparse_mask.block import BlockMasks, MaskedBlock, masked_blocks
from srbench_sparse_mask.masks import GradientMask

if TYPE_CHECKING:
    from srbench.plugin import Backbone

__all__ = ["Layer", "MaskModule", "require_masks", "run_recorded"]

Flags = npt.NDArray[np.bool_]


@dataclass
class Layer:
    """One masked convolution.

    Attributes:
        path: Path of the layer.
        dense: Which of its channels are computed everywhere, `(C,)`.
        maps: The positive part of its output, `(C, h, w)`; None if not requested.
    """

    path: str
    dense: Flags
    maps: npt.NDArray[np.float32] | None = None


@dataclass
class MaskModule:
    """The layers that share a spatial mask, such as SMSR's sparse mask module.

    Attributes:
        spatial: Where sparse channels are computed, `(h, w)`.
        layers: The masked convolutions.
    """

    spatial: Flags
    layers: list[Layer]

    @property
    def sparsity(self) -> float:
        """Share of positions and channels that is not computed, 0..1."""
        dense = np.concatenate([layer.dense for layer in self.layers])
        return float((~dense).mean() * (1 - self.spatial.mean()))


def require_masks(network: Backbone) -> None:
    """Check that a network has masks.

    Raises:
        ConfigError: The network has no masks.
    """
    if not any(True for _ in masked_blocks(network)):
        raise ConfigError(
            f"'{network.model_name}' has no sparse masks; give a model such as smsr.author or srresnet+sparse_mask"
        )


def run_recorded(
    network: Backbone, lr: npt.NDArray[np.uint8], scale: int, *, features: bool = False
) -> list[MaskModule]:
    """Super-resolve an image and return the masks, in the order of execution.

    Args:
        network: A network with masks, in evaluation mode and with inference path `masked_dense`.
        lr: uint8 RGB `(h, w, 3)`.
        scale: The scale.
        features: Whether to keep the layers' outputs.

    Raises:
        ConfigError: The network has no masks.
    """
    require_masks(network)
    blocks = dict(masked_blocks(network))
    maps: dict[str, npt.NDArray[np.float32]] = {}
    with ExitStack() as stack:
        for block in blocks.values():
            stack.enter_context(_recording(block))
        if features:
            for path, block in blocks.items():
                for name, layer in zip(block.convs, block.layers(), strict=True):
                    hook = layer.register_forward_hook(_keeper(maps, f"{path}.{name}"))
                    stack.callback(hook.remove)
        with torch.inference_mode():
            super_resolve(network, lr, scale, torch.device("cpu"))
        found = [(path, block, block.recorder[-1]) for path, block in blocks.items() if block.recorder]
    return list(_modules(found, maps))


@contextmanager
def _recording(block: MaskedBlock) -> Iterator[None]:
    block.recorder = []
    try:
        yield
    finally:
        block.recorder = None


def _keeper(maps: dict[str, npt.NDArray[np.float32]], path: str) -> Callable[..., None]:
    def keep(module: Any, inputs: Any, output: torch.Tensor) -> None:
        maps[path] = output[0].clamp(min=0).float().numpy().copy()

    return keep


def _modules(
    found: list[tuple[str, MaskedBlock, BlockMasks]], maps: dict[str, npt.NDArray[np.float32]]
) -> Iterator[MaskModule]:
    current: MaskModule | None = None
    shared: object = None
    for path, block, masks in found:
        layers = [
            Layer(f"{path}.{name}", (dense[0] > 0.5).numpy().copy(), maps.get(f"{path}.{name}"))
            for name, dense in zip(block.convs, masks.dense, strict=True)
        ]
        together = block.shared_module if not isinstance(block.shared_module, GradientMask) else None
        if current is not None and together is not None and together is shared:
            current.layers += layers
            continue
        shared = together
        for stage, spatial in enumerate(masks.spatial):
            if current is not None:
                yield current
            start = stage * block.stage_length
            current = MaskModule((spatial[0, 0] > 0.5).numpy().copy(), layers[start : start + block.stage_length])
    if current is not None:
        yield current
