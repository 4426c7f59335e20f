"""A stranger's installation: wheels in a folder, then `pip install --find-links dist "sr-bench[ps]"` elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

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

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
        program = [str(self.python.parent / command[0]), *command[1:]]
        return subprocess.run(
            program,
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
        )

    def install(self, requirement: str) -> None:
        done = self.run("python", "-m", "pip", "install", "--no-index", "--find-links", str(self.wheels), requirement)
        assert done.returncode == 0, done.stdout + done.stderr


def _site_folders() -> list[Path]:
    """Return the folders that packages are imported from here: the environment's own and those that .pth files add."""
    standard = Path(sysconfig.get_path("stdlib"))
    folders = [Path(entry) for entry in sys.path if Path(entry).name == "site-packages" and Path(entry).is_dir()]
    return [folder for folder in dict.fromkeys(folders) if folder.parent != standard] or folders


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dist = tmp_path_factory.mktemp("dist")
    for project in (ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))):
        copy = tmp_path_factory.mktemp("checkout")
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
    return dist


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Environment:
    """An environment with `sr-bench` and no extra."""
    environment = Environment(tmp_path_factory.mktemp("bare"), wheels)
    environment.install("sr-bench")
    return environment


@pytest.fixture(scope="module")
def with_ps(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Environment:
    """An environment with `sr-bench[ps]`."""
    environment = Environment(tmp_path_factory.mktemp("with-ps"), wheels)
    environment.install("sr-bench[ps]")
    return environment


def test_extra_ps_makes_the_method_known(with_ps: Environment) -> None:
    done = with_ps.run("srbench", "list", "methods")
    assert done.returncode == 0, done.stderr
    assert "ps" in done.stdout.split()


def test_without_the_extra_the_method_is_not_listed(bare: Environment) -> None:
    done = bare.run("srbench", "list", "methods")
    assert done.returncode == 0, done.stderr
    assert "dense" in done.stdout.split()
    assert "ps" not in done.stdout.split()


def test_asking_for_ps_without_the_extra_says_what_to_install(bare: Environment) -> None:
    done = bare.run(
        "srbench",
        "eval",
        "edsr_tiny+ps(ratio=1/4)",
        "--scale",
        "2",
        "--data",
        "embedded-test",
        "--protocol",
        "matlab-y",
    )
    assert done.returncode == 2
    assert "sr-bench[ps]" in done.stderr
    assert "Traceback" not in done.stderr


def test_installed_package_is_used_and_not_the_checkout(with_ps: Environment) -> None:
    done = with_ps.run("python", "-c", "import srbench, srbench_ps; print(srbench.__file__, srbench_ps.__file__)")
    assert done.returncode == 0, done.stderr
    assert str(ROOT) not in done.stdout


def test_installed_suites_are_listed(with_ps: Environment) -> None:
    done = with_ps.run("srbench", "list", "suites")
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout.split()


def test_model_of_the_plugin_is_created_in_a_fresh_environment(with_ps: Environment) -> None:
    model = "drrn_b1u9+ps(num_filters=18)"  # the architecture alone: the authors' weights are a download
    program = f"import srbench; print(srbench.count_parameters(srbench.create_model({model!r}, scale=2)))"
    done = with_ps.run("python", "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "300261"  # FACTS: DRRN-PS, deployed at one scale
