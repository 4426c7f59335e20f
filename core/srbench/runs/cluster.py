"""What all cluster executors have in common: tasks are submitted, watched, tried again when lost, and cancelled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srbench.runs.executors import Crash, Handle, Perform, check_whole
from srbench.runs.handover import Handover, Task, handover_name, without
from srbench.runs.interrupts import interrupts_held
from srbench.runs.job import Finished, Job

__all__ = ["ClusterExecutor"]


@dataclass
class _Watched:
    """A job on its way.

    Attributes:
        index: Its place among the jobs of the run.
        handover: Where its results come from.
        task: What was submitted.
        handle: The scheduler's handle of it.
        tries: How often it was submitted.
        absent: How often in a row the scheduler did not know it.
    """

    index: int
    handover: Handover
    task: Task
    handle: Any = None
    tries: int = 0
    absent: int = 0


class ClusterExecutor:
    """Do each job as a task of a scheduler; a subclass says how tasks are submitted, found and cancelled.

    Tasks write what they finish into folders of their own, on a file system that all nodes share; only the process that
    called `run` writes the run. A job whose results a killed run left behind is not done again, and one that still runs
    is watched again.

    Args:
        folder: Where tasks keep logs and results.
        tries: How often a job is submitted before it is recorded as failed.
        cpus: CPU threads of each task.
        gpus: GPUs of each task, also a fraction; a run whose device is the CPU is refused if it is not 0.
    """

    poll_seconds = 1.0
    # A task that has just ended may be seen on another node before its last files are.
    most_absences = 5

    def __init__(self, folder: Path, *, tries: int = 3, cpus: int = 1, gpus: float = 0) -> None:
        check_whole("tries", tries, 1, 1024)
        check_whole("cpus", cpus, 1, 1024)
        self.folder = folder.resolve()
        self.tries = tries
        self.threads = cpus
        self.gpus = gpus

    def connect(self) -> None:
        """Connect to the scheduler, if that takes time; called before each `submit`.

        Raises:
            ConfigError: The scheduler cannot be reached.
        """

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        """Submit tasks and return the scheduler's handle of each.

        Ctrl-C and SIGTERM are held back until it returns. If it raises, it must have cancelled what it submitted.

        Raises:
            ConfigError: The scheduler refuses them.
        """
        raise NotImplementedError

    def running(self, handles: Sequence[Any]) -> list[bool]:
        """Return of each task whether the scheduler still has it, waiting or running."""
        raise NotImplementedError

    def cancel(self, handles: Sequence[Any]) -> None:
        """Cancel tasks; those that have ended are ignored."""
        raise NotImplementedError

    def found(self, folder: Path) -> Any | None:
        """Return the handle of a task that an earlier run submitted and that still runs; None if there is none."""
        return None

    def logs(self, handle: Any) -> str:
        """Return where the logs of a task are, for the user; empty if unknown."""
        return ""

    def run(self, jobs: Sequence[Job], perform: Perform, handle: Handle) -> None:
        """Do every job; `handle` is called in this process, one event at a time.

        Raises:
            SRBenchError: The scheduler cannot be used, or what `handle` raises; tasks are then cancelled.
        """
        watched: list[_Watched] = []
        try:
            for index, job in enumerate(jobs):
                if (item := self._taken_up(index, job, perform, handle)) is not None:
                    watched.append(item)
            self._submit([item for item in watched if item.handle is None])
            while watched:
                time.sleep(self.poll_seconds)
                watched = self._still_open(watched, handle)
        except BaseException:
            with interrupts_held():  # a second Ctrl-C must not leave half of them queued
                self.cancel([item.handle for item in watched if item.handle is not None])
            raise

    def _taken_up(self, index: int, job: Job, perform: Perform, handle: Handle) -> _Watched | None:
        """Hand over what an earlier run left of a job, and return what remains of it; None if nothing does."""
        folder = self.folder / handover_name(job)
        handover = Handover(folder)
        wanted = {(cell.directory, cell.key) for cell in job.model.cells}
        done = set()
        for event in handover.events():
            if not isinstance(event, Finished) or event.record.status != "ok":
                continue
            if (event.record.directory_name, event.record.key) in wanted:
                handle(index, event)
                done.add(event.record.directory_name)
        left = without(job, done)
        running = self.found(folder) if left is not None else None
        if left is None or running is None:
            handover.remove()
        if left is None:
            return None
        if running is None:
            handover = Handover(folder)
            handover.prepare()
        return _Watched(index, handover, Task(left, perform, folder, Path.cwd()), running, tries=1 if running else 0)

    def _submit(self, items: Sequence[_Watched]) -> None:
        if not items:
            return
        self.connect()
        # Nobody would cancel a task whose handle is not noted.
        with interrupts_held():
            for item, submitted in zip(items, self.submit([item.task for item in items]), strict=True):
                item.handle = submitted
                item.tries += 1
                item.absent = 0

    def _still_open(self, watched: Sequence[_Watched], handle: Handle) -> list[_Watched]:
        """Hand over what is new; return the tasks that are not done, after submitting lost ones again."""
        running = self.running([item.handle for item in watched])
        still, lost = [], []
        for item, alive in zip(watched, running, strict=True):
            ended = item.handover.ended  # before its events are read: what it wrote before its end is then among them
            for event in item.handover.events():
                handle(item.index, event)
            if ended:
                item.handover.remove()
                continue
            item.absent = 0 if alive else item.absent + 1
            if item.absent < self.most_absences:
                still.append(item)
            elif item.tries < self.tries:
                lost.append(item)
            else:
                where = self.logs(item.handle)
                said = f"its task was lost {item.tries} time{'s' if item.tries > 1 else ''}"
                handle(item.index, Crash(f"{said}; its logs: {where}" if where else said))
                item.handover.remove()
        self._submit(lost)
        return still + lost
