"""Standard test sets, defined by manifests: public files and pixel hashes."""

from __future__ import annotations

import json
from functools import cached_property
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from srbench.data.datasets import Dataset
from srbench.errors import DataError
from srbench.images.files import pixels_sha256, read_rgb

__all__ = ["ManifestDataset", "ManifestFile", "bsd100", "set5", "set14", "urban100"]

Image = npt.NDArray[np.uint8]


class ManifestFile(NamedTuple):
    """Describe one image of a manifest.

    Attributes:
        image: Its name in results.
        url: Where the file is published.
        sha256: Hash of that file, to check downloads.
        size: Its size in bytes.
        width: In pixels.
        height: In pixels.
        pixels_sha256: Hash of the decoded pixels, which identifies the image even if it has been re-encoded.
        mode: `RGB`, or `L` for a grayscale file.
    """

    image: str
    url: str
    sha256: str
    size: int
    width: int
    height: int
    pixels_sha256: str
    mode: str = "RGB"


class ManifestDataset(Dataset):
    """A data set that finds images in the cache by their pixel hashes, and downloads missing ones."""

    def __init__(self, name: str, manifest: dict[str, Any] | None = None) -> None:
        """Open a data set; without a manifest, the packaged one of that name is read when needed."""
        self.name = name
        self._given = manifest

    @cached_property
    def files(self) -> dict[str, ManifestFile]:
        """Return the manifest's files by image name."""
        manifest = self._given
        if manifest is None:
            text = resources.files("srbench.data").joinpath(f"{self.name.lower()}.json").read_text(encoding="utf-8")
            manifest = json.loads(text)
        base = f"https://raw.githubusercontent.com/{manifest['repository']}/{manifest['commit']}"
        return {
            entry["image"]: ManifestFile(
                image=entry["image"],
                url=f"{base}/{entry['path']}",
                sha256=entry["sha256"],
                size=entry["bytes"],
                width=entry["width"],
                height=entry["height"],
                pixels_sha256=entry["pixels_sha256"],
                mode=entry.get("mode", "RGB"),
            )
            for entry in manifest["files"]
        }

    def image_names(self) -> list[str]:
        """Return the images' names in the manifest's order."""
        return list(self.files)

    def pixel_hashes(self) -> dict[str, str]:
        """Return each image's pixel hash, without reading images."""
        return {image: file.pixels_sha256 for image, file in self.files.items()}

    def missing(self) -> list[str]:
        """Return the names of the images that are not in the cache."""
        cache = self.cache
        return [
            image
            for image, file in self.files.items()
            if cache.image_path(file.pixels_sha256) is None and not cache.has(file.sha256)
        ]

    def is_grey(self, image: str) -> bool:
        """Return whether the published file is grayscale, without reading it."""
        self._check(image)
        return self.files[image].mode == "L"

    def hr(self, image: str) -> Image:
        """Return an HR image, uint8 RGB `(H, W, 3)`, with verified pixels; it is downloaded if missing."""
        self._check(image)
        file = self.files[image]
        cache = self.cache
        path = cache.image_path(file.pixels_sha256)
        if path is not None:
            try:
                pixels = read_rgb(path)
                if pixels_sha256(pixels) == file.pixels_sha256:
                    return pixels
            except DataError:
                pass
            # The cached copy is damaged: treat it as missing. `verified` removes it by its hash.
            cache.verified(path.name)
        path = cache.fetch(file.url, file.sha256, f"{self.name}/{image}", file.size)
        pixels = read_rgb(path)
        if pixels_sha256(pixels) != file.pixels_sha256:
            raise DataError(
                f"'{self.name}/{image}' is the right file, but this version of Pillow decodes it to different pixels; "
                "install another version"
            )
        cache.index_pixels(file.pixels_sha256, file.sha256)
        return pixels


def set5() -> Dataset:
    """Return Set5 (M. Bevilacqua et al., 2012): 5 images."""
    return ManifestDataset("Set5")


def set14() -> Dataset:
    """Return Set14 (R. Zeyde et al., 2010): 14 images, one of them grayscale."""
    return ManifestDataset("Set14")


def bsd100() -> Dataset:
    """Return BSD100 (D. Martin et al., 2001): the 100 validation images of BSDS500."""
    return ManifestDataset("BSD100")


def urban100() -> Dataset:
    """Return Urban100 (J.-B. Huang et al., 2015): 100 images of buildings."""
    return ManifestDataset("Urban100")
