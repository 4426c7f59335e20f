"""Executors: run jobs in this process, or in several processes on this machine.

A job is executed by `perform(job, emit)`; whatever it emits is passed to `handle` in the process that called `run`, the
only one that writes cells. So an executor cannot corrupt the store, and an executor for several machines could have the
same interface.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol, cast

from srbench.compat.deferred_torchvision import defer_torchvision
from srbench.errors import ConfigError
from srbench.machine import keep_freed_memory, read_devices

__all__ = ["Crash", "Executor", "InProcess", "Local", "Workers", "check_whole"]

_MOST_JOBS = 1024


def check_whole(name: str, value: object, least: int, most: int, owner: str = "the executor") -> None:
    """Check an argument of an executor.

    Raises:
        ConfigError: It is not a whole number from `least` to `most`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigError(f"{name}={value} of {owner} is not a whole number from {least} to {most:,}")


Emit = Callable[[Any], None]
Perform = Callable[[Any, Emit], None]
Handle = Callable[[int, Any], None]


@dataclass(frozen=True)
class Crash:
    """The unexpected end of a job's process.

    Attributes:
        reason: What is known about it.
    """

    reason: str


class Executor(Protocol):
    """Interface of executors."""

    def run(self, jobs: Sequence[Any], perform: Perform, handle: Handle) -> None:
        """Run every job, and call `handle(index of the job, emitted object)` in this process, one at a time.

        An exception in `handle` ends the run. `perform` must not raise; if it does or its process dies, `handle`
        receives a `Crash`.
        """


class InProcess:
    """Run jobs one after the other in this process."""

    def run(self, jobs: Sequence[Any], perform: Perform, handle: Handle) -> None:
        """Run every job in order."""
        for index, job in enumerate(jobs):
            perform(job, lambda event, index=index: handle(index, event))  # type: ignore[misc]


class Workers:
    """Run jobs in worker processes, which end with this process, however it ends.

    Args:
        count: The number of processes.
        devices: The process in slot n runs its jobs on device n, counted cyclically; if empty, jobs keep their own. A
            process that takes the place of one that died uses the same device.
    """

    def __init__(self, count: int, devices: Sequence[str] = ()) -> None:
        self.count = count
        self.devices = tuple(devices)

    def run(self, jobs: Sequence[Any], perform: Perform, handle: Handle) -> None:
        """Run every job, in the given order."""
        # Forking a process with threads, which torch starts, may hang; spawning does not.
        context = multiprocessing.get_context("spawn")
        waiting = deque(enumerate(jobs))
        busy: dict[Any, tuple[BaseProcess, int, int]] = {}

        def give(connection: Connection[Any, Any], process: BaseProcess, slot: int) -> None:
            index, job = waiting.popleft()
            if self.devices:
                job = replace(job, device=self.devices[slot % len(self.devices)])
            busy[connection] = (process, index, slot)
            with contextlib.suppress(BrokenPipeError):  # it died: the next recv() raises
                connection.send(job)

        def start(slot: int) -> None:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, perform, os.getpid()), daemon=True)
            process.start()
            theirs.close()
            give(ours, process, slot)

        try:
            for slot in range(min(self.count, len(waiting))):
                start(slot)
            while busy:
                for ready in cast("list[Connection[Any, Any]]", wait(list(busy))):
                    process, index, slot = busy[ready]
                    try:
                        kind, event = ready.recv()
                    except (EOFError, OSError):
                        del busy[ready]
                        process.join()
                        handle(index, Crash(_ending(process.exitcode)))
                        if waiting:  # only its own job is lost, not the waiting ones
                            start(slot)
                        continue
                    if kind == "event":
                        handle(index, event)
                    elif waiting:
                        give(ready, process, slot)
                    else:
                        del busy[ready]
                        ready.close()
                        process.join()
        finally:
            for connection, (process, _, _) in busy.items():
                process.kill()
                process.join()
                connection.close()


class Local:
    """Run jobs on this machine: one at a time in this process, or several in worker processes.

    Args:
        folder: Not used; results are handed over in memory.
        jobs: Jobs at a time.
        device: The devices that they share: `cpu`, `cuda`, `cuda:N`, or several GPUs as in `cuda:0-3`.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, folder: Path, *, jobs: int = 1, device: str = "cpu") -> None:
        check_whole("jobs", jobs, 1, _MOST_JOBS, "executor 'local'")
        self.jobs = jobs
        self.devices = read_devices(device)

    def run(self, jobs: Sequence[Any], perform: Perform, handle: Handle) -> None:
        """Run every job, in the given order."""
        if self.jobs == 1:
            InProcess().run([replace(job, device=self.devices[0]) for job in jobs], perform, handle)
        else:
            Workers(self.jobs, self.devices).run(jobs, perform, handle)


def _work(connection: Connection[Any, Any], perform: Perform, parent: int) -> None:
    """Run the jobs received through a connection until it is closed."""
    _end_with(parent)
    keep_freed_memory()
    defer_torchvision()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        perform(job, lambda event: connection.send(("event", event)))
        connection.send(("done", None))


def _end_with(parent: int) -> None:
    """Kill this process when its parent ends, however it ends, since its results would be lost."""
    if platform.system() == "Linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # the parent ended before the line above
            os._exit(1)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else str(-code)
        hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with status {code} and no message"
