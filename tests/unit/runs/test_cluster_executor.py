"""What cluster executors have in common, with a scheduler of a few lines that starts a process for each task."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from srbench.errors import ConfigError, SRBenchError
from srbench.results.store import RunStore
from srbench.runs.cluster import ClusterExecutor
from srbench.runs.executor_names import make_executor, parse_executor
from srbench.runs.handover import Task
from srbench.runs.runner import run
from srbench.suite.definition import load_suite

SuiteFile = Callable[..., Path]

START = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))()"


class Processes(ClusterExecutor):
    """A scheduler: a process for each task; those of the first round are killed where `kill_first`."""

    poll_seconds = 0.1

    def __init__(self, folder: Path, *, tries: int = 3, kills: int = 0) -> None:
        super().__init__(folder, tries=tries)
        self.kills = kills
        self.submitted = 0
        self.cancelled = 0

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        handles = []
        for task in tasks:
            path = task.folder / "task.pickle"
            path.write_bytes(pickle.dumps(task))
            process = subprocess.Popen([sys.executable, "-c", START, str(path)])
            if self.kills:
                self.kills -= 1
                process.send_signal(signal.SIGKILL)
            handles.append(process)
            self.submitted += 1
        return handles

    def running(self, handles: Sequence[Any]) -> list[bool]:
        return [process.poll() is None for process in handles]

    def cancel(self, handles: Sequence[Any]) -> None:
        for process in handles:
            process.kill()
            process.wait()
            self.cancelled += 1


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Processes]:
    """Make runs use a scheduler of this process."""

    def use(folder: Path, **arguments: int) -> Processes:
        made = Processes(folder, **arguments)
        monkeypatch.setattr("srbench.runs.runner.make_executor", lambda text, folder: made)
        return made

    return use


def figures(folder: Path) -> dict[str, tuple[Any, ...]]:
    cells = RunStore(folder).cells()
    return {cell.name: (cell.record.status, cell.record.metrics, cell.record.weights_sha256) for cell in cells}


def test_a_cluster_gives_the_digits_of_local_and_leaves_nothing_behind(
    suite_file: SuiteFile, scheduler: Callable[..., Processes], tmp_path: Path
) -> None:
    suite = load_suite(suite_file(models=("bicubic", "edsr_tiny"), tests=1))
    executor = scheduler(tmp_path / "run" / "cluster")
    report = run(suite, tmp_path / "run", executor="test")
    assert (len(report.done), len(report.failed), executor.submitted) == (4, 0, 2)
    run(suite, tmp_path / "local", jobs=1)
    assert figures(tmp_path / "run") == figures(tmp_path / "local")
    assert [path for path in (tmp_path / "run" / "cluster").iterdir() if path.name != "logs"] == []
    again = run(suite, tmp_path / "run", executor="test")
    assert (again.before, again.todo, executor.submitted) == (4, (), 2)


def test_a_lost_task_is_submitted_again_and_then_recorded_as_failed(
    suite_file: SuiteFile, scheduler: Callable[..., Processes], tmp_path: Path
) -> None:
    suite = load_suite(suite_file(models=("bicubic",), tests=1))
    executor = scheduler(tmp_path / "once" / "cluster", kills=1)
    report = run(suite, tmp_path / "once", executor="test")
    assert (len(report.done), executor.submitted) == (2, 2)
    executor = scheduler(tmp_path / "ever" / "cluster", kills=2, tries=2)
    report = run(suite, tmp_path / "ever", executor="test")
    assert (len(report.done), len(report.failed), report.exit_status, executor.submitted) == (0, 2, 1, 2)
    assert "its task was lost 2 times" in str(report.failed[0].error)
    report = run(suite, tmp_path / "ever", executor="test")
    assert len(report.done) == 2, "failed cells are tried again"


def test_what_a_killed_run_left_is_taken_over(
    suite_file: SuiteFile, scheduler: Callable[..., Processes], tmp_path: Path
) -> None:
    suite = load_suite(suite_file(models=("bicubic",), tests=2))
    executor = scheduler(tmp_path / "run" / "cluster")

    class Killed(BaseException):
        pass

    def stop(items: Sequence[Any], handle: Any) -> Any:
        (item,) = items
        item.handle.wait()  # all is measured, and nothing handed over
        raise Killed

    executor._still_open = stop  # type: ignore[method-assign]
    with pytest.raises(Killed):
        run(suite, tmp_path / "run", executor="test")
    assert executor.cancelled == 1
    assert figures(tmp_path / "run") == {}
    executor = scheduler(tmp_path / "run" / "cluster")
    report = run(suite, tmp_path / "run", executor="test")
    assert (len(report.done), executor.submitted) == (4, 0), "measured before, stored now, and not measured again"


def test_a_stopped_run_cancels_its_tasks(
    suite_file: SuiteFile, scheduler: Callable[..., Processes], tmp_path: Path
) -> None:
    suite = load_suite(suite_file(models=("edsr_tiny",), tests=1, iterations=100_000))
    executor = scheduler(tmp_path / "run" / "cluster")
    handles: list[Any] = []
    submit = executor.submit

    def submitted(tasks: Sequence[Task]) -> list[Any]:
        handles.extend(submit(tasks))
        return list(handles)

    def interrupt(asked: Sequence[Any]) -> list[bool]:
        time.sleep(0.2)
        raise KeyboardInterrupt

    executor.submit = submitted  # type: ignore[method-assign]
    executor.running = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(suite, tmp_path / "run", executor="test")
    assert executor.cancelled == 1
    with pytest.raises(ProcessLookupError):
        os.kill(handles[0].pid, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slurm(", "is not of the form NAME"),
        ("slurm(partition)", "'partition' in executor"),
        ("slurm(cpus=1,cpus=2)", "'cpus' twice"),
        ("slurn", "did you mean 'slurm'"),
        ("ray(partition=x)", "does not take 'partition'; it takes address, cpus, gpus, tries"),
    ],
)
def test_an_executor_that_cannot_be_made_is_met_by_a_sentence(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SRBenchError, match=message.replace("(", r"\(")):
        make_executor(text, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_arguments_are_numbers_where_they_look_like_it() -> None:
    assert parse_executor("ray(address=10.0.0.1:6379,gpus=0.25,cpus=2)") == (
        "ray",
        {"address": "10.0.0.1:6379", "gpus": 0.25, "cpus": 2},
    )
    assert parse_executor("local") == ("local", {})


def test_jobs_and_threads_are_of_the_local_executor(suite_file: SuiteFile, tmp_path: Path) -> None:
    suite = load_suite(suite_file(models=("bicubic",), tests=1))
    with pytest.raises(ConfigError, match="--jobs and --threads are of the local executor"):
        run(suite, tmp_path / "run", executor="slurm", jobs=2)
