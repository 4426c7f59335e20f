"""The quickstart through SLURM and Ray of two nodes each; tasks and runs that are killed; time that is lost."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srbench.errors import ConfigError
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


# Never done while a test runs.
ENDLESS = SUITE.replace("iterations: 300", "iterations: 1000000")


def ended(process: subprocess.Popen[str], status: int = 0) -> str:
    output, _ = process.communicate(timeout=1800)
    assert process.returncode == status, output
    return output


def figures(folder: Path) -> dict[str, tuple[Any, ...]]:
    cells = RunStore(folder).cells()
    return {cell.name: (cell.record.status, cell.record.metrics, cell.record.weights_sha256) for cell in cells}


@pytest.fixture(scope="session")
def local_figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, ...]]:
    """Measure the quickstart on this machine, as the digits that clusters must give."""
    from srbench.runs.runner import run

    folder = tmp_path_factory.mktemp("local")
    run(load_suite("quickstart"), folder / "run", jobs=2)
    return figures(folder / "run")


@pytest.fixture(scope="session")
def small_figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, ...]]:
    """Measure `SUITE` on this machine."""
    from srbench.runs.runner import run

    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(SUITE)
    run(load_suite(folder / "small.yaml"), folder / "run", jobs=1)
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


def tasks(slurm: dict[str, str], state: str) -> list[str]:
    """Return the identifiers of tasks in a state, or `all`."""
    command = ["squeue", "--noheader", "--array", "--states", state, "--format", "%i"]
    return subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout.split()


def running_tasks(slurm: dict[str, str]) -> list[str]:
    return tasks(slurm, "RUNNING")


def queued_tasks(slurm: dict[str, str]) -> list[str]:
    """Return the tasks that SLURM has, waiting, running or ending."""
    return tasks(slurm, "PENDING,RUNNING,COMPLETING")


def wait_for_empty_queue(slurm: dict[str, str]) -> None:
    end = time.monotonic() + 60
    while left := queued_tasks(slurm):
        assert time.monotonic() < end, f"{left} are still queued after a minute"
        time.sleep(0.5)


def wait_for(found: Callable[[], Any], process: subprocess.Popen[str], what: str) -> None:
    end = time.monotonic() + 600
    while not found():
        assert process.poll() is None, f"the run ended before {what}"
        assert time.monotonic() < end, f"no {what} after 10 minutes"
        time.sleep(0.2)


def test_a_task_requeued_in_the_middle_of_its_training_finishes_with_the_same_weights(
    slurm: dict[str, str], srbench: Start, tmp_path: Path, small_figures: dict[str, tuple[Any, ...]]
) -> None:
    (tmp_path / "small.yaml").write_text(SUITE)
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--executor", "slurm(partition=debug)")
    process = srbench(*words, env=slurm)
    wait_for(lambda: list((tmp_path / "run").glob("models/*/checkpoint.pt")), process, "checkpoint")
    for task in running_tasks(slurm):
        subprocess.run(["scontrol", "requeue", task], env=slurm, check=True)
    ended(process)
    assert figures(tmp_path / "run") == small_figures


def test_a_preempted_task_is_requeued_by_submitit_and_finishes_with_the_same_weights(
    slurm: dict[str, str], srbench: Start, tmp_path: Path, small_figures: dict[str, tuple[Any, ...]]
) -> None:
    (tmp_path / "small.yaml").write_text(SUITE)
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--executor", "slurm(partition=debug)")
    process = srbench(*words, "--models", "edsr_tiny", env=slurm)
    wait_for(lambda: list((tmp_path / "run").glob("models/*/checkpoint.pt")), process, "checkpoint")
    (task,) = running_tasks(slurm)
    # SLURM sends this signal before a time limit, and before a preemption.
    subprocess.run(["scancel", "--signal=USR2", task], env=slurm, check=True)
    ended(process)
    measured = figures(tmp_path / "run")
    assert len(measured) == 1
    assert measured == {name: small_figures[name] for name in measured}
    log = (tmp_path / "run" / "cluster" / "logs" / f"{task}_0_log.out").read_text()
    steps = ("Caught signal SIGUSR2", "Calling checkpoint method", f"Requeued job {task}", "Job completed successfully")
    assert [step for step in steps if step not in log] == []


def test_a_task_that_is_killed_each_time_is_recorded_as_failed(
    slurm: dict[str, str], srbench: Start, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(ENDLESS)
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--models", "edsr_tiny")
    process = srbench(*words, "--executor", "slurm(partition=debug,tries=2)", env=slurm)
    first = killed(slurm, process)
    second = killed(slurm, process, but=first)
    ended(process, 1)
    (cell,) = RunStore(tmp_path / "run").cells()
    log = tmp_path / "run" / "cluster" / "logs" / f"{second}_0_log.err"
    assert (cell.record.status, log.exists()) == ("failed", True)
    assert f"its task was lost 2 times; its logs: {log}" in str(cell.record.error)
    assert queued_tasks(slurm) == []


def killed(slurm: dict[str, str], process: subprocess.Popen[str], but: str = "") -> str:
    """Kill the process of the running task, as the kernel does where memory is short; return the task."""

    def steps() -> list[str]:
        command = ["squeue", "--noheader", "--steps", "--format", "%i"]
        found = subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout.split()
        return [step for step in found if step.endswith(".0") and step != f"{but}.0"]

    wait_for(steps, process, "step to kill")
    task = steps()[0].removesuffix(".0")
    subprocess.run(["scancel", "--signal=KILL", task], env=slurm, check=True)
    return task


def test_ctrl_c_cancels_what_runs_and_what_is_queued(slurm: dict[str, str], srbench: Start, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(ENDLESS)
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--models", "edsr*")
    process = srbench(*words, "--executor", "slurm(partition=debug,at_once=1)", env=slurm)
    wait_for(lambda: running_tasks(slurm), process, "running task")
    assert len(queued_tasks(slurm)) == 2, "one runs, one waits"
    process.send_signal(signal.SIGINT)
    ended(process, 130)
    wait_for_empty_queue(slurm)


# Ctrl-C in a terminal reaches this process and sbatch. Both ways the array's identifier must not be lost.
INTERRUPTS = {
    "of the submitting process": "kill -INT $PPID",
    "of sbatch": "kill -KILL $$",
}


@pytest.mark.parametrize("where", INTERRUPTS)
def test_an_interrupt_after_slurm_took_the_tasks_cancels_them(
    where: str, slurm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    taken = tmp_path / "taken"
    sbatch.write_text(f'#!/bin/sh\n"{shutil.which("sbatch")}" "$@" >{taken}\n{INTERRUPTS[where]}\ncat {taken}\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CONF", slurm["SLURM_CONF"])
    (tmp_path / "small.yaml").write_text(ENDLESS)
    jobs = [Job(model, tmp_path / "models") for model in make_plan(load_suite(tmp_path / "small.yaml")).models]
    executor = make_executor("slurm(partition=debug)", tmp_path / "cluster")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job may ignore it
    try:
        with pytest.raises(ConfigError if where == "of sbatch" else KeyboardInterrupt):
            executor.run(jobs, wait_ten_seconds_per_cell, lambda index, event: None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Submitted batch job" in taken.read_text()
    wait_for_empty_queue(slurm)


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


def end_the_process(job: Any, emit: Callable[[Any], None]) -> None:
    import os

    os._exit(1)


# Tasks cannot import this module: the functions themselves are sent to them.
wait_ten_seconds_per_cell.__module__ = end_the_process.__module__ = "__main__"


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


def check_seconds(name: str, seconds: float) -> None:
    """Print the time and its ratio to the ideal, and check the ratio."""
    ideal = SECONDS_OF_A_CELL * CELLS / NODES
    what = f"{CELLS} cells of {SECONDS_OF_A_CELL:.0f} s on {NODES} nodes"
    print(f"\n{name}: {what} in {seconds:.1f} s, {seconds / ideal:.3f} of the ideal")
    assert seconds <= 1.15 * ideal


def test_two_slurm_nodes_lose_at_most_a_seventh_of_their_time(
    slurm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", slurm["SLURM_CONF"])
    executor = make_executor("slurm(partition=debug)", tmp_path / "cluster")
    seconds = seconds_of_sixteen_cells(executor, tmp_path)
    check_seconds("SLURM", seconds)


def test_two_ray_nodes_lose_at_most_a_seventh_of_their_time(ray_address: str, tmp_path: Path) -> None:
    import ray

    executor = make_executor(f"ray(address={ray_address})", tmp_path / "cluster")
    try:
        seconds = seconds_of_sixteen_cells(executor, tmp_path)
    finally:
        ray.shutdown()
    check_seconds("Ray", seconds)


def ray_workers() -> list[Any]:
    """Return the processes of running tasks: Ray names a worker after the function that it performs."""
    import psutil

    return [one for one in psutil.process_iter(["name"]) if one.info["name"].startswith("ray::_perform")]


def test_a_ray_task_that_is_killed_in_the_middle_of_its_training_is_submitted_again(
    ray_address: str, srbench: Start, tmp_path: Path, small_figures: dict[str, tuple[Any, ...]]
) -> None:
    (tmp_path / "small.yaml").write_text(SUITE)
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--executor", f"ray(address={ray_address})")
    process = srbench(*words)
    wait_for(lambda: list((tmp_path / "run").glob("models/*/checkpoint.pt")), process, "checkpoint")
    workers = ray_workers()
    assert workers
    for worker in workers:
        worker.kill()
    ended(process)
    assert figures(tmp_path / "run") == small_figures


def test_sigterm_cancels_the_tasks_of_ray(ray_address: str, srbench: Start, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(ENDLESS)
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--models", "edsr_tiny")
    process = srbench(*words, "--executor", f"ray(address={ray_address})")
    wait_for(ray_workers, process, "task")
    process.terminate()
    ended(process, 143)
    end = time.monotonic() + 60
    while ray_workers():
        assert time.monotonic() < end, "a task still runs after a minute"
        time.sleep(0.5)


def test_the_error_of_a_lost_ray_task_says_where_its_logs_are(ray_address: str, tmp_path: Path) -> None:
    import ray

    (tmp_path / "small.yaml").write_text(SUITE)
    jobs = [Job(model, tmp_path / "models") for model in make_plan(load_suite(tmp_path / "small.yaml")).models]
    executor = make_executor(f"ray(address={ray_address},tries=2)", tmp_path / "cluster")
    events: list[Any] = []
    try:
        executor.run(jobs[:1], end_the_process, lambda index, event: events.append(event))
    finally:
        ray.shutdown()
    (crash,) = events
    assert isinstance(crash, Crash)
    said = re.fullmatch("its task was lost 2 times; its logs: (.+) on the node that ran it", crash.reason)
    assert said is not None, crash.reason
    assert list(Path(said[1]).glob("worker-*.err"))
