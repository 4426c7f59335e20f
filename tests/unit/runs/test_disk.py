"""Runs that meet a full disk: one sentence, and what was finished stays."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbench.results.store import RunStore


def traces(run_dir: Path) -> dict[str, tuple[int, str]]:
    cells = RunStore(run_dir).cells()
    return {cell.directory.name: (cell.directory.stat().st_ino, cell.record.status) for cell in cells}


def refused(ended: subprocess.CompletedProcess[str]) -> None:
    assert ended.returncode == 2, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("srbench: "), ended.stderr
    assert "what was finished" in last
    assert "Traceback" not in ended.stderr


# Below the size of a cell's files (a few KB): it fails while a cell is written. Above those, and below the size of a
# checkpoint (over 100 KB): it fails while a network is trained.
@pytest.mark.parametrize(
    "limit", [1_000, pytest.param(50_000, marks=pytest.mark.slow)], ids=["writing-a-cell", "writing-a-checkpoint"]
)
def test_file_that_cannot_grow_ends_the_run_and_what_was_finished_stays(
    limit: int, srbench: Callable[..., Any], nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = suite_file(models=("bicubic", "edsr_tiny"))
    arguments = ("run", "--suite", suite, "--no-page", "--out", tmp_path / "run")
    assert nursery.run(*arguments, "--datasets", "test0", "--models", "bicubic") == 0
    before = traces(tmp_path / "run")
    assert len(before) == 2

    ended = srbench(
        *arguments,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    refused(ended)
    during = traces(tmp_path / "run")
    assert {name: during.get(name) for name in before} == before
    assert all(status == "ok" for _, status in during.values())
    assert not list((tmp_path / "run").glob("**/.tmp-*")), "a refused write leaves nothing behind"

    assert nursery.run(*arguments) == 0, nursery.said()
    after = traces(tmp_path / "run")
    assert len(after) == 8
    assert {name: after.get(name) for name in during} == during


SMALL_DISK = """
mount -t tmpfs -o size=200k none "$1" || exit 99
"$2" -m srbench run --suite "$3" --no-page --jobs 1 --out "$1/run"
status=$?
cp -r "$1/run" "$4"
exit $status
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare(1) for a disk of its own")
def test_full_disk_ends_the_run_and_what_was_finished_stays(
    nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = suite_file(models=("bicubic", "edsr_tiny"))
    (tmp_path / "disk").mkdir()
    script = ["unshare", "--mount", "--map-root-user", "sh", "-c", SMALL_DISK, "sh"]
    ended = subprocess.run(
        [*script, str(tmp_path / "disk"), sys.executable, str(suite), str(tmp_path / "run")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    if ended.returncode in (1, 99) and "srbench" not in ended.stderr:
        pytest.skip(f"no disk of its own may be mounted here: {ended.stderr.strip()}")
    refused(ended)
    kept = traces(tmp_path / "run")
    assert len(kept) == 4, "bicubic was finished before the checkpoint had no room"
    assert nursery.run("run", "--suite", suite, "--no-page", "--out", tmp_path / "run") == 0, nursery.said()
    after = traces(tmp_path / "run")
    assert len(after) == 8
    assert {name: after.get(name) for name in kept} == kept
