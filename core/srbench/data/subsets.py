"""A part of a data set: some of its images, chosen by name."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from pathlib import Path
from typing import Any

from srbench.data.datasets import Dataset, Image, Licence, open_dataset
from srbench.errors import ConfigError, DataError, suggest

__all__ = ["SubsetDataset", "choose_images", "open_images"]


class SubsetDataset(Dataset):
    """Take some images of a data set, under the names that they have there.

    Args:
        whole: The data set.
        images: Names of the images, in its order.
        pattern: How they were chosen.
    """

    def __init__(self, whole: Dataset, images: list[str], pattern: str) -> None:
        self.whole, self.pattern = whole, pattern
        self._images = images
        self.total = len(whole.image_names())
        self.name = f"{whole.name} ({len(images)} of {self.total} images)"
        self.redistributable = whole.redistributable

    @property
    def subset_hash(self) -> str:
        """Return a SHA-256 over the names and pixel hashes of the images."""
        content = sorted(self.pixel_hashes().items())
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()

    def description(self) -> dict[str, Any]:
        """Return what records say of a part: the whole, how the images were chosen, their names and their hash."""
        return {
            "of": self.whole.name,
            "of_images": self.total,
            "pattern": self.pattern,
            "images": self.image_names(),
            "sha256": self.subset_hash,
        }

    def image_names(self) -> list[str]:
        """Return the names of the images that were chosen."""
        return list(self._images)

    def hr(self, image: str) -> Image:
        """Return an HR image: uint8 RGB `(H, W, 3)`."""
        self._check(image)
        return self.whole.hr(image)

    def is_grey(self, image: str) -> bool:
        """Say whether an image's file holds grey levels, not RGB."""
        self._check(image)
        return self.whole.is_grey(image)

    def size(self, image: str) -> tuple[int, int] | None:
        """Return height and width of an HR image where that takes no decoding; else None."""
        self._check(image)
        return self.whole.size(image)

    def pixel_hashes(self) -> dict[str, str]:
        """Return each image's pixel hash."""
        known = self.whole.pixel_hashes()
        return {image: known[image] for image in self._images}

    def licence(self, image: str) -> Licence | None:
        """Return an image's author and licence, where they are known."""
        self._check(image)
        return self.whole.licence(image)

    def missing(self) -> list[str]:
        """Return the names of the images that would have to be downloaded."""
        return [image for image in self.whole.missing() if image in self._images]

    def shipped_lr(self, image: str, scale: int) -> Image:
        """Return the LR image that came with the data set: uint8 RGB `(h, w, 3)`."""
        self._check(image)
        return self.whole.shipped_lr(image, scale)


def choose_images(dataset: Dataset, pattern: str) -> Dataset:
    """Return the images of a data set that match; the data set itself where all do.

    Args:
        dataset: The data set.
        pattern: Names and globs, separated by commas; an image is taken that matches any of them.

    Raises:
        ConfigError: The pattern is empty.
        DataError: No image matches one of its parts; the nearest name is named.
    """
    parts = [part.strip() for part in pattern.split(",") if part.strip()]
    if not parts:
        raise ConfigError("give at least one image's name or glob, e.g. --images 'baby,b*'")
    names = dataset.image_names()
    for part in parts:
        if not any(fnmatch.fnmatchcase(name, part) for name in names):
            raise DataError(
                f"data set '{dataset.name}' has no image that matches '{part}'"
                + suggest(part, names, noun="its images")
            )
    chosen = [name for name in names if any(fnmatch.fnmatchcase(name, part) for part in parts)]
    return dataset if len(chosen) == len(names) else SubsetDataset(dataset, chosen, ",".join(parts))


def open_images(source: str | Path, pattern: str = "") -> Dataset:
    """Return a data set by its name, folder or list, or those of its images that match a pattern.

    Raises:
        SRBenchError: There is no such data set, or no such image in it.
    """
    dataset = open_dataset(source)
    return choose_images(dataset, pattern) if pattern else dataset
