"""What the distributions contain: every package and data file of the checkout, from sdist to wheel."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
MAPPED = {"srbench.suites": ROOT / "benchmarks", "srbench.leaderboards": ROOT / "leaderboards"}


def tracked(folder: Path) -> list[Path]:
    """Return the files of a folder that git knows, or all of them where there is no git (an unpacked sdist)."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", str(folder)]
    listing = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if listing.returncode:
        return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file())


def packages_on_disk() -> set[str]:
    core = ROOT / "core"
    inside = {".".join(path.parent.relative_to(core).parts) for path in tracked(core) if path.suffix == ".py"}
    return inside | set(MAPPED)


def expected_core_files() -> set[str]:
    """Return what a wheel of the core must hold, apart from its metadata, by its path inside the wheel."""
    files = {path.relative_to(ROOT / "core").as_posix() for path in tracked(ROOT / "core")}
    for package, folder in MAPPED.items():
        inside = [path.relative_to(folder) for path in tracked(folder)]
        wanted = [path for path in inside if path.suffix in {".py", ".yaml"} and len(path.parts) == 1]
        files |= {f"{package.replace('.', '/')}/{path.as_posix()}" for path in wanted}
    files |= {
        f"srbench/leaderboards/reported/{path.name}" for path in (ROOT / "leaderboards" / "reported").glob("*.csv")
    }
    return files


def build(project: Path, kind: str, out: Path) -> Path:
    """Call the project's build backend as pip would, without a build environment: no network."""
    call = f"import setuptools.build_meta as b; print(b.build_{kind}({str(out)!r}))"
    done = subprocess.run([sys.executable, "-c", call], cwd=project, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.strip().splitlines()[-1]


def wheel_from_sdist(project: Path, out: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from the unpacked sdist and nothing else."""
    # Built from a copy: setuptools leaves egg-info and build folders behind, and reuses them.
    copy = out / "checkout"
    for path in tracked(project):
        target = copy / path.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    sdist = build(copy, "sdist", out)
    with tarfile.open(sdist) as archive:
        archive.extractall(out / "unpacked", filter="data")
    (unpacked,) = (out / "unpacked").iterdir()
    return sdist, build(unpacked, "wheel", out)


@pytest.fixture(scope="module")
def core_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_from_sdist(ROOT, tmp_path_factory.mktemp("core"))[1]


def test_every_package_of_the_core_is_listed_in_pyproject() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(packages_on_disk())


def test_wheel_made_from_sdist_holds_every_file_of_the_core(core_wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(core_wheel).namelist() if ".dist-info/" not in name}
    assert expected_core_files() - names == set(), "files of the checkout that the wheel lacks"


def test_wheel_of_the_core_holds_nothing_but_srbench(core_wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(core_wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"srbench"}
    assert not [name for name in names if name.startswith(("srbench/suites/timing", "srbench/tests"))]


def test_wheel_of_the_core_carries_type_marker_and_licence(core_wheel: Path) -> None:
    names = zipfile.ZipFile(core_wheel).namelist()
    assert "srbench/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.parametrize("project", PLUGINS, ids=lambda path: path.name)
def test_wheel_of_a_plugin_holds_every_file_of_its_source(project: Path, tmp_path: Path) -> None:
    _, wheel = wheel_from_sdist(project, tmp_path)
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {path.relative_to(project / "src").as_posix() for path in tracked(project / "src")}


@pytest.mark.parametrize("project", PLUGINS, ids=lambda path: path.name)
def test_every_plugin_has_its_extra_and_is_in_all(project: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    name = tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"]
    assert extras[name.removeprefix("sr-bench-")] == [name]
    assert name in extras["all"]
