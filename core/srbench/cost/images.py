"""The image that networks are timed and measured on: a part of a photograph, because masks skip little of noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from srbench.protocols import get_protocol

    lr, _ = open_dataset(_DATASET).pair(_IMAGE, scale, get_protocol(_PROTOCOL))
    try:
        image = torch.empty(1, 3, height, width)  # refused at once where it cannot fit, before anything is filled
        pixels = torch.from_numpy(lr.copy())
        rows, columns = _mirrored(height, lr.shape[0]), _mirrored(width, lr.shape[1])
        image[0] = pixels[rows][:, columns].permute(2, 0, 1)
        return image.div_(255).to(device)
    except (RuntimeError, MemoryError, OverflowError, TypeError) as error:
        raise CostError(
            f"an LR image of {width}x{height} pixels does not fit into the memory of '{device}'; give a smaller one "
            "with --lr-size"
        ) from error


def _mirrored(size: int, there: int) -> Tensor:
    """Return which of the pixels that are there stand at each of `size` positions around the middle."""
    import torch

    at = torch.arange(size).add_((there - size) // 2).remainder_(2 * there)
    return torch.where(at < there, at, 2 * there - 1 - at)
