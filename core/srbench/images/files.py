"""Reading, writing and hashing of image files."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.errors import DataError
from srbench.storage import write_atomic
from srbench.untrusted import IMAGE_LIMIT, check_regular, read_bytes

__all__ = [
    "IMAGE_SUFFIXES",
    "header_size",
    "is_grey_file",
    "is_image_file",
    "pixels_sha256",
    "read_rgb",
    "write_png",
]

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

Image = npt.NDArray[np.uint8]

# Why a mode is refused and what to do: there are several ways to convert it to RGB, so the user must choose.
_ADVICE = {
    "RGBA": "has an alpha channel; flatten it onto a background, or save it without transparency",
    "LA": "has an alpha channel; flatten it onto a background, or save it without transparency",
    "PA": "has an alpha channel; flatten it onto a background, or save it without transparency",
    "RGBa": "has an alpha channel; flatten it onto a background, or save it without transparency",
    "La": "has an alpha channel; flatten it onto a background, or save it without transparency",
    "CMYK": "is in CMYK; convert it to RGB with the colour profile it was made for",
    "LAB": "is in CIE Lab; convert it to RGB",
    "HSV": "is in HSV; convert it to RGB",
    "F": "holds floating-point values; save it as 8-bit RGB",
}


def is_image_file(path: Path) -> bool:
    """Return whether a name has an image extension and is not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def is_grey_file(path: Path | str) -> bool:
    """Return whether an image file is grayscale or black and white, from its header.

    Raises:
        DataError: If it cannot be read as an image.
    """
    from PIL import Image as Pillow

    check_regular(Path(path), IMAGE_LIMIT, "image")
    try:
        with Pillow.open(path) as picture:
            return picture.mode in ("1", "L")
    except OSError as error:
        raise DataError(f"cannot read '{path}' as an image: {error}") from error


def read_rgb(path: Path | str) -> Image:
    """Read an 8-bit image file as RGB.

    Grayscale, black-and-white and opaque palette images are converted to three channels, which is exact. Everything
    that would need a decision (transparency, CMYK, more than 8 bits per channel) is refused. Orientation tags and
    color profiles are ignored.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        DataError: If the file is missing, not an image, damaged or truncated, or of a kind that is refused.
    """
    return decode_rgb(read_bytes(Path(path), limit=IMAGE_LIMIT, what="image"), str(path))


def decode_rgb(content: bytes, name: str) -> Image:
    """Decode the content of an image file; `read_rgb` says what is accepted and raised."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    if not content:
        raise DataError(f"'{name}' is empty, not an image")
    try:
        picture = Pillow.open(io.BytesIO(content))
    except UnidentifiedImageError as error:
        raise DataError(f"'{name}' is not an image in a known format, or its beginning is damaged") from error
    except Pillow.DecompressionBombError as error:
        raise DataError(f"'{name}' claims an implausibly large size: {error}") from error
    except Exception as error:
        # Decoders can raise any exception on damaged headers.
        raise DataError(f"'{name}' cannot be opened as an image: {error}") from error
    if _bits(picture, content) > 8:
        raise DataError(f"'{name}' has more than 8 bits per channel; save it as 8-bit RGB, rounding as you see fit")
    if picture.mode in _ADVICE:
        raise DataError(f"'{name}' {_ADVICE[picture.mode]}")
    if "transparency" in picture.info:
        raise DataError(f"'{name}' has transparent pixels; flatten it onto a background")
    if picture.mode not in ("1", "L", "P", "RGB"):
        raise DataError(f"'{name}' has pixels of the kind '{picture.mode}'; save it as 8-bit RGB")
    try:
        # Loading ends with the last pixel; verifying reads on to the end mark, and checks every chunk's checksum.
        if picture.format == "PNG":
            Pillow.open(io.BytesIO(content)).verify()
        picture.load()
        return np.array(picture.convert("RGB"))
    except Exception as error:
        raise DataError(f"'{name}' is damaged or truncated: {error}") from error


def _bits(picture: Any, content: bytes) -> int:
    """Return the bits per channel that a file holds; Pillow narrows 16-bit RGB to 8 bits silently."""
    if picture.format == "PNG" and len(content) > 24:
        return content[24]
    if picture.mode.startswith("I"):
        return 16
    raw_modes = " ".join(str(tile) for tile in getattr(picture, "tile", []))
    return 16 if ";16" in raw_modes else 8


def pixels_sha256(image: Image) -> str:
    """Return what identifies an image: the SHA-256 of the ASCII line `HxWx3` and the RGB bytes in C order.

    Raises:
        DataError: If the image is not uint8 `(H, W, 3)`.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DataError(f"an image is identified by its uint8 RGB pixels (H, W, 3), got {image.dtype} {image.shape}")
    digest = hashlib.sha256("{}x{}x{}\n".format(*image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def header_size(path: Path) -> tuple[int, int] | None:
    """Return height and width as an image file's header says them; None where it cannot be read."""
    from PIL import Image as Pillow

    try:
        check_regular(path, IMAGE_LIMIT, "image", DataError)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the reader of the pixels judges large images
            with Pillow.open(path) as picture:
                return picture.height, picture.width
    except Exception:  # decoders raise whatever they like; the reader of the pixels says what is wrong
        return None


def write_png(image: Image, path: Path | str, *, text: dict[str, str] | None = None) -> None:
    """Write an RGB or grey image as PNG, whole or not at all.

    Args:
        image: uint8 `(H, W, 3)` or `(H, W)`.
        path: Where to; folders are made.
        text: Notes to keep in the file.

    Raises:
        StoreError: If it cannot be written.
    """
    from PIL import Image as Pillow
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    for key, value in (text or {}).items():
        notes.add_text(key, value)
    buffer = io.BytesIO()
    # Level 1: three times as fast as the default, files an eighth larger.
    Pillow.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG", pnginfo=notes, compress_level=1)
    write_atomic(Path(path), buffer.getvalue())
