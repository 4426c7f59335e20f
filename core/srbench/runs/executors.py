"""Executors: who does a run's jobs. In this process, or in several on this machine.

A job is done by `perform(job, emit)`; whatever it emits reaches `handle` in the process that called `run`, which is the
only one that writes cells. So an executor cannot corrupt the store, and one that hands jobs to other machines has this
same shape.
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
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, cast

from srbench.machine import keep_freed_memory

__all__ = ["Crash", "Executor", "InProcess", "Workers"]

Emit = Callable[[Any], None]
Perform = Callable[[Any, Emit], None]
Handle = Callable[[int, Any], None]


@dataclass(frozen=True)
class Crash:
    """Tell that a job ended without having said so: its process died.

    Attributes:
        reason: What is known of it.
    """

    reason: str


class Executor(Protocol):
    """Do jobs."""

    def run(self, jobs: Sequence[Any], perform: Perform, handle: Handle) -> None:
        """Do every job; call `handle(index of the job, what it emitted)` in this process, one at a time.

        What `handle` raises ends the run. `perform` must not raise; where it does, or dies, `handle` gets a `Crash`.
        """


class InProcess:
    """Do jobs one after the other, here."""

    def run(self, jobs: Sequence[Any], perform: Perform, handle: Handle) -> None:
        """Do every job in order."""
        for index, job in enumerate(jobs):
            perform(job, lambda event, index=index: handle(index, event))  # type: ignore[misc]


class Workers:
    """Do jobs in processes of their own, which end when this process does, however it ends."""

    def __init__(self, count: int) -> None:
        """Say how many jobs are done at a time."""
        self.count = count

    def run(self, jobs: Sequence[Any], perform: Perform, handle: Handle) -> None:
        """Do every job, the first ones first."""
        # A forked copy of a process that has started threads (torch does) may hang; a spawned one starts afresh.
        context = multiprocessing.get_context("spawn")
        waiting = deque(enumerate(jobs))
        busy: dict[Any, tuple[BaseProcess, int]] = {}

        def give(connection: Connection[Any, Any], process: BaseProcess) -> None:
            index, job = waiting.popleft()
            busy[connection] = (process, index)
            with contextlib.suppress(BrokenPipeError):  # it died: the next recv() says so
                connection.send(job)

        def start() -> None:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, perform, os.getpid()), daemon=True)
            process.start()
            theirs.close()
            give(ours, process)

        try:
            for _ in range(min(self.count, len(waiting))):
                start()
            while busy:
                for ready in cast("list[Connection[Any, Any]]", wait(list(busy))):
                    process, index = busy[ready]
                    try:
                        kind, event = ready.recv()
                    except (EOFError, OSError):
                        del busy[ready]
                        process.join()
                        handle(index, Crash(_ending(process.exitcode)))
                        if waiting:  # it took one job with it, not those that wait
                            start()
                        continue
                    if kind == "event":
                        handle(index, event)
                    elif waiting:
                        give(ready, process)
                    else:
                        del busy[ready]
                        ready.close()
                        process.join()
        finally:
            for connection, (process, _) in busy.items():
                process.kill()
                process.join()
                connection.close()


def _work(connection: Connection[Any, Any], perform: Perform, parent: int) -> None:
    """Do the jobs that come through a connection until it is closed."""
    _end_with(parent)
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        perform(job, lambda event: connection.send(("event", event)))
        connection.send(("done", None))


def _end_with(parent: int) -> None:
    """Have this process killed when its parent ends, however it ends: nobody would take its results."""
    if platform.system() == "Linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it ended before the line above
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
