"""Several GPUs and several trainings on one: lists of devices, default numbers of jobs, and who gets which device."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbench.cli import main
from srbench.errors import ConfigError
from srbench.machine import read_devices
from srbench.runs.executor_names import make_executor
from srbench.runs.executors import Crash, Local, Workers
from srbench.runs.runner import run
from srbench.runs.slots import choose_slots
from srbench.suite.definition import load_suite

GIB = 1 << 30

# A worker imports what it performs, so it must be a module that can be imported, as no test is. The jobs of a process
# end only when the processes of all slots have one, so that none takes the jobs of another.
MODULE = """
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Job:
    number: int
    folder: Path
    slots: int
    device: str = "cpu"
    dies: bool = False

def perform(job, emit):
    emit((job.number, job.device, os.getpid()))
    if job.dies:
        os.kill(os.getpid(), signal.SIGKILL)
    (job.folder / str(os.getpid())).touch()
    while len(list(job.folder.iterdir())) < job.slots:
        time.sleep(0.01)
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "srbench_test_devices.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("srbench_test_devices")
    del sys.modules["srbench_test_devices"]


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("cpu", ["cpu"]),
        ("cuda", ["cuda"]),
        ("cuda:3", ["cuda:3"]),
        ("cuda:0,cuda:2", ["cuda:0", "cuda:2"]),
        ("cuda:1-3", ["cuda:1", "cuda:2", "cuda:3"]),
        ("cuda:0-1, cuda:4", ["cuda:0", "cuda:1", "cuda:4"]),
    ],
)
def test_a_list_of_devices(text: str, devices: list[str]) -> None:
    assert list(read_devices(text)) == devices


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu", "unknown device 'gpu'; --device takes cpu, cuda, cuda:N, or several GPUs such as"),
        ("", "unknown device ''"),
        ("cuda:0,", "unknown device '' in 'cuda:0,'"),
        ("cpu,cuda:0", "unknown device 'cpu' in 'cpu,cuda:0'"),
        ("cuda,cuda:1", "unknown device 'cuda' in"),
        ("cuda:0,cuda:00", "'cuda:0' is given twice"),
        ("cuda:0-2,cuda:1", "'cuda:1' is given twice"),
        ("cuda:3-1", "'cuda:3-1' is not a range"),
        ("cuda:0-999999", "is not a range of at most 256 GPUs"),
    ],
)
def test_a_bad_list_of_devices_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_devices(text)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_each_slot_has_one_device_and_its_own_process(jobs: Any, tmp_path: Path) -> None:
    folder = tmp_path / "started"
    folder.mkdir()
    found: list[tuple[int, str, int]] = []
    work = [jobs.Job(number, folder, slots=3) for number in range(7)]
    executor = Local(tmp_path, jobs=3, device="cuda:0,cuda:5")
    executor.run(work, jobs.perform, lambda index, event: found.append(event))
    assert sorted(number for number, _, _ in found) == list(range(7))
    devices_of: dict[int, set[str]] = {}
    for _, device, process in found:
        devices_of.setdefault(process, set()).add(device)
    assert sorted(map(sorted, devices_of.values())) == [["cuda:0"], ["cuda:0"], ["cuda:5"]]


def test_the_process_after_one_that_died_has_the_same_device(jobs: Any, tmp_path: Path) -> None:
    folder = tmp_path / "started"
    folder.mkdir()
    found: list[Any] = []
    work = [jobs.Job(0, folder, slots=2, dies=True), *(jobs.Job(number, folder, slots=2) for number in (1, 2, 3))]
    Workers(2, ["cuda:7", "cuda:8"]).run(work, jobs.perform, lambda index, event: found.append(event))
    assert sum(isinstance(event, Crash) for event in found) == 1
    devices = {number: device for number, device, _ in (event for event in found if not isinstance(event, Crash))}
    assert devices[0] == "cuda:7"
    assert devices[1] == "cuda:8"
    assert {devices[2], devices[3]} <= {"cuda:7", "cuda:8"}
    assert "cuda:7" in {devices[2], devices[3]}


