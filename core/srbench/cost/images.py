"""The image that networks are timed and measured on: a part of a photograph, because masks skip little of noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from srbench.errors import CostError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["photograph"]

_DATASET, _IMAGE, _PROTOCOL = "embedded-test", "astronaut", "matlab-y"


def photograph(scale: int, height: int, width: int, device: str = "cpu") -> Tensor:
    """Return the middle of a photograph's LR image, `(1, 3, height, width)` in 0..1, mirrored where it is smaller.

    Args:
        scale: By which the photograph is downscaled, as test images are.
        height: LR pixels.
        width: LR pixels.
        device: Where it shall lie.

    Raises:
        CostError: There is no memory for so large an image.
    """
    import torch

    from srbench.data.datasets import open_dataset
    from srbench.models.image_batch import image_batch
    from srbench.protocols import get_protocol

    lr, _ = open_dataset(_DATASET).pair(_IMAGE, scale, get_protocol(_PROTOCOL))
    try:
        torch.empty(1, 3, height, width)  # refused at once where it cannot fit, before anything is filled
        rows, columns = _mirrored(height, lr.shape[0]), _mirrored(width, lr.shape[1])
        return image_batch(lr[rows][:, columns]).to(device)
    except (RuntimeError, MemoryError, OverflowError, TypeError, ValueError) as error:
        raise CostError(
            f"an LR image of {width}x{height} pixels does not fit into the memory of '{device}'; give a smaller one "
            "with --lr-size"
        ) from error


def _mirrored(size: int, there: int) -> npt.NDArray[np.intp]:
    """Return which of the existing pixels are at each of `size` positions around the middle."""
    at = (np.arange(size) + (there - size) // 2) % (2 * there)
    return np.where(at < there, at, 2 * there - 1 - at)
