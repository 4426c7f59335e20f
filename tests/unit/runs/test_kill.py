"""Runs that are killed: what is finished is neither lost nor done twice, and nothing is half there."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from srbench.results.store import RunStore, read_finished

KILLS = 8  # `tox run -e faults` makes hundreds
PATIENCE = 240  # seconds until something that should happen is taken not to; a loaded machine is slow


def wait_for_a_checkpoint(run_dir: Path, nursery: Any) -> None:
    """Wait until a training of the nursery's command has written its first checkpoint."""
    deadline = time.monotonic() + PATIENCE
    while not list(run_dir.glob("models/*/checkpoint.pt")):
        assert time.monotonic() < deadline, nursery.said()
        time.sleep(0.1)


def finished_cells(run_dir: Path) -> dict[str, tuple[int, int, str]]:
    """Return each finished cell with what a second execution would change: inode, time of writing, record's content."""
    found = {}
    cells = run_dir / "cells"
    for directory in sorted(cells.iterdir()) if cells.is_dir() else ():
        if directory.name.startswith("."):
            continue  # being written when the run was killed
        record = read_finished(directory)
        assert record is not None, f"{directory} is there, and its marker does not agree with its content"
        assert record.status == "ok", record.error
        stat = (directory / "record.json").stat()
        found[directory.name] = (stat.st_ino, stat.st_mtime_ns, (directory / "record.json").read_text())
    return found


def test_random_kills_lose_no_cell_and_do_none_twice(
    nursery: Any, suite_file: Callable[..., Path], tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    suite = suite_file(models=("bicubic", "edsr_tiny", "edsr_tiny+recursive"), tests=8)
    arguments = ("run", "--suite", suite, "--jobs", "1", "--no-page", "--out")
    started = time.monotonic()
    assert nursery.run(*arguments, tmp_path / "whole") == 0, nursery.said()
    duration = time.monotonic() - started
    complete = finished_cells(tmp_path / "whole").keys()
    assert len(complete) == 3 * 8 * 2

    commands = kills = rounds = advanced = 0
    run_dir, known = tmp_path / "run0", {}
    while kills < KILLS:
        # Shorter than a whole run, so that one run is killed several times at different cells.
        status = nursery.kill_after(draw.uniform(0, duration / 2), *arguments, run_dir)
        commands += 1
        kills += status == -signal.SIGKILL
        assert status in (0, -signal.SIGKILL), nursery.said()
        after = finished_cells(run_dir)
        for name, trace in known.items():
            assert after.get(name) == trace, f"kill {kills}: the finished cell {name} was lost or done again"
        advanced += status != 0 and after.keys() > known.keys()
        known = after
        if status == 0:
            assert known.keys() == complete
            rounds += 1
            run_dir, known = tmp_path / f"run{rounds}", {}
    # Otherwise this test would have shown little.
    assert advanced >= 1, f"only {advanced} kills hit a run that had just finished something"

    assert nursery.run(*arguments, run_dir) == 0, nursery.said()
    after = finished_cells(run_dir)
    assert after.keys() == complete
    assert {name: after[name] for name in known} == known
    assert not list(run_dir.glob("**/.tmp-*")), "leftovers of killed runs are swept"
    print(
        f"{commands} commands, {kills} killed, {advanced} of them after new cells; {rounds} runs completed on the way"
    )


def test_killed_and_resumed_run_gives_the_same_numbers_as_an_uninterrupted_one(
    nursery: Any, suite_file: Callable[..., Path], tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    suite = suite_file(models=("edsr_tiny+recursive",), tests=1, iterations=60)
    arguments = ("run", "--suite", suite, "--jobs", "1", "--no-page", "--out")
    started = time.monotonic()
    assert nursery.run(*arguments, tmp_path / "whole") == 0, nursery.said()
    duration = time.monotonic() - started
    for _ in range(4):
        nursery.kill_after(draw.uniform(0.3, 0.9) * duration, *arguments, tmp_path / "broken")
    assert nursery.run(*arguments, tmp_path / "broken") == 0, nursery.said()

    def outcome(run_dir: Path) -> list[Any]:
        cells = RunStore(run_dir).cells()
        return [(cell.record.key, cell.record.weights_sha256, cell.per_image.to_dict()) for cell in cells]

    assert outcome(tmp_path / "broken") == outcome(tmp_path / "whole")


def test_workers_end_with_the_run_that_started_them(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    suite = suite_file(models=("edsr_tiny", "edsr_tiny+recursive"), tests=1, iterations=100_000)
    arguments = ["run", "--suite", str(suite), "--jobs", "2", "--out", str(tmp_path / "run")]
    run = subprocess.Popen([sys.executable, "-m", "srbench", *arguments], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        checkpoints = tmp_path / "run" / "models"
        deadline = time.monotonic() + PATIENCE
        while len(list(checkpoints.glob("*/checkpoint.pt"))) < 2:
            assert time.monotonic() < deadline, "two workers should be training by now"
            assert run.poll() is None
            time.sleep(0.2)
        workers = psutil.Process(run.pid).children(recursive=True)
        assert len(workers) >= 2
    finally:
        run.kill()
        run.wait()
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive, f"{alive} outlived their run"
    assert len(gone) == len(workers)


def test_interrupted_run_says_so_and_keeps_what_is_finished(
    nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = suite_file(models=("bicubic", "edsr_tiny"), tests=1, iterations=100_000)
    child = psutil.Process(nursery.start("run", "--suite", suite, "--jobs", "1", "--out", tmp_path / "run"))
    try:
        wait_for_a_checkpoint(tmp_path / "run", nursery)
        child.send_signal(signal.SIGINT)
        # Should it not end by itself, this test fails, and the commands after it find the nursery free.
        psutil.wait_procs([child], timeout=PATIENCE)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
        status = nursery.wait()
    assert status == 130, nursery.said()
    assert "interrupted; what was finished is kept" in nursery.said()
    assert "Traceback" not in nursery.said()
    assert len(finished_cells(tmp_path / "run")) == 2


def test_two_runs_in_one_directory_refuse_politely(
    nursery: Any, suite_file: Callable[..., Path], srbench: Callable[..., Any], tmp_path: Path
) -> None:
    suite = suite_file(models=("edsr_tiny",), tests=1, iterations=100_000)
    child = psutil.Process(nursery.start("run", "--suite", suite, "--out", tmp_path / "run"))
    try:
        wait_for_a_checkpoint(tmp_path / "run", nursery)
        second = srbench("run", "--suite", suite, "--out", tmp_path / "run")
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
        nursery.wait()
    assert second.returncode == 2
    assert f"is in use by another run (process {child.pid})" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.slow
def test_kills_of_the_installed_command_lose_no_cell_and_do_none_twice(
    suite_file: Callable[..., Path], tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    suite = suite_file(models=("bicubic", "edsr_tiny", "edsr_tiny+recursive"), tests=4)
    arguments = ["run", "--suite", str(suite), "--jobs", "2", "--no-page", "--out", str(tmp_path / "run")]
    known: dict[str, Any] = {}
    for _ in range(12):
        run = subprocess.Popen([sys.executable, "-m", "srbench", *arguments], cwd=tmp_path, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(1, 12))
        run.kill()
        run.wait()
        after = finished_cells(tmp_path / "run")
        assert {name: after.get(name) for name in known} == known
        known = after
    assert subprocess.run([sys.executable, "-m", "srbench", *arguments], cwd=tmp_path).returncode == 0
    after = finished_cells(tmp_path / "run")
    assert {name: after.get(name) for name in known} == known
    assert len(after) == 3 * 4 * 2