def test_one_job_at_a_time_runs_here_on_the_first_device(jobs: Any, tmp_path: Path) -> None:
    found: list[Any] = []
    Local(tmp_path, device="cuda:4-5").run(
        [jobs.Job(0, tmp_path, slots=0)], jobs.perform, lambda index, event: found.append(event[1])
    )
    assert found == ["cuda:4"]


def test_local_is_an_executor_like_those_of_plugins(tmp_path: Path) -> None:
    made = make_executor("local(jobs=2,device=cuda:0-1)", tmp_path)
    assert type(made) is Local
    assert (made.jobs, made.devices) == (2, ("cuda:0", "cuda:1"))
    with pytest.raises(ConfigError, match="does not take 'partition'; it takes jobs, device"):
        make_executor("local(partition=x)", tmp_path)


@pytest.mark.parametrize(
    ("devices", "free", "given", "expected"),
    [
        (["cpu"], 0, {}, 6),
        (["cpu"], 0, {"trainings": 0}, 1),
        (["cpu"], 0, {"threads": 4}, 2),
        (["cuda"], 80, {}, 4),
        (["cuda"], 24, {}, 3),
        (["cuda"], 6, {}, 1),
        (["cuda"], 80, {"trainings": 2}, 2),
        (["cuda"], 80, {"cores": 2}, 2),
        (["cuda:0", "cuda:1"], 80, {"trainings": 20, "models": 20}, 8),
        (["cuda:0", "cuda:1"], 80, {"trainings": 0}, 2),
        (["cuda:0", "cuda:1"], 80, {"models": 1, "trainings": 1}, 1),
        (["cuda"], 80, {"jobs": 6}, 6),
        (["cuda"], 80, {"jobs": 99}, 6),
    ],
)
def test_default_number_of_jobs(devices: list[str], free: int, given: dict[str, Any], expected: int) -> None:
    settings = {"jobs": None, "models": 6, "trainings": 6, "cores": 8, "threads": 1} | given
    slots = choose_slots(devices, **settings, memory=lambda device: free * GIB)
    assert (slots.jobs, slots.devices) == (expected, tuple(devices))
    assert bool(slots.why) == ("jobs" not in given)


def test_memory_that_is_not_known_allows_one_job_per_gpu() -> None:
    slots = choose_slots(["cuda"], jobs=None, models=6, trainings=6, cores=8, threads=1, memory=lambda device: None)
    assert slots.jobs == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"executor": "local(jobs=2)", "jobs": 3}, "--jobs 3 and local(jobs=2) differ"),
        ({"executor": "local(job=2)"}, "does not take 'job'; it takes jobs, device"),
        ({"executor": "local(jobs=0)"}, "jobs=0 of executor 'local' is not a whole number"),
        ({"executor": "ray", "device": "cuda:0-1"}, "a cluster's scheduler assigns GPUs"),
        ({"device": "cuda:0,gpu"}, "unknown device 'gpu' in 'cuda:0,gpu'"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_written(
    words: dict[str, Any], message: str, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = load_suite(suite_file(models=("bicubic",), tests=1))
    with pytest.raises(ConfigError) as refusal:
        run(suite, tmp_path / "run", **words)
    assert message in str(refusal.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("asked", ["precision: tf32", "compile: graph"])
def test_a_recipe_that_the_device_does_not_support_is_refused_before_anything_is_written(
    asked: str, suite_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = suite_file(models=("bicubic", "edsr_tiny", f"{{model: edsr_tiny+recursive, train: {{{asked}}}}}"), tests=1)
    words = ["run", "--suite", str(suite), "--out", str(tmp_path / "run")]

    def status(*more: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main([*words, *more])
        return int(ended.value.code or 0)

    assert status() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith(f"srbench: {suite}, line 6: {asked.split(':')[0]} '")
    assert "the device is cpu" in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "run").exists()
    assert status("--models", "edsr_tiny", "--dry-run") == 0
    assert "would be refused" not in capsys.readouterr().out
    assert status("--dry-run") == 0
    assert f"The run itself would be refused: {suite}, line 6: " in capsys.readouterr().out
