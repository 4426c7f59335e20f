"""The tutorials can be followed to the letter, in a fresh environment."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from documentation import ROOT, blocks_of, lines_to_run, python_of
from fresh_environment import Environment

TUTORIALS = ROOT / "docs" / "tutorials"
# In the order of index.md. All that leaderboard.md does needs downloads.
PAGES = ("method.md", "backbone.md", "metric.md", "dataset.md", "suite.md", "weights.md")


def test_only_the_page_about_boards_has_no_command_that_is_run() -> None:
    assert {path.name for path in TUTORIALS.glob("*.md")} == {*PAGES, "leaderboard.md", "index.md"}
    pages = (*PAGES, "leaderboard.md")
    lines = {page: [line for block in blocks_of(TUTORIALS / page) for line in lines_to_run(block)] for page in pages}
    assert [page for page in pages if not lines[page]] == ["leaderboard.md"]
    assert lines["method.md"][-1] == "srbench run --suite quickstart --add edsr_tiny+low_rank"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Environment:
    """Return the environment of somebody who reads one tutorial after another, with what index.md says they need."""
    (needed,) = re.findall(r'`pip install "(.*?)"`', (TUTORIALS / "index.md").read_text(encoding="utf-8"))
    made = Environment(tmp_path_factory.mktemp("reader"), wheels)
    made.install(needed)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_python_files_and_command_lines_of_a_tutorial_work_as_written(
    page: str, fresh: Environment, wheels: Path, record_property: Callable[[str, object], None]
) -> None:
    # pip finds our wheels and no index, and builds with the setuptools of the environment.
    offline = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    begun = time.perf_counter()
    if program := python_of(TUTORIALS / page):
        (fresh.folder / "page.py").write_text(program, encoding="utf-8")
        done = fresh.run("python", "page.py")
        assert done.returncode == 0, f"{page}\n{done.stderr}"
    for block in blocks_of(TUTORIALS / page):
        if block.file:
            (fresh.folder / block.file).write_text(block.text, encoding="utf-8")
        for line in lines_to_run(block):
            done = fresh.run(*shlex.split(line), **offline)
            assert done.returncode == 0, f"{block}: {line}\n{done.stdout}{done.stderr}"
    record_property("wall time", f"{time.perf_counter() - begun:.0f} s")
