"""Score SR images that were stored as files, under every protocol that would have given the same files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srbench.data.datasets import Dataset
from srbench.errors import DataError
from srbench.evaluation.protocol_costs import variants
from srbench.images.files import is_image_file, read_rgb
from srbench.metrics.base import Metric, prepare
from srbench.metrics.comparison import Comparison
from srbench.protocols import Protocol

__all__ = ["SR_IMAGES", "StoredImages", "image_folders", "other_comparisons", "score", "why_not_comparable"]

SR_IMAGES = "sr_images"
"""The folder of a run that holds SR images: one folder per cell, named as the cell's own."""

# The choices that are made after an SR image is, and that every metric depends on.
_COMPARING = ("color", "crop_border")

Scores = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class StoredImages:
    """A model's SR images of one data set.

    Attributes:
        model: What the model is called.
        folder: Where they are: one file per HR image, of its name.
        dataset: The HR images.
        scale: The scale.
        protocol: The protocol under which they were made.
    """

    model: str
    folder: Path
    dataset: Dataset
    scale: int
    protocol: Protocol

    def path(self, image: str) -> Path:
        """Return the file of an image.

        Raises:
            DataError: There is none.
        """
        for suffix in (".png", ".bmp", ".tif", ".tiff", ".ppm"):
            if (path := self.folder / f"{image}{suffix}").is_file():
                return path
        raise DataError(
            f"'{self.folder}' has no SR image '{image}.png' for data set '{self.dataset.name}'; save one for each of "
            f"its {len(self.dataset.image_names())} images"
        )


def image_folders(source: Path) -> dict[str, Path]:
    """Return the folders of images in a folder, by name; the folder itself where the images are in it.

    Raises:
        DataError: There are none.
    """
    if not source.is_dir():
        raise DataError(f"'{source}' is not a folder; give a run's, or one with SR images as MODEL/IMAGE.png")

    def holds_images(folder: Path) -> bool:
        return any(is_image_file(path) for path in folder.iterdir())

    if holds_images(source):
        return {source.resolve().name: source}
    found = {path.name: path for path in sorted(source.iterdir()) if path.is_dir() and holds_images(path)}
    if not found:
        raise DataError(
            f"'{source}' holds no SR images; give a run made with `srbench run --keep-images`, or a folder with "
            "MODEL/IMAGE.png (`srbench eval MODEL --save-images FOLDER/MODEL`)"
        )
    return found


def why_not_comparable(made: Protocol, other: Protocol) -> str:
    """Return why SR images made under one protocol are not those of another, in words; empty where they are."""
    if made.lr_digest != other.lr_digest:
        return "it makes other LR images"
    if made.quantisation != other.quantisation:
        return f"it makes pixels of SR images by another rule ({other.quantisation}, not {made.quantisation})"
    if made.sr_size != other.sr_size:
        return "it treats SR images of another size differently"
    return ""


def other_comparisons(protocol: Protocol, scale: int) -> list[Protocol]:
    """Return the protocol with its colors or its border changed, each under a name that says how."""
    return [
        replace(other, name=f"{protocol.name}, {setting.replace('_', ' ')}: {instead}")
        for setting, instead, other in variants(protocol, scale)
        if setting in _COMPARING
    ]


def score(
    stored: StoredImages,
    protocols: Sequence[Protocol],
    metrics: Sequence[Sequence[Metric]],
    progress: Callable[[], None] | None = None,
) -> list[Scores]:
    """Compare stored SR images with their HR images.

    Args:
        stored: The images.
        protocols: Each must be comparable with the one under which they were made.
        metrics: For each protocol, what to compute.
        progress: Called after each image.

    Returns:
        For each protocol, the values per image of each metric, images in the data set's order.

    Raises:
        DataError: An image is missing, damaged or of another size, or a metric is not defined for it.
    """
    for metric in {metric.name: metric for several in metrics for metric in several}.values():
        prepare(metric)
    names = stored.dataset.image_names()
    found: list[dict[str, list[float]]] = [{metric.name: [] for metric in several} for several in metrics]
    for image in names:
        path = stored.path(image)
        sr = read_rgb(path)
        hr = stored.dataset.hr(image)
        grey = stored.protocol.lr_channels == "y" and stored.dataset.is_grey(image)
        for protocol, several, values in zip(protocols, metrics, found, strict=True):
            reference = protocol.reference(hr, stored.scale, grey=grey)
            pixels = sr if protocol.lr_channels == "rgb" else np.ascontiguousarray(sr[..., 0])
            if pixels.shape != reference.shape:
                raise DataError(
                    f"the SR image '{path}' has {pixels.shape[1]}x{pixels.shape[0]} pixels, its HR image "
                    f"{reference.shape[1]}x{reference.shape[0]} at x{stored.scale}; give images of that scale"
                )
            comparison = Comparison.under(protocol, pixels, reference, stored.scale)
            for metric in several:
                values[metric.name].append(float(metric(comparison)))
        if progress is not None:
            progress()
    return [{name: np.array(several) for name, several in values.items()} for values in found]
