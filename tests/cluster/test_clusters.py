"""The quickstart through SLURM and Ray of two nodes each; tasks and runs that are killed; time that is lost."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srbench.results.store import RunStore
from srbench.runs.executor_names import make_executor
from srbench.runs.executors import Crash
from srbench.runs.job import Finished, Job
from srbench.runs.planner import make_plan
from srbench.suite.definition import load_suite

pytestmark = pytest.mark.cluster

Start = Callable[..., subprocess.Popen[str]]

SUITE = """
name: small
scale: 2
models: [bicubic, edsr_tiny, "edsr_tiny+recursive"]
datasets: [embedded-test]
protocol: [matlab-y]
train: {data: embedded-train, iterations: 300, batch_size: 2, gt_size: 32, checkpoint_every: 50}
"""


def ended(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, output
    return output


def figures(folder: Path) -> dict[str, tuple[Any, ...]]:
    cells = RunStore(folder).cells()
    return {cell.name: (cell.record.status, cell.record.metrics, cell.record.weights_sha256) for cell in cells}


@pytest.fixture(scope="session")
def local_figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, ...]]:
    """Measure the quickstart on this machine, as the digits that clusters must give."""
    from srbench.runs.runner import run
    from srbench.suite.definition import load_suite

    folder = tmp_path_factory.mktemp("local")
    run(load_suite("quickstart"), folder / "run", jobs=2)
    return figures(folder / "run")


def test_quickstart_through_slurm_gives_the_digits_of_local(
    slurm: dict[str, str], srbench: Start, tmp_path: Path, local_figures: dict[str, tuple[Any, ...]]
) -> None:
    words = ("run", "--suite", "quickstart", "--out", "run", "--no-page", "--executor", "slurm(partition=debug)")
    ended(srbench(*words, env=slurm))
    assert figures(tmp_path / "run") == local_figures


def test_quickstart_through_ray_gives_the_digits_of_local(
    ray_address: str, srbench: Start, tmp_path: Path, local_figures: dict[str, tuple[Any, ...]]
) -> None:
    words = ("run", "--suite", "quickstart", "--out", "run", "--no-page", "--executor", f"ray(address={ray_address})")
    ended(srbench(*words))
    assert figures(tmp_path / "run") == local_figures


def running_tasks(slurm: dict[str, str]) -> list[str]:
    command = ["squeue", "--noheader", "--array", "--states", "RUNNING", "--format", "%i"]
    return subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout.split()


def wait_for(found: Callable[[], Any], process: subprocess.Popen[str], what: str) -> None:
    end = time.monotonic() + 600
    while not found():
        assert process.poll() is None, f"the run ended before {what}"
        assert time.monotonic() < end, f"no {what} after 10 minutes"
        time.sleep(0.2)


def test_a_task_requeued_in_the_middle_of_its_training_finishes_with_the_same_weights(
    slurm: dict[str, str], srbench: Start, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(SUITE)
    ended(srbench("run", "--suite", "small.yaml", "--out", "local", "--no-page", "--jobs", "1"))
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--executor", "slurm(partition=debug)")
    process = srbench(*words, env=slurm)
    wait_for(lambda: list((tmp_path / "run").glob("models/*/checkpoint.pt")), process, "checkpoint")
    for task in running_tasks(slurm):
        subprocess.run(["scontrol", "requeue", task], env=slurm, check=True)
    ended(process)
    assert figures(tmp_path / "run") == figures(tmp_path / "local")


def test_sigkill_of_the_submitting_process_loses_no_finished_cell(
    slurm: dict[str, str], srbench: Start, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(SUITE)
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--executor", "slurm(partition=debug)")
    process = srbench(*words, env=slurm)
    wait_for(lambda: running_tasks(slurm), process, "running task")
    process.kill()
    process.wait()
    output = ended(srbench(*words, env=slurm))
    assert {status for status, *_ in figures(tmp_path / "run").values()} == {"ok"}
    assert len(figures(tmp_path / "run")) == 3, output
    assert list((tmp_path / "run" / "cluster").glob("*/cells")) == [], "everything was handed over"


SIXTEEN_CELLS = """
name: sixteen
scale: 2
models: [edsr_tiny, "edsr_tiny+recursive", edsr_baseline, "edsr_baseline+recursive"]
datasets: [test0, test1, test2, test3]
protocol: [matlab-y]
train: {data: embedded-train, iterations: 10}
"""
SECONDS_OF_A_CELL = 10.0
NODES = 2
CELLS = 16


def wait_ten_seconds_per_cell(job: Any, emit: Callable[[Any], None]) -> None:
    import time

    from srbench.runs.job import Finished
    from srbench.runs.recording import failed_record

    for cell in job.model.cells:
        time.sleep(10.0)
        emit(Finished(failed_record(job.model, cell, "nothing was measured")))


# Tasks cannot import this module: the function itself is sent to them.
wait_ten_seconds_per_cell.__module__ = "__main__"


def seconds_of_sixteen_cells(executor: Any, folder: Path) -> float:
    """Return how long an executor takes for four jobs of four cells each, none of which computes anything.

    A bound on time, in a test, because only this environment has clusters. A job is the unit of work, so its start and
    that of Python in it is part of the time.
    """
    for index in range(4):
        (folder / f"test{index}").mkdir(parents=True)
        pixels = np.full((16, 16, 3), index, np.uint8)
        Image.fromarray(pixels).save(folder / f"test{index}" / "image.png")
    (folder / "sixteen.yaml").write_text(SIXTEEN_CELLS)
    plan = make_plan(load_suite(folder / "sixteen.yaml"))
    jobs = [Job(model, folder / "models") for model in plan.models]
    assert sum(len(job.model.cells) for job in jobs) == CELLS
    finished = []

    def handle(index: int, event: Any) -> None:
        assert not isinstance(event, Crash), event.reason
        if isinstance(event, Finished):
            finished.append((index, event.record.dataset))

    start = time.monotonic()
    executor.run(jobs, wait_ten_seconds_per_cell, handle)
    seconds = time.monotonic() - start
    assert len(set(finished)) == len(finished) == CELLS
    return seconds


def test_two_slurm_nodes_lose_at_most_a_seventh_of_their_time(
    slurm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", slurm["SLURM_CONF"])
    executor = make_executor("slurm(partition=debug)", tmp_path / "cluster")
    seconds = seconds_of_sixteen_cells(executor, tmp_path)
    assert seconds <= 1.15 * SECONDS_OF_A_CELL * CELLS / NODES, f"{seconds:.1f} s"


def test_two_ray_nodes_lose_at_most_a_seventh_of_their_time(ray_address: str, tmp_path: Path) -> None:
    import ray

    executor = make_executor(f"ray(address={ray_address})", tmp_path / "cluster")
    try:
        seconds = seconds_of_sixteen_cells(executor, tmp_path)
    finally:
        ray.shutdown()
    assert seconds <= 1.15 * SECONDS_OF_A_CELL * CELLS / NODES, f"{seconds:.1f} s"


def test_a_ray_task_that_is_killed_in_the_middle_of_its_training_is_submitted_again(
    ray_address: str, srbench: Start, tmp_path: Path
) -> None:
    import psutil

    (tmp_path / "small.yaml").write_text(SUITE)
    ended(srbench("run", "--suite", "small.yaml", "--out", "local", "--no-page", "--jobs", "1"))
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--executor", f"ray(address={ray_address})")
    process = srbench(*words)
    wait_for(lambda: list((tmp_path / "run").glob("models/*/checkpoint.pt")), process, "checkpoint")
    # Ray names a worker after the function that it performs.
    workers = [one for one in psutil.process_iter() if one.name().startswith("ray::_perform")]
    assert workers
    for worker in workers:
        worker.kill()
    ended(process)
    assert figures(tmp_path / "run") == figures(tmp_path / "local")
