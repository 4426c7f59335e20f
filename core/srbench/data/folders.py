"""A folder of images as a data set."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srbench.data.datasets import Dataset
from srbench.errors import DataError, StoreError
from srbench.images.files import decode_rgb, header_size, is_grey_file, is_image_file, pixels_sha256, read_rgb
from srbench.storage import sha256_bytes
from srbench.untrusted import IMAGE_LIMIT, read_bytes, user_path

__all__ = ["FolderDataset"]

Image = npt.NDArray[np.uint8]

# Increase this when `decode_rgb` decodes a file to different pixels, or refuses it.
_DECODING = 1

# LR, LR_bicubic, or with the scale in the name: LR_bicubic_X2, LRx2.
_LR_FOLDER = re.compile(r"lr(?:_bicubic)?(?:_?x(\d+))?", re.IGNORECASE)
_SCALE_FOLDER = re.compile(r"x(\d+)", re.IGNORECASE)


class FolderDataset(Dataset):
    """The images in a folder or in its subfolder `HR`, with LR images in `LR_bicubic/X2`, `LR/x4`, ...

    An LR file has its HR file's name, with or without a suffix such as `x2`. By default LR images are generated and
    LR files are not used; `srbench data verify` compares them.
    """

    def __init__(self, path: Path | str, *, name: str | None = None) -> None:
        """List a folder's files; images are read on demand.

        Raises:
            DataError: If there are no images, two files with one name, or LR files without an HR file.
        """
        self.path = user_path(path, "folder of images", DataError)
        if not self.path.is_dir():
            raise DataError(f"'{path}' is not a folder")
        self.name = name or self.path.resolve().name
        folders = sorted(child for child in self.path.iterdir() if child.is_dir() and not child.name.startswith("."))
        hr_folders = [folder for folder in folders if folder.name.lower() == "hr"]
        if len(hr_folders) > 1:
            raise DataError(f"'{self.path}' holds {_listing(hr_folders, self.path)}: keep one of them")
        self.hr_folder = hr_folders[0] if hr_folders else self.path
        self._hr = _by_stem(self.hr_folder)
        if not self._hr:
            inside = f"; it holds the folders {_listing(folders, self.path)}" if folders else ""
            raise DataError(f"there are no images in '{self.hr_folder}'{inside}")
        self._lr = {
            scale: self._match(scale, folder) for scale, folder in (_lr_folders(folders) if hr_folders else {}).items()
        }

    def image_names(self) -> list[str]:
        """Return the HR files' names without extensions, sorted."""
        return list(self._hr)

    def hr(self, image: str) -> Image:
        """Return an HR image: uint8 RGB `(H, W, 3)`."""
        self._check(image)
        return read_rgb(self._hr[image])

    def size(self, image: str) -> tuple[int, int] | None:
        """Return height and width of an HR image from its file's header."""
        self._check(image)
        return header_size(self._hr[image])

    def is_grey(self, image: str) -> bool:
        """Return whether an image's file is grayscale, not RGB."""
        self._check(image)
        return is_grey_file(self._hr[image])

    def pixel_hashes(self) -> dict[str, str]:
        """Return each image's pixel hash; only files with content not seen before are decoded.

        Files are read and hashed each time, so that no edit is missed. This is several times cheaper than decoding.
        """
        return {image: self._pixel_hash(path) for image, path in self._hr.items()}

    def _pixel_hash(self, path: Path) -> str:
        content = read_bytes(path, limit=IMAGE_LIMIT, what="image")
        # JPEG decoders differ in the last bit from version to version.
        key = sha256_bytes(f"{sha256_bytes(content)} {_DECODING} pillow {version('pillow')}".encode())
        known = self.cache.decoded_hash(key)
        if known is None:
            known = pixels_sha256(decode_rgb(content, str(path)))
            with contextlib.suppress(StoreError):  # the hash is right whether or not it could be cached
                self.cache.remember_decoded(key, known)
        return known

    @property
    def shipped_scales(self) -> tuple[int, ...]:
        """Return the scales with LR files."""
        return tuple(sorted(self._lr))

    def without_lr(self, scale: int) -> list[str]:
        """Return the names of the images that have no LR file at a scale."""
        return [image for image in self._hr if image not in self._lr.get(scale, {})]

    def shipped_lr(self, image: str, scale: int) -> Image:
        """Return an LR image from its file: uint8 RGB `(h, w, 3)`.

        Raises:
            DataError: If there are no files of that scale, or not for all images; the missing ones are listed.
        """
        self._check(image)
        if scale not in self._lr:
            there = ", ".join(f"x{known}" for known in self.shipped_scales) or "none"
            raise DataError(f"'{self.path}' holds no LR images of scale {scale} (there: {there})")
        if lonely := self.without_lr(scale):
            raise DataError(f"these HR images in '{self.path}' have no x{scale} LR image: {', '.join(lonely)}")
        return read_rgb(self._lr[scale][image])

    def _match(self, scale: int, folder: Path) -> dict[str, Path]:
        """Return the LR file of each HR image."""
        matched: dict[str, Path] = {}
        unmatched, double = [], []
        suffix = re.compile(rf"_?x{scale}$", re.IGNORECASE)
        for stem, file in _by_stem(folder).items():
            image = stem if stem in self._hr else suffix.sub("", stem)
            if image not in self._hr:
                unmatched.append(file)
            elif image in matched:
                double += [matched[image], file]
            else:
                matched[image] = file
        if unmatched:
            raise DataError(
                f"these LR images have no HR image of their name in '{self.hr_folder}': "
                f"{_listing(unmatched, self.path)}"
            )
        if double:
            raise DataError(f"these LR images belong to the same HR image: {_listing(double, self.path)}; keep one")
        return matched


def _by_stem(folder: Path) -> dict[str, Path]:
    """Return a folder's image files, sorted, by name without extension."""
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and is_image_file(file):
            if file.stem in files:
                raise DataError(f"'{files[file.stem]}' and '{file.name}' would have the same image name: keep one")
            files[file.stem] = file
    return files


def _lr_folders(folders: Iterable[Path]) -> dict[int, Path]:
    """Return the folder of each scale's LR files."""
    found: dict[int, Path] = {}
    for folder in folders:
        name = _LR_FOLDER.fullmatch(folder.name)
        if name is None:
            continue
        scaled = [(int(name[1]), folder)] if name[1] else []
        if not scaled:
            children = sorted(child for child in folder.iterdir() if child.is_dir())
            scaled = [(int(m[1]), child) for child in children if (m := _SCALE_FOLDER.fullmatch(child.name))]
        for scale, path in scaled:
            if scale in found:
                raise DataError(f"'{found[scale]}' and '{path}' both hold LR images of scale {scale}: keep one of them")
            found[scale] = path
    return found


def _listing(paths: Iterable[Path], root: Path) -> str:
    return ", ".join(str(path.relative_to(root)) for path in paths)
