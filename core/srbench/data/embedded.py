"""Images available without a download: those in scikit-image's wheel under CC0 or in the public domain.

Training and test images are separate: two textures, a still life, a rocket launch and a star field for training; a
portrait, a landscape with a figure, fur and gravel for testing. The wheel's other photographs are left out because
their licence is different or not stated, or because they are blurred. The Hubble image, a large and soft JPEG, is
halved when it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srbench.data.datasets import Dataset, Licence
from srbench.errors import DataError
from srbench.images.files import pixels_sha256, read_rgb
from srbench.images.resize import imresize

__all__ = ["EmbeddedDataset", "EmbeddedImage", "embedded_test", "embedded_train"]

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class EmbeddedImage:
    """One image of scikit-image's wheel.

    Attributes:
        file: Its name in the folder `skimage/data`.
        pixels_sha256: Hash of the image as used here, after shrinking.
        licence: Author and terms, as scikit-image's documentation states them.
        shrink: Integer factor by which it is downscaled (Matlab's bicubic).
    """

    file: str
    pixels_sha256: str
    licence: Licence
    shrink: int = 1


class EmbeddedDataset(Dataset):
    """Images of the installed scikit-image, located without importing it."""

    redistributable = True

    def __init__(self, name: str, images: dict[str, EmbeddedImage]) -> None:
        """Define the set by its images."""
        self.name = name
        self.images = images

    def image_names(self) -> list[str]:
        """Return the images' names."""
        return list(self.images)

    def pixel_hashes(self) -> dict[str, str]:
        """Return each image's pixel hash, without reading images."""
        return {name: image.pixels_sha256 for name, image in self.images.items()}

    def licence(self, image: str) -> Licence:
        """Return an image's author and licence."""
        self._check(image)
        return self.images[image].licence

    def hr(self, image: str) -> Image:
        """Return an image, uint8 RGB `(H, W, 3)`, with verified pixels.

        Raises:
            DataError: If the installed scikit-image does not have it, or has different pixels.
        """
        self._check(image)
        entry = self.images[image]
        path = _folder() / entry.file
        if not path.is_file():
            raise DataError(f"{_installed()} has no '{entry.file}' in its data; install scikit-image 0.22 or later")
        pixels = read_rgb(path)
        if entry.shrink > 1:
            height, width = (size - size % entry.shrink for size in pixels.shape[:2])
            pixels = imresize(pixels[:height, :width], Fraction(1, entry.shrink))
        if (found := pixels_sha256(pixels)) != entry.pixels_sha256:
            raise DataError(
                f"'{entry.file}' of {_installed()} has other pixels than '{self.name}' needs (pixel hash "
                f"{found[:12]}…, not {entry.pixels_sha256[:12]}…): results would not be comparable; "
                "install scikit-image 0.26.0"
            )
        return pixels


def _folder() -> Path:
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "the embedded images are part of scikit-image, which is not installed: pip install scikit-image"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _installed() -> str:
    try:
        return f"scikit-image {version('scikit-image')}"
    except PackageNotFoundError:
        return "the installed scikit-image"


_CC0_TEXTURES = "https://cc0textures.com/view.php?tex="
_DOCS = "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data."

_TRAIN = {
    "brick": EmbeddedImage(
        "brick.png",
        "64c569055ad599e09f205e2f6b5187b692990c231b99f8f2e4ecb98fb15a740c",
        Licence("CC0Textures", "CC0-1.0", f"{_CC0_TEXTURES}Bricks25"),
    ),
    "coffee": EmbeddedImage(
        "coffee.png",
        "2e9a1a2f156851147ea0e72b3d72179889390fabeed92dbb4795780220be94dd",
        Licence("Rachel Michetti", "CC0-1.0", f"{_DOCS}coffee"),
    ),
    "grass": EmbeddedImage(
        "grass.png",
        "c5d3a9bdc960f00abc50c6ae83ee0b61de628927cb6786d6489253b31f462f2b",
        Licence(
            "linolafett",
            "CC0-1.0",
            "https://www.deviantart.com/linolafett/art/Grass-01-434853879",
        ),
    ),
    "hubble": EmbeddedImage(
        "hubble_deep_field.jpg",
        "adc609018038e6c898784bf2dc1645cbf1c7cee78233add2ffa817707ddf5317",
        Licence(
            "NASA",
            "public domain",
            "http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/",
        ),
        shrink=2,
    ),
    "rocket": EmbeddedImage(
        "rocket.jpg",
        "b513ded1ad41ad7ab3b1bf67857b1a7a119f49b8fc07afdc2537c8085ea87504",
        Licence(
            "SpaceX",
            "public domain",
            "https://www.flickr.com/photos/spacexphotos/16511594820/in/photostream/",
        ),
    ),
}

_TEST = {
    "astronaut": EmbeddedImage(
        "astronaut.png",
        "e7aa6b86f885693befa6f9b9fe17e842fed4fea03c55a531ec26cf83068e23cb",
        Licence("NASA", "public domain", "https://flic.kr/p/r9qvLn"),
    ),
    "camera": EmbeddedImage(
        "camera.png",
        "9e4d0901bebc3bd5cce03e2f8c9535b372be24d5329d1e221d1edf77deafb528",
        Licence("Lav Varshney", "CC0-1.0", f"{_DOCS}camera"),
    ),
    "chelsea": EmbeddedImage(
        "chelsea.png",
        "6493d630861c010b5984b351374a52591c4338049a47b25041008b605ad9119b",
        Licence("Stefan van der Walt", "CC0-1.0", f"{_DOCS}chelsea"),
    ),
    "gravel": EmbeddedImage(
        "gravel.png",
        "94288c9c74a1261659f34690e0ec3f8cda74d28ab46cb518d7c8d309ad08197f",
        Licence("CC0Textures", "CC0-1.0", f"{_CC0_TEXTURES}Gravel04"),
    ),
}


def embedded_train() -> Dataset:
    """Return the embedded training images: 5 images, 1.25 million pixels."""
    return EmbeddedDataset("embedded-train", _TRAIN)


def embedded_test() -> Dataset:
    """Return the embedded test images: 4 images, none of them in `embedded_train`."""
    return EmbeddedDataset("embedded-test", _TEST)
