"""Results from an earlier commit of a repository."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from srbench.errors import StoreError
from srbench.storage import disk_errors
from srbench.untrusted import escaped, user_path

__all__ = ["Earlier", "earlier_results"]

_PATIENCE = 600  # seconds; a partial clone has to fetch the files of old commits


class Earlier:
    """An earlier version of a folder of results, and its name in messages; `path` is None if it did not exist."""

    def __init__(self, path: Path | None, name: str) -> None:
        """Join the two."""
        self.path = path
        self.name = name


@contextmanager
def earlier_results(folder: Path, reference: str) -> Iterator[Earlier]:
    """Extract a folder from a commit into a temporary folder for the duration of the block.

    Neither the checkout nor its index is touched, and no code of the commit is executed.

    Args:
        folder: The current folder.
        reference: A commit, branch or tag of the repository that contains the folder; or another folder.

    Raises:
        StoreError: The reference is neither, or git cannot extract the files.
    """
    commit = _commit(folder, reference)
    if commit is None:
        yield Earlier(_other_folder(folder, reference), f"'{reference}'")
        return
    name = f"{reference} ({commit[:12]})"
    inside = _git(folder, "rev-parse", "--show-prefix").strip("\n").rstrip("/")
    tree = f"{commit}:{inside}"
    if _asked(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", tree) is None:
        yield Earlier(None, name)
        return
    with disk_errors(Path(tempfile.gettempdir())):
        temporary = tempfile.TemporaryDirectory(prefix="srbench-gate-")
    with temporary as place:
        index = {"GIT_INDEX_FILE": str(Path(place) / "index")}
        files = Path(place) / "files"
        files.mkdir()
        # Below the top, git would take the names of the files for those of other folders, and write none.
        top = Path(_git(folder, "rev-parse", "--show-toplevel").strip("\n"))
        _git(top, "read-tree", tree, environment=index)
        # A link could point anywhere: it is written as a text file, which is not a result.
        _git(
            top, "-c", "core.symlinks=false", "-c", "core.autocrlf=false", "checkout-index", "--all", "--force",
            f"--prefix={files}{os.sep}", environment=index,
        )  # fmt: skip
        yield Earlier(files, name)


def _commit(folder: Path, reference: str) -> str | None:
    """Return the hash of a commit, or None if the text does not name one."""
    if not reference.strip():
        raise StoreError("--against takes a commit, branch or tag, or a folder; nothing of these was given")
    user_path(reference, "commit or folder", StoreError)  # a text that is not a valid path is not valid for git either
    found = _asked(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}")
    return None if found is None else found.strip()


def _other_folder(folder: Path, reference: str) -> Path:
    path = user_path(reference, "folder", StoreError)
    if not path.is_dir():
        raise StoreError(
            f"'{escaped(reference, 200)}' is neither a commit of the repository that holds '{folder}' nor a folder; "
            "in a workflow, check out with fetch-depth: 0, which brings other branches"
        )
    return path


def _asked(folder: Path, *arguments: str) -> str | None:
    """Return git's output, or None if it fails or is not installed, because --against may be a folder."""
    try:
        done = _done(folder, arguments, {})
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.decode(errors="replace")


def _git(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Return git's output.

    Raises:
        StoreError: git fails.
    """
    done = _done(folder, arguments, environment or {})
    if done.returncode:
        said = escaped(" ".join(done.stderr.decode(errors="replace").split()), 300)
        raise StoreError(f"git cannot give the files of '{folder}' at that commit ({said}); give a folder as --against")
    return done.stdout.decode(errors="replace")


def _done(folder: Path, arguments: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            capture_output=True, check=False, timeout=_PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise StoreError(f"git did not answer within {_PATIENCE} seconds; give a folder as --against") from None
