"""Our wheels, and virtual environments to install them into."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

__all__ = ["ROOT", "Environment", "build_wheels"]

ROOT = Path(__file__).resolve().parents[2]
OWN = ("sr_bench", "__editable__", "srbench")


class Environment:
    """A virtual environment that sees the dependencies installed here, and none of our own distributions.

    What is under test is what pip does with our wheels and what they do then; torch need not be installed again for it.
    """

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.folder, self.wheels = folder, wheels
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, capture_output=True)
        self.python = folder / "venv" / "bin" / "python"
        visible = folder / "dependencies"
        visible.mkdir()
        for site in _site_folders():
            for item in site.iterdir():
                # pip stays the one that an ordinary venv brings.
                if not item.name.startswith((*OWN, "pip")):
                    link = visible / item.name
                    if item.suffix != ".pth" and not link.exists():
                        link.symlink_to(item)
        self.run("python", "-m", "pip", "uninstall", "--yes", "setuptools")  # older than torch asks for
        (own_site,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (own_site / "dependencies.pth").write_text(f"{visible}\n")

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in its folder, without the settings of pip and Python made here."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
        program = [str(self.python.parent / command[0]), *command[1:]]
        return subprocess.run(
            program,
            check=False,
            capture_output=True,
            text=True,
            env={**inherited, **variables},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
        )

    def install(self, requirement: str) -> None:
        """Install one of our distributions from the wheels."""
        done = self.run("python", "-m", "pip", "install", "--no-index", "--find-links", str(self.wheels), requirement)
        assert done.returncode == 0, done.stdout + done.stderr


def _site_folders() -> list[Path]:
    """Return the folders that packages are imported from here: the environment's own and those that .pth files add."""
    standard = Path(sysconfig.get_path("stdlib"))
    folders = [Path(entry) for entry in sys.path if any(Path(entry).glob("*.dist-info"))]
    return [folder for folder in dict.fromkeys(folders) if folder.parent != standard] or folders


def build_wheels(dist: Path, new_folder: Callable[[], Path]) -> None:
    """Build the wheels of sr-bench and of its plugins from copies of their tracked files.

    Args:
        dist: The folder for the wheels.
        new_folder: Makes an empty folder for a copy.
    """
    for project in (ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))):
        copy = new_folder()
        files = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", "."],
            cwd=project, check=True, capture_output=True, text=True,
        ).stdout.split("\0")  # fmt: skip
        for name in filter(None, files):
            if (project / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                (copy / name).write_bytes((project / name).read_bytes())
        done = subprocess.run(
            [sys.executable, "-c", f"import setuptools.build_meta as b; b.build_wheel({str(dist)!r})"],
            cwd=copy, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
