"""Record the outputs of a network's ReLUs; imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from srbench.plugin import ConfigError, super_resolve

if TYPE_CHECKING:
    from srbench.plugin import Backbone

__all__ = ["channel_sparsity", "no_relu", "relu_maps"]

Maps = npt.NDArray[np.float32]
_RELUS = (torch.ops.aten.relu.default, torch.ops.aten.relu_.default)


class _Watch(TorchDispatchMode):
    """Call a function with the output of every ReLU, whether module or function, in place or not."""

    def __init__(self, seen: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in _RELUS:
            self.seen(output)
        return output


@contextmanager
def _following(network: nn.Module, leave: Callable[[str], None]) -> Iterator[None]:
    """Call a function with the path of each layer of a network when the layer returns."""

    def after(path: str) -> Callable[..., None]:
        return lambda module, inputs, output: leave(path)

    handles = []
    for path, module in network.named_modules():
        handles.append(module.register_forward_hook(after(path)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def relu_maps(network: Backbone, lr: npt.NDArray[np.uint8], scale: int, seen: Callable[[str, Maps], None]) -> None:
    """Super-resolve an image and pass on the output of each ReLU in blocks with sharing sites.

    Args:
        network: The network, in evaluation mode.
        lr: uint8 RGB `(h, w, 3)`.
        scale: The scale.
        seen: Called with the path of the layer before the ReLU and the ReLU's output `(C, h, w)`. ReLUs that are not at
            LR resolution, such as those of an attention, are skipped.
    """
    sites = {site.path for site in network.sharing_sites()}
    convolutions = {path for path, module in network.named_modules() if isinstance(module, nn.Conv2d)} | {
        site.path for site in network.sharing_sites() if site.kind == "conv"
    }
    inside = {path for path in convolutions if any(path == site or path.startswith(f"{site}.") for site in sites)}
    last = [""]

    def leave(path: str) -> None:
        if path in convolutions:
            last[0] = path

    def look(output: Tensor) -> None:
        if last[0] in inside and output.ndim == 4 and output.shape[2:] == lr.shape[:2]:
            seen(last[0], output[0].float().cpu().numpy().copy())

    with torch.inference_mode(), _following(network, leave), _Watch(look):
        super_resolve(network, lr, scale, torch.device("cpu"))


def no_relu(network: Backbone) -> str:
    """Return the error message for a network without ReLUs."""
    return (
        f"'{network.model_name}' has no ReLU in its blocks, so its features have no zeros to count; give a network "
        "with ReLUs, such as edsr_baseline or srresnet"
    )


def channel_sparsity(
    network: Backbone, images: Mapping[str, npt.NDArray[np.uint8]], scale: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the fraction of zeros after each ReLU, per channel, averaged over images.

    Args:
        network: The network, in evaluation mode.
        images: LR images by name.
        scale: The scale.

    Raises:
        ConfigError: The network has no ReLU after a layer at a sharing site.
    """
    sums: dict[str, npt.NDArray[np.float64]] = {}

    def add(path: str, maps: Maps) -> None:
        zeros = (maps == 0).mean(axis=(1, 2), dtype=np.float64)
        sums[path] = sums[path] + zeros if path in sums else zeros

    for lr in images.values():
        relu_maps(network, lr, scale, add)
    if not sums:
        raise ConfigError(no_relu(network))
    return {path: total / len(images) for path, total in sums.items()}
