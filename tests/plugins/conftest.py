"""Real distributions in a folder of their own, looked at by a real process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


class Site:
    """A folder on the path of a new process, with distributions in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, name: str, entries: dict[str, dict[str, str]], modules: dict[str, str], requires: str = "") -> None:
        """Install a distribution: entry points per group, source per module, a requirement."""
        info = self.path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        requirement = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requirement}")
        groups = "".join(
            f"[srbench.{group}]\n" + "".join(f"{key} = {value}\n" for key, value in items.items())
            for group, items in entries.items()
        )
        (info / "entry_points.txt").write_text(groups)
        for module, source in modules.items():
            (self.path / f"{module}.py").write_text(textwrap.dedent(source))

    def srbench(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line with the folder on its path."""
        return self.python(f"from srbench.cli import main; main({list(args)!r})", **environment)

    def python(self, source: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program with the folder on its path."""
        code = f"import sys; sys.path.insert(0, {str(self.path)!r})\n{source}"
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **environment},
        )


@pytest.fixture(scope="session")
def site_in() -> type[Site]:
    return Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
