"""The tutorials can be followed to the letter, in a fresh environment."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from documentation import ROOT, blocks_of, lines_to_run, python_of
from fresh_environment import Environment

TUTORIALS = ROOT / "docs" / "tutorials"
# In the order of index.md. All that the last page does needs downloads.
PAGES = ("method.md", "backbone.md", "metric.md", "dataset.md", "suite.md", "weights.md", "leaderboard.md")


def test_only_the_page_about_boards_has_no_command_that_is_run() -> None:
    assert {path.name for path in TUTORIALS.glob("*.md")} == {*PAGES, "index.md"}
    lines = {page: [line for block in blocks_of(TUTORIALS / page) for line in lines_to_run(block)] for page in PAGES}
    assert [page for page in PAGES if not lines[page]] == ["leaderboard.md"]
    assert lines["method.md"][-1] == "srbench run --suite quickstart --add edsr_tiny+low_rank"


@pytest.mark.slow
def test_python_files_and_command_lines_of_all_tutorials_work_as_written(
    tmp_path: Path, wheels: Path, record_property: Callable[[str, object], None]
) -> None:
    fresh = Environment(tmp_path, wheels)
    fresh.install("sr-bench[new,ps]")
    # pip finds our wheels and no index, and builds with the setuptools of the environment.
    offline = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    begun = time.perf_counter()
    for page in PAGES:
        if program := python_of(TUTORIALS / page):
            (tmp_path / "page.py").write_text(program, encoding="utf-8")
            done = fresh.run("python", "page.py")
            assert done.returncode == 0, f"{page}\n{done.stderr}"
        for block in blocks_of(TUTORIALS / page):
            if block.file:
                (tmp_path / block.file).write_text(block.text, encoding="utf-8")
            for line in lines_to_run(block):
                done = fresh.run(*shlex.split(line), **offline)
                assert done.returncode == 0, f"{block}: {line}\n{done.stdout}{done.stderr}"
    record_property("wall time", f"{time.perf_counter() - begun:.0f} s")
