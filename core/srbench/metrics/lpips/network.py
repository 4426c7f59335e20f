"""The LPIPS network: the `lpips` package's own, with AlexNet's weights from the cache."""

from __future__ import annotations

import functools
import hashlib
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from srbench.compat.torchvision import load_torchvision
from srbench.errors import PluginError, WeightsError
from srbench.metrics.lpips.alexnet import alexnet_file
from srbench.models.weight_files import load_state

__all__ = ["distance", "network"]

# AlexNet layers that LPIPS uses -> the slice of the package's network with each, under the same number.
_SLICES = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}
# SHA-256 of their tensors' float32 bytes, weight before bias; the same for either file.
_TENSORS_SHA256 = "2b566cc3a4d6f0a7343701af22f461f1ac3dcd03a3ac28cce10968a1d3c85fdc"
_building = threading.Lock()


def network() -> Any:
    """Return the network, on the CPU in evaluation mode; it is created once per process.

    Raises:
        NetworkError: AlexNet's weights are not in the cache and cannot be downloaded.
        PluginError: The `lpips` package or torchvision cannot be imported.
        WeightsError: The weights file is not AlexNet's.
    """
    with _building:  # two threads may compute scores at once
        return _network()


@functools.cache
def _network() -> Any:
    path = alexnet_file()
    load_torchvision("lpips")
    try:
        import lpips
    except ImportError as error:
        raise PluginError(
            f"the metric lpips needs the package of that name, and importing it failed: {error}; install it with "
            "`pip install lpips`"
        ) from error
    state = _alexnet_state(path)
    # On the meta device nothing is drawn at random, and the classifier's 58 million weights are not allocated.
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")  # torchvision's warnings about how the package calls it
        net = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    linear = Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth"
    net.load_state_dict(state | load_state(linear), strict=False, assign=True)
    left = [name for name, tensor in net.state_dict().items() if tensor.is_meta]
    if left:
        raise PluginError(
            f"the installed lpips has layers unknown to lpips 0.1.4 ({', '.join(left)}): pip install lpips==0.1.4"
        )
    return net.requires_grad_(False).eval()


def _alexnet_state(path: Path) -> dict[str, Tensor]:
    """Return AlexNet's convolutions under the package's names, after checking their values."""
    tensors = load_state(path)
    state: dict[str, Tensor] = {}
    digest = hashlib.sha256()
    for layer, place in _SLICES.items():
        for kind in ("weight", "bias"):
            tensor = tensors.get(f"features.{layer}.{kind}")
            if tensor is None:
                raise WeightsError(f"'{path}' has no tensor 'features.{layer}.{kind}', which AlexNet has")
            state[f"net.slice{place}.{layer}.{kind}"] = tensor.float()
            digest.update(np.ascontiguousarray(tensor.float().numpy()).tobytes())
    if digest.hexdigest() != _TENSORS_SHA256:
        raise WeightsError(f"the convolutions in '{path}' are not those of torchvision's AlexNet, which LPIPS needs")
    return state


def distance(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return the distance of two RGB images `(H, W, 3)` with values in -1..1."""
    with torch.inference_mode():
        pair = (torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))[None] for image in (a, b))
        return float(network()(*pair))
