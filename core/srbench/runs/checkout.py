"""Which code is running: the commit of the checkout that sr-bench is installed from."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

__all__ = ["Checkout", "checkout"]


class Checkout(NamedTuple):
    """A state of the code.

    Attributes:
        commit: The commit, 40 hexadecimal digits.
        dirty: Whether a Python file was changed since.
    """

    commit: str
    dirty: bool


def checkout() -> Checkout | None:
    """Return the state of the running code; None where it is not known."""
    package = Path(__file__).resolve().parent.parent
    try:
        if not _git(package, "ls-files", "--error-unmatch", "__init__.py"):
            return None
        changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", ":(top)*.py")
        return Checkout(_git(package, "rev-parse", "HEAD"), bool(changed))
    except (OSError, subprocess.SubprocessError):
        return None  # installed from a wheel, or there is no git


def _git(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30, check=True
    )
    return ended.stdout.strip()
