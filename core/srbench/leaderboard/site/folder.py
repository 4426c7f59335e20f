"""The folder of a site: written under a temporary name, then replacing the earlier site."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srbench.errors import StoreError
from srbench.storage import disk_errors, fsync_directory, remove_leftovers, swap_folders

__all__ = ["SiteFolder", "new_site"]

MARKER = "site.json"
CONTENT = b'{"made_by": "srbench leaderboard site", "schema_version": 1}\n'
# The top-level entries of a site. A folder with anything else is not replaced.
PARTS = frozenset({"assets", "boards", "crops", "data", "index.html", "models", "protocols", MARKER})


class SiteFolder:
    """The temporary folder of a new site."""

    def __init__(self, path: Path) -> None:
        """Initialize with an existing temporary folder."""
        self._path = path
        self._made: set[Path] = set()
        self.names: set[str] = set()

    def write(self, name: str, content: str | bytes) -> None:
        """Write one file.

        Args:
            name: Path in the site, with slashes.
            content: The content; a text is written as UTF-8.

        Raises:
            OSError: It cannot be written.
        """
        path = self._path / name
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.names.add(name)


@contextmanager
def new_site(out: Path) -> Iterator[SiteFolder]:
    """Collect the files of a site, and move all of them to `out` at the end of the block unless an error occurs.

    Args:
        out: A folder that does not exist yet, is empty, or holds a site.

    Raises:
        StoreError: It holds something else, or cannot be written to.
    """
    out = out.resolve()  # behind a link is the folder that is replaced
    temporary = out.with_name(f".tmp-{out.name}-{os.getpid()}")
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        _recover(out)
        _check(out)
        remove_leftovers(out.parent, f".tmp-{out.name}-", own=True)
        temporary.mkdir()
        try:
            folder = SiteFolder(temporary)
            yield folder
            folder.write(MARKER, CONTENT)
            _swap(temporary, out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _check(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise StoreError(f"'{out}' is a file; give a folder for the site")
    names = {path.name for path in out.iterdir()}
    if names and (MARKER not in names or not names <= PARTS):
        other = next(iter(sorted(names - PARTS)), None)
        holds = f"holds '{other}', which is not part of a site" if other else f"has no '{MARKER}' of a site"
        raise StoreError(f"'{out}' would be replaced, but it {holds}; give a new or empty folder")


def _swap(temporary: Path, out: Path) -> None:
    if hasattr(os, "sync"):
        os.sync()  # once for all files: a site has thousands
    if out.exists():
        swap_folders(temporary, out)  # what was there has the temporary name now, and is removed under it
    else:
        os.rename(temporary, out)
    fsync_directory(out.parent)


def _recover(out: Path) -> None:
    """Restore the site that a killed process had moved aside, where folders cannot be exchanged in one step."""
    if out.exists():
        return
    for aside in sorted(out.parent.glob(f".tmp-{out.name}-*-old")):
        os.rename(aside, out)
        return
