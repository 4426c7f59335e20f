"""A stranger's installation: wheels in a folder, then `pip install --find-links dist "sr-bench[ps]"` elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from fresh_environment import ROOT, Environment


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
