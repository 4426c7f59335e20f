"""Which code is running: the commit of the checkout that sr-bench is installed from."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["checkout"]


def checkout() -> tuple[str, bool]:
    """Return the commit of the running code, and whether it has uncommitted changes; an empty commit if not known."""
    package = Path(__file__).resolve().parent.parent
    try:
        if not _git(package, "ls-files", "--error-unmatch", "__init__.py"):
            return "", False
        changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", ":(top)*.py")
        return _git(package, "rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.SubprocessError):
        return "", False  # installed from a wheel, or there is no git


def _git(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30, check=True
    )
    return ended.stdout.strip()
