"""Atomic writing of files, and a lock on a directory."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srbench.errors import StoreError

__all__ = [
    "canonical_json",
    "disk_errors",
    "exclusive",
    "fsync_directory",
    "sha256_bytes",
    "sha256_file",
    "write_atomic",
    "write_synced",
]


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def disk_errors(what: Path) -> Iterator[None]:
    """Convert an operating system's write error to a message.

    Raises:
        StoreError: The disk is full, a limit is reached, or the location is not writable.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreError(
                f"'{what}' could not be written: {os.strerror(error.errno)}; what was finished is kept: "
                "free some space and run the same command again."
            ) from error
        reason = error.strerror or str(error)
        raise StoreError(
            f"'{what}' could not be written: {reason}; choose a place that can be written to, or correct this one."
        ) from error


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and sync it to disk.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def fsync_directory(path: Path) -> None:
    """Sync a directory's entries to disk, if the system supports it.

    Raises:
        OSError: The directory cannot be opened.
    """
    if os.name == "nt":  # pragma: no cover - Windows cannot open a directory
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file's content atomically: readers see the old or the new content, never a part.

    Raises:
        StoreError: The file cannot be written; an existing file is unchanged.
    """
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_synced(temporary, data)
            os.replace(temporary, path)
            fsync_directory(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        remove_leftovers(path.parent, f".tmp-{path.name}-")


def remove_leftovers(folder: Path, beginning: str) -> None:
    """Remove temporary files and folders of killed processes: those whose names end in the id of no running process.

    Args:
        folder: Where they are.
        beginning: Prefix of their names before the process id.

    Raises:
        OSError: The folder cannot be listed, or a file cannot be removed.
    """
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if entry.name.startswith(beginning)]
    for entry in found:
        number = entry.name.removeprefix(beginning).partition("-")[0]
        if not number.isdecimal() or _alive(int(number)):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            Path(entry.path).unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


@contextmanager
def exclusive(path: Path, *, owner: str) -> Iterator[None]:
    """Hold a lock file while the block runs; the system releases it however the process ends.

    The holder's process id is in a separate file beside the lock, because locked files cannot be read on Windows.

    Raises:
        StoreError: Another process holds the lock.
    """
    from filelock import FileLock, Timeout

    if path.parent.exists() and not path.parent.is_dir():
        raise StoreError(f"'{path.parent}' is a file; give a folder, which is made where there is none.")
    lock = FileLock(path)
    holder = path.with_name(f"{path.name}.pid")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise StoreError(
                f"{owner} is in use by another run (process {_holder(holder)}); wait until it ends, or give another "
                "--out."
            ) from None
    try:
        with disk_errors(holder):
            holder.write_text(f"{os.getpid()}\n", encoding="ascii")
        yield
    finally:
        # While the lock is still held, so as not to remove the next holder's file.
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip() or "unknown"
    except OSError:
        return "unknown"


def canonical_json(value: object) -> str:
    """Serialize a value to canonical JSON for hashing: sorted keys, no spaces, ASCII.

    Raises:
        TypeError: The value contains something that JSON cannot represent.
        ValueError: The value contains a number that is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
