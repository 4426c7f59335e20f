"""Make torchvision importable with a CPU-only torch.

torchvision's default wheel is built for CUDA. Beside a CPU-only torch its C++ operators cannot be loaded, and then
`import torchvision` itself fails, because it registers the meta functions of `torchvision::nms` and
`torchvision::qnms` whose schemas those operators would have defined. Defining the two schemas first is enough:
nothing here calls them.
"""

from __future__ import annotations

import importlib
import importlib.util

from srbench.errors import PluginError

__all__ = ["load_torchvision"]

# torch forgets the schemas of a library object that is garbage-collected.
_schemas: list[object] = []


def load_torchvision(purpose: str) -> None:
    """Import torchvision, even with a CPU-only torch.

    Args:
        purpose: What needs it, for the message.

    Raises:
        PluginError: It is missing or cannot be imported.
    """
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        raise PluginError(
            f"{purpose} needs torchvision, and importing it failed: {error}. Install the torchvision that goes with "
            "this torch."
        ) from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise PluginError(f"{purpose} needs torchvision, and importing it failed: {error}.") from error
        _define_torchvision_schemas()
        importlib.import_module("torchvision")


def _define_torchvision_schemas() -> None:
    from torch import library as operators

    schemas = operators.Library("torchvision", "FRAGMENT")
    schemas.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    schemas.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _schemas.append(schemas)
