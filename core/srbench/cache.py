"""The cache: images and weights by content hash, LR images by the hash of their inputs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from srbench.download import download
from srbench.errors import StoreError
from srbench.storage import disk_errors, remove_leftovers, sha256_bytes, sha256_file, write_atomic
from srbench.untrusted import CHECKPOINT_LIMIT, IMAGE_LIMIT, check_regular, read_bytes, read_text, user_path

__all__ = ["Cache", "default_root"]

_NOTE_LIMIT = 1024  # bytes of two hashes, and more


def default_root() -> Path:
    """Return the root of the cache: `$SRBENCH_CACHE`, else the user's cache directory."""
    if root := os.environ.get("SRBENCH_CACHE"):
        return user_path(root, "cache in SRBENCH_CACHE", StoreError)
    from platformdirs import user_cache_path

    return user_cache_path("srbench")


class Cache:
    """Store files by the SHA-256 of their content, and find images by the hash of their pixels.

    Below the root:

        objects/ab/abcd…     a file whose content has that SHA-256
        pixels/12/1234…      the SHA-256 of the file that holds the image with that pixel hash
        decoded/9a/9abc…     the pixel hash of an image file that was decoded before (see `srbench.data.folders`)
        lr/56/5678….png      an LR image, named by the hash of what it was made from (see `srbench.data.datasets`)

    Every file is written under a temporary name and then moved into place.
    """

    def __init__(self, root: Path | str | None = None) -> None:
        """Open a cache, which need not exist yet; by default the user's cache (see `default_root`)."""
        self.root = Path(root) if root is not None else default_root()

    def path_for(self, sha256: str) -> Path:
        """Return the path of the file with that hash, whether or not it exists."""
        return self.root / "objects" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Return whether a file with that hash exists; it is verified only when used."""
        return self.path_for(sha256).is_file()

    def verified(self, sha256: str) -> Path | None:
        """Return a file's path after checking its hash, or None if it is missing; a damaged file is removed.

        Raises:
            StoreError: If the file cannot be read.
        """
        path = self.path_for(sha256)
        if not path.is_file():
            return None
        with disk_errors(path):
            if sha256_file(path) == sha256:
                return path
            path.unlink()
        return None

    def keep(self, content: bytes) -> str:
        """Store a file by its content and return its SHA-256.

        Raises:
            StoreError: If the cache cannot be written.
        """
        digest = sha256_bytes(content)
        if self.verified(digest) is None:
            write_atomic(self.path_for(digest), content)
        return digest

    def fetch(self, url: str | Sequence[str], sha256: str, name: str, size: int | None = None) -> Path:
        """Return a file from the cache, downloading it first if it is missing.

        Args:
            url: Its URL, or several to try in turn.
            sha256: The expected hash of its content.
            name: Its name in messages.
            size: Its size in bytes; the download is aborted if a server sends more.

        Raises:
            NetworkError: If it cannot be downloaded or the hash differs; the message names the file, its hash, its
                URL and how to add it by hand.
            StoreError: If the cache cannot be written.
        """
        if (path := self.verified(sha256)) is not None:
            return path
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.root, ".download-")
            folder = tempfile.TemporaryDirectory(prefix=f".download-{os.getpid()}-", dir=self.root)
        with folder as temporary:
            places = [url] if isinstance(url, str) else list(url)
            fetched = download(places, sha256, name, size, Path(temporary))
            self.keep(read_bytes(fetched, limit=CHECKPOINT_LIMIT, error=StoreError))
        return self.path_for(sha256)

    def index_pixels(self, pixels_sha256: str, sha256: str) -> None:
        """Record which file contains the image with that pixel hash.

        Raises:
            StoreError: If the cache cannot be written.
        """
        path = self.root / "pixels" / pixels_sha256[:2] / pixels_sha256
        if _note(path) != sha256:
            write_atomic(path, sha256.encode())

    def image_path(self, pixels_sha256: str) -> Path | None:
        """Return the file with the image of that pixel hash, or None; the caller must verify the pixels."""
        note = self.root / "pixels" / pixels_sha256[:2] / pixels_sha256
        sha256 = _note(note)
        path = self.path_for(sha256.strip()) if sha256 else None
        return path if path is not None and path.is_file() else None

    def decoded_hash(self, key: str) -> str | None:
        """Return the pixel hash stored under a key, or None if it is missing or damaged."""
        found, _, check = _note(self._decoded_path(key)).partition(" ")
        return found if check == sha256_bytes(f"{key} {found}".encode()) else None

    def remember_decoded(self, key: str, pixels_sha256: str) -> None:
        """Store a pixel hash under the hash of the encoded file and the decoder.

        Raises:
            StoreError: If the cache cannot be written.
        """
        check = sha256_bytes(f"{key} {pixels_sha256}".encode())
        write_atomic(self._decoded_path(key), f"{pixels_sha256} {check}".encode())

    def _decoded_path(self, key: str) -> Path:
        return self.root / "decoded" / key[:2] / key

    def lr_path(self, key: str) -> Path:
        """Return the path of the LR image with that key, whether or not it exists.

        An entry that may not be read is removed: a pipe, a file of more than `IMAGE_LIMIT` bytes, an image that claims
        an implausible size.
        """
        path = self.root / "lr" / key[:2] / f"{key}.png"
        if os.path.lexists(path) and not _may_be_read(path):
            with contextlib.suppress(OSError):  # a folder stays, and is no image
                path.unlink()
        return path

    def usage(self) -> dict[str, tuple[int, int]]:
        """Return the number of files and their total bytes for each kind of content."""
        report = {}
        for kind in ("objects", "lr"):
            sizes = [path.stat().st_size for path in (self.root / kind).glob("*/*") if not path.name.startswith(".")]
            report[kind] = (len(sizes), sum(sizes))
        return report


def _may_be_read(path: Path) -> bool:
    """Return whether an entry is a regular file whose image fits in memory; a damaged image is found when decoded."""
    from PIL import Image

    try:
        check_regular(path, IMAGE_LIMIT, "LR image", StoreError)
        Image.open(path).close()
    except (StoreError, Image.DecompressionBombError):
        return False
    except (OSError, SyntaxError, ValueError):
        pass  # damaged
    return True


def _note(path: Path) -> str:
    """Return the content of a small cache file; "" if it is missing, damaged or not a file."""
    try:
        return read_text(path, limit=_NOTE_LIMIT, error=StoreError)
    except StoreError:
        return ""
