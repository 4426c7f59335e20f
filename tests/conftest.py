"""What every test shares: one thread, Hypothesis profiles, printed seeds, and the data beside the checkout."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before torch and NumPy are first imported, here and in every process a test starts: two test workers with a thread per
# core each would spend their time waiting for one another, and sums would depend on the machine.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"

import chromium
import fresh_environment
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
SHARED_ABSENT = "shared data absent:"

_COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=50, **_COMMON)
# The same examples every time: a gate that fails by chance is soon ignored. New examples are for `dev`.
settings.register_profile("ci", max_examples=25, derandomize=True, **_COMMON)


def _profile() -> str:
    return os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")


def _shared_path() -> Path:
    given = os.environ.get("SRBENCH_SHARED")
    return Path(given) if given else ROOT.parent / "shared"


def _skipped_for_data(reporter: pytest.TerminalReporter) -> int:
    reports = reporter.stats.get("skipped", [])
    return sum(SHARED_ABSENT in str(getattr(report, "longrepr", "")) for report in reports)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile(_profile())
    if "SRBENCH_TEST_SEED" not in os.environ:
        # Set here, in the controlling process, so that the workers that xdist starts inherit it.
        os.environ["SRBENCH_TEST_SEED"] = str(random.SystemRandom().randrange(2**31))


def pytest_report_header() -> list[str]:
    shared = "present" if _shared_path().is_dir() else "absent"
    seed = os.environ["SRBENCH_TEST_SEED"]
    return [f"sr-bench: hypothesis profile {_profile()}, SRBENCH_TEST_SEED={seed}, 1 thread, shared data {shared}"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session that had the shared data and yet skipped a test for want of it."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and _shared_path().is_dir() and _skipped_for_data(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in (*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())):
        # What a test reports with `record_property`, shown without -s and from the workers of xdist too.
        for name, value in getattr(report, "user_properties", ()):
            terminalreporter.write_line(f"{report.nodeid}: {name}: {value}")
    skipped = _skipped_for_data(terminalreporter)
    if skipped and _shared_path().is_dir():
        terminalreporter.write_line(
            f"FAILED: {skipped} test(s) skipped for want of shared data, though {_shared_path()} exists.", red=True
        )
    elif skipped:
        terminalreporter.write_line(f"{skipped} test(s) did not run: no shared data (SRBENCH_SHARED, or ../shared).")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of test images, weights and reference values; skip the test where there is none.

    It is `SRBENCH_SHARED`, or the folder `shared` beside the checkout.
    """
    path = _shared_path()
    if path.is_dir():
        return path
    if "SRBENCH_SHARED" in os.environ:
        pytest.fail(f"SRBENCH_SHARED names {path}, which is not a folder", pytrace=False)
    pytest.skip(f"{SHARED_ABSENT} neither SRBENCH_SHARED nor ../shared is a folder")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of the tests, and the tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRBENCH_CACHE", str(tmp_path_factory.mktemp("srbench-cache")))
        yield


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheels of sr-bench and of its plugins."""
    dist = tmp_path_factory.mktemp("dist")
    fresh_environment.build_wheels(dist, lambda: tmp_path_factory.mktemp("checkout"))
    return dist


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return this test's seed and print it: drawn anew in each session unless `SRBENCH_TEST_SEED` is set."""
    session_seed = os.environ["SRBENCH_TEST_SEED"]
    value = random.Random(f"{session_seed}:{request.node.nodeid}").randrange(2**31)
    print(f"seed {value} (repeat with SRBENCH_TEST_SEED={session_seed})")
    return value


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium for the tests of a module, and return its page."""
    with chromium.chromium() as page:
        yield page


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """Return the browser as it was when it was started; an error on the console fails the test."""
    browser.problems.clear()
    browser.size(1280, 900)
    browser.media()
    browser.scripts(on=True)
    yield browser
    assert browser.problems == []


@pytest.fixture(scope="session")
def filled_cache(shared: Path, _own_cache: None) -> Path:
    """Return the shared data after putting its test images and weights into the tests' cache, as a user would."""
    from typer.testing import CliRunner

    from srbench.cli.app import app

    benchmark = shared / "data" / "benchmark"
    folders = [benchmark / "Set5" / "HR", benchmark / "Set14" / "HR", shared / "weights"]
    result = CliRunner().invoke(app, ["cache", "add", *map(str, folders)])
    assert result.exit_code == 0, result.output
    return shared
