"""Data sets: named HR images, identified by their pixels, and LR images generated from them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.cache import Cache
from srbench.errors import DataError, StoreError, UnknownNameError, suggest
from srbench.images.files import pixels_sha256, write_png
from srbench.protocols import Protocol
from srbench.untrusted import user_path

__all__ = ["Dataset", "Licence", "open_dataset"]

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Licence:
    """Author and licence of an image.

    Attributes:
        author: Its author.
        licence: `CC0-1.0` or `public domain`.
        source: Where the image is published, or its licence stated.
    """

    author: str
    licence: str
    source: str


class Dataset(ABC):
    """Base class of data sets: named HR images.

    Attributes:
        name: Its name in results.
        redistributable: Whether crops of its images may be shown on public pages.
    """

    name: str
    redistributable: bool = False

    @abstractmethod
    def image_names(self) -> list[str]:
        """Return the images' names in evaluation order."""

    @abstractmethod
    def hr(self, image: str) -> Image:
        """Return an HR image: uint8 RGB `(H, W, 3)`.

        Raises:
            UnknownNameError: If there is no image of that name.
            DataError: If its file is damaged or not the expected one.
            NetworkError: If it is missing and cannot be downloaded.
        """

    def is_grey(self, image: str) -> bool:
        """Return whether an image's file is grayscale, not RGB (default: False).

        Matlab programs convert RGB to luma in 16..235 but use grayscale values unchanged, in 0..255.
        """
        self._check(image)
        return False

    def size(self, image: str) -> tuple[int, int] | None:
        """Return height and width of an HR image if that needs no decoding; else None."""
        self._check(image)
        return None

    @property
    def cache(self) -> Cache:
        """The current cache."""
        return Cache()

    def pixel_hashes(self) -> dict[str, str]:
        """Return each image's pixel hash (see `srbench.images.files.pixels_sha256`)."""
        return {image: pixels_sha256(self.hr(image)) for image in self.image_names()}

    def content_hash(self, scale: int | None = None) -> str:
        """Return a SHA-256 that identifies the whole set, computed from the pixel hashes and independent of names.

        LR images follow from the HR images, the scale and the protocol. If `scale` is given, the hash includes it.
        """
        content = {"images": sorted(self.pixel_hashes().values())} | ({} if scale is None else {"scale": scale})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def licence(self, image: str) -> Licence | None:
        """Return an image's author and licence, if known."""
        self._check(image)
        return None

    def missing(self) -> list[str]:
        """Return the names of the images that would have to be downloaded."""
        return []

    def pair(self, image: str, scale: int, protocol: Protocol) -> tuple[npt.NDArray[Any], Image]:
        """Return an LR image and its reference: the HR image, cropped to a multiple of the scale.

        Args:
            image: Its name.
            scale: Integer downscaling factor.
            protocol: Defines how LR images are made.

        Returns:
            `(H // scale, W // scale, 3)`, uint8 or float64 (see `Protocol.lr_image`), and uint8
            `(H // scale * scale, W // scale * scale, 3)`; both without the last axis under a luma-only protocol.
        """
        hr = self.hr(image)
        if protocol.lr_rounding != "none" and protocol.lr_channels == "rgb":
            return _cached_lr(self.cache, hr, scale, protocol), protocol.reference(hr, scale)
        # PNG cannot store floats, and formats that can are so large that generating the image again is as fast.
        grey = protocol.lr_channels == "y" and self.is_grey(image)
        return protocol.lr_image(hr, scale, grey=grey), protocol.reference(hr, scale, grey=grey)

    def lr(self, image: str, scale: int, protocol: Protocol) -> npt.NDArray[Any]:
        """Return the LR image that the protocol makes from an HR image, from the cache if available."""
        return self.pair(image, scale, protocol)[0]

    def shipped_lr(self, image: str, scale: int) -> Image:
        """Return the LR image shipped with the data set: uint8 RGB `(h, w, 3)`.

        Raises:
            DataError: If there is none.
        """
        self._check(image)
        raise DataError(f"data set '{self.name}' comes without LR images; use generated ones")

    def _check(self, image: str) -> None:
        names = self.image_names()
        if image not in names:
            raise UnknownNameError(
                f"no image '{image}' in data set '{self.name}'{suggest(image, names, noun='images')}"
            )


def _cached_lr(cache: Cache, hr: Image, scale: int, protocol: Protocol) -> npt.NDArray[Any]:
    key = hashlib.sha256(f"{pixels_sha256(hr)} x{scale} {protocol.lr_digest}".encode()).hexdigest()
    path = cache.lr_path(key)
    lr = _read_verified(path)
    if lr is None:
        lr = protocol.lr_image(hr, scale)
        # A full disk only costs time here: the LR image is returned whether or not it could be cached.
        with contextlib.suppress(StoreError):
            write_png(lr, path, text={"pixels_sha256": pixels_sha256(lr)})
    return lr


def _read_verified(path: Path) -> Image | None:
    """Return a cached LR image, or None if it is missing or damaged."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as picture:
            image = np.array(picture)
            note = picture.info.get("pixels_sha256")
        return image if note == pixels_sha256(image) else None
    except (OSError, SyntaxError, ValueError, DataError):
        return None


def open_dataset(name: str | Path) -> Dataset:
    """Open a registered data set, a folder of images, or a text file that lists images.

    Args:
        name: One of: a registered name; a folder of HR images, or with subfolders `HR`, `LR_bicubic/X2`, ...; a list
            of images and folders, `NAME.txt` (see `ListDataset`). Relative paths are searched for in the working
            directory, then in the folders listed in the environment variable `SRBENCH_DATA`, so a suite need not know
            where data are stored. Some lists come with sr-bench, e.g. `t91-bsds200.txt`.

    Raises:
        UnknownNameError: If it is none of these; the message suggests the nearest name.
        DataError: If the folder holds no images, or LR images without HR images.
    """
    from srbench.data.folders import FolderDataset
    from srbench.data.known_sets import how_to_register, known_set
    from srbench.data.lists import ListDataset
    from srbench.registry import DATASETS, get_dataset, list_datasets

    known = list_datasets()
    if str(name) in known or str(name) in DATASETS:  # `DIST:NAME` too
        return get_dataset(str(name))
    path = _find(user_path(name, "data set", DataError))
    if path.is_dir():
        taken = {other.lower() for other in known}
        return FolderDataset(
            path,
            name=f"{path.resolve().name}-folder" if path.resolve().name.lower() in taken else None,
        )
    if path.is_file() and path.suffix == ".txt":
        return ListDataset(path)
    if path.exists():
        raise DataError(
            f"'{name}' is a file; a data set is a folder of images, a list of them in a .txt file, or one of: "
            f"{', '.join(known)}"
        )
    if (not_registered := known_set(str(name))) is not None:
        raise UnknownNameError(how_to_register(not_registered))
    raise UnknownNameError(
        f"unknown data set '{name}', and no folder of that name here or in SRBENCH_DATA"
        f"{suggest(str(name), known, noun='known')}"
    )


def _find(path: Path) -> Path:
    from srbench.data.lists import data_folders, packaged_lists

    if path.suffix == ".txt":
        places = (Path(), *data_folders(), packaged_lists())
        return next((place / path for place in places if (place / path).is_file()), path)
    return next((place / path for place in (Path(), *data_folders()) if (place / path).is_dir()), path)
