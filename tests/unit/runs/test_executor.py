"""Executors: every job is done once, a worker's death costs its own job only."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from srbench.executor import Crash, InProcess, Workers


def perform(job: int, emit: Any) -> None:
    emit(("started", os.getpid()))
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    emit(("squared", job * job))


def gathered(executor: Any, jobs: list[int]) -> dict[int, list[Any]]:
    events: dict[int, list[Any]] = {index: [] for index in range(len(jobs))}
    executor.run(jobs, perform, lambda index, event: events[index].append(event))
    return events


def test_jobs_in_process_are_done_in_order_here() -> None:
    events = gathered(InProcess(), [4, 5])
    assert events == {index: [("started", os.getpid()), ("squared", job * job)] for index, job in enumerate([4, 5])}


def test_workers_do_every_job_in_other_processes() -> None:
    events = gathered(Workers(2), [4, 5, 6, 7])
    assert [found[1] for found in events.values()] == [("squared", job * job) for job in (4, 5, 6, 7)]
    processes = {found[0][1] for found in events.values()}
    assert os.getpid() not in processes
    assert 1 <= len(processes) <= 2


def test_worker_that_dies_costs_its_own_job_only() -> None:
    events = gathered(Workers(1), [1, 3, 2])
    assert [kind for kind, _ in events[0]] == ["started", "squared"]
    assert isinstance(events[1][-1], Crash)
    assert "SIGKILL" in events[1][-1].reason
    assert [kind for kind, _ in events[2]] == ["started", "squared"]


def test_refusal_of_the_handler_ends_the_workers() -> None:
    processes = []

    def handle(index: int, event: Any) -> None:
        if event[0] == "started":
            processes.append(event[1])
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        Workers(2).run([1, 2, 4], perform, handle)
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
