"""What cluster executors have in common, with the executor of docs/clusters.md: a process for each task."""

from __future__ import annotations

import ast
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from srbench.cli.progress import RunProgress
from srbench.errors import ConfigError, SRBenchError
from srbench.registry.registries import EXECUTORS
from srbench.results.store import RunStore
from srbench.runs.executor_names import make_executor, parse_executor
from srbench.runs.handover import Task
from srbench.runs.runner import run
from srbench.runs.slots import Slots
from srbench.suite.definition import load_suite

SuiteFile = Callable[..., Path]

PAGE = Path(__file__).resolve().parents[3] / "docs" / "clusters.md"
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
documented: dict[str, Any] = {"__name__": "my_executors"}
exec(compile(EXAMPLE, "my_executors", "exec"), documented)


class Processes(documented["Processes"]):  # type: ignore[misc]
    """The executor of docs/clusters.md; it counts, and its first `kills` tasks are killed."""

    poll_seconds = 0.1

    def __init__(self, folder: Path, *, tries: int = 3, kills: int = 0) -> None:
        super().__init__(folder, tries=tries)
        self.kills = kills
        self.submitted = 0
        self.cancelled = 0

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        handles: list[Any] = super().submit(tasks)
        for process in handles[: self.kills]:
            process.send_signal(signal.SIGKILL)
        self.kills -= min(self.kills, len(handles))
        self.submitted += len(handles)
        return handles

    def cancel(self, handles: Sequence[Any]) -> None:
        super().cancel(handles)
        self.cancelled += len(handles)


@pytest.fixture
def scheduler() -> Iterator[Callable[..., Processes]]:
    """Return a function that makes the executor `test`."""
    made: list[Processes] = []

    def test(folder: Path) -> Processes:
        return made[-1]

    def use(folder: Path, **arguments: int) -> Processes:
        made.append(Processes(folder, **arguments))
        return made[-1]

    EXECUTORS.add("test", test)
    yield use
    EXECUTORS.remove("test")


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
    assert "its task was lost 2 times; its logs: " in str(report.failed[0].error)
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


def test_an_interrupt_during_the_submission_cancels_what_was_submitted(
    suite_file: SuiteFile, scheduler: Callable[..., Processes], tmp_path: Path
) -> None:
    suite = load_suite(suite_file(models=("bicubic", "edsr_tiny"), tests=1))
    executor = scheduler(tmp_path / "run" / "cluster")
    handles: list[Any] = []
    submit = executor.submit

    def interrupted(tasks: Sequence[Task]) -> list[Any]:
        handles.extend(submit(tasks))
        signal.raise_signal(signal.SIGINT)
        return list(handles)

    executor.submit = interrupted  # type: ignore[method-assign]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            run(suite, tmp_path / "run", executor="test")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert (executor.submitted, executor.cancelled) == (2, 2)
    assert [process.poll() for process in handles] == [-signal.SIGKILL] * 2


def test_the_documented_executor_imports_nothing_else_of_srbench() -> None:
    modules = {node.module for node in ast.walk(ast.parse(EXAMPLE)) if isinstance(node, ast.ImportFrom)}
    modules |= {
        name.name for node in ast.walk(ast.parse(EXAMPLE)) if isinstance(node, ast.Import) for name in node.names
    }
    assert {module for module in modules if str(module).startswith("srbench")} == {"srbench.plugin"}


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


def test_gpus_without_a_gpu_as_device_are_refused(
    suite_file: SuiteFile, scheduler: Callable[..., Processes], tmp_path: Path
) -> None:
    suite = load_suite(suite_file(models=("bicubic",), tests=1))
    scheduler(tmp_path / "run" / "cluster").gpus = 0.5
    with pytest.raises(ConfigError, match=r"'test' asks for gpus=0.5, but with --device cpu .* give --device cuda"):
        run(suite, tmp_path / "run", executor="test")
    assert not (tmp_path / "run").exists()
    assert not run(suite, tmp_path / "run", executor="test", device="cuda", dry_run=True).done


def test_a_cluster_is_not_said_to_process_models_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    plan: Any = SimpleNamespace(suite=SimpleNamespace(label="small"))
    RunProgress().started(plan, [], Slots(3, ("cuda",), scheduler="slurm"))
    assert capsys.readouterr().err == "small: 0 cells to do, 0 models to train first, handed to slurm\n"
