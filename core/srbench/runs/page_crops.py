"""Crops of SR and HR images for pages."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from srbench.images.crops import crop_box
from srbench.results.records import slugify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from srbench.protocols import Protocol

__all__ = ["PageCrops"]

CROP = 96  # side of a crop in HR pixels


class PageCrops:
    """Callback for `evaluate` that collects the most detailed part of every image.

    It is chosen on the HR image, so that all models are shown at the same position.

    Args:
        scale: The scale; crops cover whole LR pixels.
    """

    def __init__(self, scale: int) -> None:
        self.scale = scale
        self._found: defaultdict[str, dict[str, NDArray[np.uint8]]] = defaultdict(dict)

    def __call__(self, protocol: Protocol, image: str, sr: NDArray[np.uint8], hr: NDArray[np.uint8]) -> None:
        """Collect the crops of an image, uint8 RGB `(H, W, 3)` or luma `(H, W)`, which is stored as gray RGB."""
        if hr.ndim == 2:
            sr, hr = (luma[..., None].repeat(3, 2) for luma in (sr, hr))
        top, left, bottom, right = crop_box(hr, CROP, self.scale)
        found = self._found[protocol.name]
        for kind, pixels in (("hr", hr), ("sr", sr)):
            # Copy the crop, so that the whole image is not kept in memory.
            found[f"{slugify(image)}.{kind}.png"] = pixels[top:bottom, left:right].copy()

    def under(self, protocol: Protocol) -> dict[str, NDArray[np.uint8]]:
        """Return the crops under a protocol: file name -> uint8 RGB."""
        return self._found[protocol.name]
