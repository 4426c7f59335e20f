"""Update the running environment to match the checkout.

tox installs the checkout once. Two cases that tox does not detect are handled here:

- a `pyproject.toml` was edited since (an entry point, a dependency): the editable packages are reinstalled;
- the system lacks libGL and GLib, which OpenCV's desktop build, a dependency of basicsr, needs: the headless build of
  the same version replaces it (the same module without these libraries; needs no root rights).
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = {"sr-bench": ROOT} | {
    f"sr-bench-{path.parent.name.replace('_', '-')}": path.parent
    for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))
}


def pip_install(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)


def is_stale(name: str, project: Path) -> bool:
    try:
        metadata = next(file for file in distribution(name).files or [] if file.name == "METADATA").locate()
    except (PackageNotFoundError, StopIteration):
        return True
    return (project / "pyproject.toml").stat().st_mtime > Path(metadata).stat().st_mtime


def main() -> None:
    if any(is_stale(name, project) for name, project in PROJECTS.items()):
        print("pyproject.toml has changed: reinstalling the checkout")
        plugins = [f"-e{project}" for name, project in PROJECTS.items() if name != "sr-bench"]
        pip_install(f"-e{ROOT}[all,test]", *plugins)
    probe = subprocess.run([sys.executable, "-c", "import cv2"], check=False, capture_output=True, text=True)
    if probe.returncode and ".so" in probe.stderr:
        print(f"{probe.stderr.strip().splitlines()[-1]}\ninstalling OpenCV's headless build instead")
        pip_install("--no-deps", "--force-reinstall", f"opencv-python-headless=={version('opencv-python')}")


if __name__ == "__main__":
    main()
