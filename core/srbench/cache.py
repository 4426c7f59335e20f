"""The cache: images and weights by the hash of their content, LR images by what they are made of."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from srbench.download import download
from srbench.errors import StoreError
from srbench.storage import disk_errors, remove_leftovers, sha256_bytes, sha256_file, write_atomic
from srbench.untrusted import CHECKPOINT_LIMIT, read_bytes, read_text, user_path

__all__ = ["Cache", "default_root"]

_NOTE_LIMIT = 1024  # bytes of two hashes, and more


def default_root() -> Path:
    """Return the root of the cache: `$SRBENCH_CACHE`, else the user's cache directory."""
    if root := os.environ.get("SRBENCH_CACHE"):
        return user_path(root, "cache in SRBENCH_CACHE", StoreError)
    from platformdirs import user_cache_path

    return user_cache_path("srbench")


class Cache:
    """Keep files under the SHA-256 of their content, and find images by the hash of their pixels.

    Below the root:

        objects/ab/abcd…     a file whose content has that SHA-256
        pixels/12/1234…      the SHA-256 of the file that holds the image with that pixel hash
        decoded/9a/9abc…     the pixel hash of an image file that was decoded before (see `srbench.data.folders`)
        lr/56/5678….png      an LR image, named by the hash of what it was made from (see `srbench.data.datasets`)

    Every file is written under another name and moved into place whole.
    """

    def __init__(self, root: Path | str | None = None) -> None:
        """Open a cache, which need not exist yet; without a root, the user's own (see `default_root`)."""
        self.root = Path(root) if root is not None else default_root()

    def path_for(self, sha256: str) -> Path:
        """Return the path of the file with that content, whether it exists or not."""
        return self.root / "objects" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Say whether a file of that content is there; it is verified when it is used, not here."""
        return self.path_for(sha256).is_file()

    def verified(self, sha256: str) -> Path | None:
        """Return a file's path after hashing it, or None where it is missing; a damaged file is removed.

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
        """Return a file from the cache, downloading it first where it is missing.

        Args:
            url: Where it is published; of several places, each is tried in turn.
            sha256: What its content must hash to.
            name: What to call it in messages.
            size: Its size in bytes: a server that sends more is not listened to further.

        Raises:
            NetworkError: If it could not be downloaded, or another file came; the message names the file, its hash, its
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
        """Note which file holds the image with that pixel hash.

        Raises:
            StoreError: If the cache cannot be written.
        """
        path = self.root / "pixels" / pixels_sha256[:2] / pixels_sha256
        if _note(path) != sha256:
            write_atomic(path, sha256.encode())

    def image_path(self, pixels_sha256: str) -> Path | None:
        """Return the file that holds the image with that pixel hash, or None; its pixels are verified by the reader."""
        note = self.root / "pixels" / pixels_sha256[:2] / pixels_sha256
        sha256 = _note(note)
        path = self.path_for(sha256.strip()) if sha256 else None
        return path if path is not None and path.is_file() else None

    def decoded_hash(self, key: str) -> str | None:
        """Return the pixel hash that was remembered under a key, or None; a damaged note counts as none."""
        found, _, check = _note(self._decoded_path(key)).partition(" ")
        return found if check == sha256_bytes(f"{key} {found}".encode()) else None

    def remember_decoded(self, key: str, pixels_sha256: str) -> None:
        """Remember a pixel hash under the hash of what it was decoded from and how.

        Raises:
            StoreError: If the cache cannot be written.
        """
        check = sha256_bytes(f"{key} {pixels_sha256}".encode())
        write_atomic(self._decoded_path(key), f"{pixels_sha256} {check}".encode())

    def _decoded_path(self, key: str) -> Path:
        return self.root / "decoded" / key[:2] / key

    def lr_path(self, key: str) -> Path:
        """Return the path of the LR image of that key, whether it exists or not; a pipe there is removed."""
        path = self.root / "lr" / key[:2] / f"{key}.png"
        if path.exists() and not path.is_file():
            with contextlib.suppress(OSError):  # a folder stays, and is no image
                path.unlink()
        return path

    def usage(self) -> dict[str, tuple[int, int]]:
        """Return, for each kind of content, how many files there are and their bytes."""
        report = {}
        for kind in ("objects", "lr"):
            sizes = [path.stat().st_size for path in (self.root / kind).glob("*/*") if not path.name.startswith(".")]
            report[kind] = (len(sizes), sum(sizes))
        return report


def _note(path: Path) -> str:
    """Return what a small file of the cache says; "" where it is missing, damaged or no file at all."""
    try:
        return read_text(path, limit=_NOTE_LIMIT, error=StoreError)
    except StoreError:
        return ""
