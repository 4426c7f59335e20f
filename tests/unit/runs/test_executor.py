"""Executors: every job is done once, a worker's death costs its own job only."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from srbench.runs.executors import Crash, InProcess, Workers

# A worker imports what it performs, so it must be a module that can be imported, as no test is.
MODULE = """
import os
import signal

def perform(job, emit):
    emit(("started", os.getpid()))
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    emit(("squared", job * job))
"""


@pytest.fixture
def perform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "srbench_test_jobs.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("srbench_test_jobs").perform
    del sys.modules["srbench_test_jobs"]


def gathered(executor: Any, perform: Any, jobs: list[int]) -> dict[int, list[Any]]:
    events: dict[int, list[Any]] = {index: [] for index in range(len(jobs))}
    executor.run(jobs, perform, lambda index, event: events[index].append(event))
    crashed = {jobs[index]: event.reason for index, found in events.items() for event in found if type(event) is Crash}
    assert crashed.keys() <= {3}, f"only job 3 kills its process: {crashed}"
    return events


def test_jobs_in_process_are_done_in_order_here(perform: Any) -> None:
    events = gathered(InProcess(), perform, [4, 5])
    assert events == {index: [("started", os.getpid()), ("squared", job * job)] for index, job in enumerate([4, 5])}


def test_workers_do_every_job_in_other_processes(perform: Any) -> None:
    events = gathered(Workers(2), perform, [4, 5, 6, 7])
    assert [found[1] for found in events.values()] == [("squared", job * job) for job in (4, 5, 6, 7)]
    processes = {found[0][1] for found in events.values()}
    assert os.getpid() not in processes
    assert 1 <= len(processes) <= 2


def test_worker_that_dies_costs_its_own_job_only(perform: Any) -> None:
    events = gathered(Workers(1), perform, [1, 3, 2])
    assert [kind for kind, _ in events[0]] == ["started", "squared"]
    assert isinstance(events[1][-1], Crash)
    assert "SIGKILL" in events[1][-1].reason
    assert [kind for kind, _ in events[2]] == ["started", "squared"]


def test_refusal_of_the_handler_ends_the_workers(perform: Any) -> None:
    processes = []

    def handle(index: int, event: Any) -> None:
        assert not isinstance(event, Crash), event.reason
        if event[0] == "started":
            processes.append(event[1])
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        Workers(2).run([1, 2, 4], perform, handle)
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
