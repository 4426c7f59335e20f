"""LR images as evaluation programs make them: those of a protocol, of torch, and the files of a folder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.data.datasets import Dataset, Image
from srbench.diagnosis.choices import PassChoices
from srbench.errors import DataError
from srbench.protocols import Protocol

__all__ = ["lr_and_reference"]


def lr_and_reference(
    dataset: Dataset, image: str, scale: int, choices: PassChoices, protocol: Protocol
) -> tuple[npt.NDArray[Any], Image]:
    """Return an LR image `(h, w, 3)` in 0..255, uint8 or float64, and the HR image `(H, W, 3)` that it was made from.

    Raises:
        DataError: The image is too small, or a folder's LR file has another size.
    """
    hr = dataset.hr(image)
    kernel = choices.lr_kernel
    cropping = replace(protocol, hr_crop=choices.hr_crop)
    reference = cropping.reference(hr, scale)
    if kernel == "shipped":
        shipped = dataset.shipped_lr(image, scale)
        height, width = reference.shape[0] // scale, reference.shape[1] // scale
        if shipped.shape[0] < height or shipped.shape[1] < width:
            raise DataError(f"the LR file of '{dataset.name}/{image}' is smaller than 1/{scale} of its HR image")
        return shipped[:height, :width], reference
    if kernel.startswith("torch"):
        return _by_torch(
            reference, scale, antialias=kernel.endswith("antialias"), rounded=choices.lr_rounding
        ), reference
    of_matlab = kernel == "matlab-bicubic"
    padding = choices.lr_padding if choices.lr_padding != "none" else "symmetric"
    made = replace(
        cropping,
        lr_kernel=kernel,  # type: ignore[arg-type]
        lr_padding=padding if of_matlab else "none",  # type: ignore[arg-type]
        lr_rounding=choices.lr_rounding if of_matlab else "per_pass",  # type: ignore[arg-type]
    )
    return made.lr_image(hr, scale), reference


def _by_torch(reference: Image, scale: int, *, antialias: bool, rounded: str) -> npt.NDArray[Any]:
    """Return torch's bicubic: a = -0.75 as in OpenCV; with antialiasing a = -0.5 as in Pillow."""
    import torch
    import torch.nn.functional as F

    pixels = torch.from_numpy(np.ascontiguousarray(reference)).permute(2, 0, 1)[None].double()
    size = (reference.shape[0] // scale, reference.shape[1] // scale)
    small = F.interpolate(pixels, size=size, mode="bicubic", align_corners=False, antialias=antialias)
    values: npt.NDArray[np.float64] = small[0].permute(1, 2, 0).clamp(0, 255).numpy()
    return values if rounded == "none" else np.rint(values).astype(np.uint8)
