"""The image for timing and memory: part of a photograph, because on noise masks skip little."""

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
    """Return the center of a photograph's LR image, `(1, 3, height, width)` in 0..1, extended by mirroring if needed.

    Args:
        scale: Factor by which the photograph is downscaled, as test images are.
        height: LR pixels.
        width: LR pixels.
        device: Device of the image.

    Raises:
        CostError: There is not enough memory for the image.
    """
    import torch

    from srbench.data.datasets import open_dataset
    from srbench.models.image_batch import image_batch
    from srbench.protocols import get_protocol

    lr, _ = open_dataset(_DATASET).pair(_IMAGE, scale, get_protocol(_PROTOCOL))
    try:
        torch.empty(1, 3, height, width)  # fail at once if it cannot fit, before filling anything
        rows, columns = _mirrored(height, lr.shape[0]), _mirrored(width, lr.shape[1])
        return image_batch(lr[rows][:, columns]).to(device)
    except (RuntimeError, MemoryError, OverflowError, TypeError, ValueError) as error:
        raise CostError(
            f"an LR image of {width}x{height} pixels does not fit into the memory of '{device}'; give a smaller one "
            "with --lr-size"
        ) from error


def _mirrored(size: int, there: int) -> npt.NDArray[np.intp]:
    """Return the source pixel of each of `size` positions around the center."""
    at = (np.arange(size) + (there - size) // 2) % (2 * there)
    return np.where(at < there, at, 2 * there - 1 - at)
