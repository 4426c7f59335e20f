"""The git checkout that sr-bench runs from, if any."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

import srbench
from srbench.results.origins import Checkout

__all__ = ["checkout", "checkout_of"]


@lru_cache(maxsize=1)
def checkout() -> Checkout | None:
    """Return the commit of this sr-bench, and whether its code was modified; None for an installed package."""
    return checkout_of(Path(srbench.__file__).resolve())


def checkout_of(file: Path) -> Checkout | None:
    """Return the state of the checkout that tracks a file, None if there is none or git is not available.

    A wheel installed inside some repository is not part of a checkout, because the repository does not track it.
    """
    if _git(file.parent, "ls-files", "--error-unmatch", "--", file.name) is None:
        return None
    commit = _git(file.parent, "rev-parse", "--verify", "HEAD")
    changed = _git(file.parent, "status", "--porcelain", "--untracked-files=all", "--", ":(top,glob)**/*.py")
    if commit is None or changed is None:
        return None
    try:
        return Checkout(commit=commit, dirty=bool(changed))
    except ValidationError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    """Return git's output, None if it fails; variables set by git hooks must not redirect it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
