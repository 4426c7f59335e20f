"""Atomic writing of files, and a lock on a directory."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srbench.errors import StoreError

__all__ = [
    "canonical_json",
    "disk_errors",
    "exclusive",
    "fsync_directory",
    "remove_leftovers",
    "restore_swapped",
    "sha256_bytes",
    "sha256_file",
    "swap_folders",
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


def remove_leftovers(folder: Path, beginning: str, *, own: bool = False) -> None:
    """Remove temporary files and folders of killed processes: those whose names end in the id of no running process.

    Args:
        folder: Where they are.
        beginning: Prefix of their names before the process id.
        own: Remove those with the id of this process too: it has made none yet, and in containers ids come again.

    Raises:
        OSError: The folder cannot be listed, or a file cannot be removed.
    """
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if entry.name.startswith(beginning)]
    for entry in found:
        number = entry.name.removeprefix(beginning).partition("-")[0]
        if not number.isdecimal() or (_alive(int(number)) and not (own and int(number) == os.getpid())):
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


_ASIDE = re.compile(r"\.tmp-(.+)-\d+-old")


def swap_folders(new: Path, final: Path) -> None:
    """Exchange the names of two folders, atomically where the system supports it.

    Linux does. Elsewhere the folder is missing for a moment; a process killed at that moment leaves the old folder
    under another name, and `restore_swapped` puts it back.

    Args:
        new: The new folder, named `.tmp-NAME-PROCESS`, beside the other.
        final: The old folder, `NAME`.

    Raises:
        OSError: They cannot be renamed; the old folder stays.
    """
    if _exchanged(new, final):
        return
    aside = new.with_name(f"{new.name}-old")
    os.rename(final, aside)
    try:
        os.rename(new, final)
    except BaseException:
        os.rename(aside, final)
        raise
    os.rename(aside, new)


def restore_swapped(folder: Path) -> None:
    """Restore folders whose swap was interrupted. Requires the lock, because a running swap looks the same.

    Raises:
        OSError: The folder cannot be listed, or a folder not renamed.
    """
    for path in sorted(folder.iterdir()):
        found = _ASIDE.fullmatch(path.name)
        if found is not None and not (folder / found[1]).exists():
            os.rename(path, folder / found[1])


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange the names of two folders; return False if the system or the file system does not support it."""
    if sys.platform != "linux":
        return False
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:  # an old C library
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


@contextmanager
def exclusive(path: Path, *, owner: str, wait: float = 0.0, remove: bool = False) -> Iterator[None]:
    """Hold a lock file while the block runs; the system releases it however the process ends.

    The holder's process id is in a separate file beside the lock, because locked files cannot be read on Windows.

    Args:
        path: The lock file; its folder is created if needed.
        owner: What is locked, for the message.
        wait: Seconds to wait for another process to release it.
        remove: Remove the lock file afterwards, for folders whose files are committed. A process that had already
            opened it notices that the file was removed, and starts over.

    Raises:
        StoreError: Another process holds the lock.
    """
    from filelock import FileLock, Timeout

    if path.parent.exists() and not path.parent.is_dir():
        raise StoreError(f"'{path.parent}' is a file; give a folder, which is created if it does not exist.")
    lock = FileLock(path)
    holder = path.with_name(f"{path.name}.pid")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=wait)
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
        # Remove it while the lock is still held, so that the next holder's file is not removed.
        with suppress(OSError):
            holder.unlink(missing_ok=True)
            if remove:
                path.unlink(missing_ok=True)
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
