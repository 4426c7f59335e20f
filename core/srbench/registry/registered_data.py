"""Data sets that the user registered: a manifest each, in the folder `registered` of the cache.

Importing this module needs only the standard library.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

from srbench.cache import default_root
from srbench.errors import ConfigError, StoreError
from srbench.storage import disk_errors, write_atomic
from srbench.untrusted import parse_json, read_text, user_path

__all__ = ["Manifest", "RegisteredImage", "check_name", "manifest_path", "read_manifest", "registered_names"]

FORMAT = "srbench-registered-1"

_NAME_LIMIT = 255  # bytes of each part of a file's path
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class RegisteredImage:
    """An image of a registered folder.

    Attributes:
        image: Its name.
        file: Its file, relative to the registered folder.
        pixels_sha256: Hash of the decoded pixels.
        width: In pixels.
        height: In pixels.
        size: Of the file, in bytes.
        modified: When the file was changed last, in nanoseconds; a file of that size and time is not decoded again.
    """

    image: str
    file: str
    pixels_sha256: str
    width: int
    height: int
    size: int
    modified: int


@dataclass(frozen=True)
class Manifest:
    """What was registered under a name.

    Attributes:
        name: The name.
        folder: The folder, absolute.
        images: Its images in evaluation order.
        content_hash: SHA-256 over the pixel hashes, as `Dataset.content_hash` returns it.
        scales: Scales of LR files that were there for every image.
        licence: Terms as the user stated them, or "".
        url: Where the images come from, as the user stated it, or "".
    """

    name: str
    folder: str
    images: tuple[RegisteredImage, ...]
    content_hash: str
    scales: tuple[int, ...] = ()
    licence: str = ""
    url: str = ""

    def write(self) -> None:
        """Store the manifest.

        Raises:
            StoreError: It cannot be written.
        """
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"
        write_atomic(manifest_path(self.name), text.encode())

    def remove(self) -> None:
        """Remove the stored manifest; the images stay.

        Raises:
            StoreError: It cannot be removed.
        """
        path = manifest_path(self.name)
        with disk_errors(path):
            path.unlink(missing_ok=True)


def manifest_path(name: str) -> Path:
    """Return the file of a name's manifest, whether or not it exists."""
    return default_root() / "registered" / f"{name}.json"


def registered_names() -> list[str]:
    """Return the registered names, sorted."""
    return sorted(path.stem for path in (default_root() / "registered").glob("*.json") if _NAME.fullmatch(path.stem))


def check_name(name: str) -> None:
    """Refuse a name under which nothing can be registered.

    Raises:
        ConfigError: It has other characters than a file name should, or would be taken for a list of images.
    """
    if not _NAME.fullmatch(name) or name.endswith(".txt"):
        raise ConfigError(
            f"a data set's name has letters, digits, '.', '_' and '-', begins with a letter or digit and does not end "
            f"in .txt; got '{name}'"
        )


def read_manifest(name: str) -> Manifest:
    """Return what was registered under a name.

    Raises:
        StoreError: The manifest is missing or damaged.
    """
    path = manifest_path(name)
    content = read_text(path, what="manifest", error=StoreError)
    try:
        found = parse_json(content)
        if found.pop("format") != FORMAT:
            raise ValueError
        images = tuple(_checked(RegisteredImage(**image)) for image in found.pop("images"))
        scales = tuple(found.pop("scales"))
        manifest = _checked(Manifest(images=images, scales=scales, **found))
        if manifest.name != name or not images or any(type(scale) is not int for scale in scales):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StoreError(
            f"the manifest '{path}' is damaged; run `srbench data unregister {name}`, and register the folder again"
        ) from None
    user_path(manifest.folder, f"folder in '{path}'", StoreError)
    return manifest


_Checked = TypeVar("_Checked", Manifest, RegisteredImage)


def _checked(item: _Checked) -> _Checked:
    """Return what was read after checking the types of its texts and numbers.

    Raises:
        TypeError: One has another type.
        ValueError: A file's name is none.
    """
    for field in fields(item):
        value = getattr(item, field.name)
        if type(value) is not {"str": str, "int": int, "tuple": tuple}[str(field.type).partition("[")[0]]:
            raise TypeError(field.name)
    if isinstance(item, RegisteredImage):
        encoded = os.fsencode(item.file)
        if b"\0" in encoded or max(map(len, encoded.split(b"/"))) > _NAME_LIMIT:
            raise ValueError(item.file)
    return item
