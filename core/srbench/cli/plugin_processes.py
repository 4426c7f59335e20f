"""Processes in which distributions are looked at, one for each, that may end in any way.

On Linux, several are forked from one process that has imported torch: importing it takes seconds, and every method and
network needs it. The distributions of sr-bench itself are forked last, from the same process after it has imported the
core's own objects, and with them basicsr. Elsewhere, and for one distribution, each process begins from nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from srbench.registry import entry_points as plugins
from srbench.registry.extras import EXTRAS

__all__ = ["Ended", "Request", "fork_each", "run_each"]

_NEED_TORCH = frozenset({"methods", "backbones", "baselines"})
_START = 600.0  # seconds that the common process may take besides: torch, cold, on a busy machine

# Standard input says where to look: a path given to this process by other means than the environment counts too.
_ONE = """
import json, sys
sys.path[:] = json.loads(sys.stdin.readline())
from srbench.cli.plugin_objects import examine
examine(json.loads(sys.stdin.readline()))
"""
_SEVERAL = """
import json, sys
sys.path[:] = json.loads(sys.stdin.readline())
from srbench.cli.plugin_objects import examine
from srbench.cli.plugin_processes import fork_each
request = fork_each(**json.loads(sys.stdin.readline()))
if request is not None:
    examine(request)
"""


@dataclass(frozen=True)
class Request:
    """A distribution to look at, and the files that are written meanwhile.

    Attributes:
        distribution: Its normalized name.
        result: File of what is found.
        printed: File of what is written to standard output.
        errors: File of what is written to standard error.
    """

    distribution: str
    result: str
    printed: str
    errors: str

    @classmethod
    def within(cls, folder: Path, distribution: str) -> Request:
        """Return a request with its files, empty, in a new folder."""
        folder.mkdir()
        files = [folder / name for name in ("result", "printed", "errors")]
        for file in files:
            file.write_bytes(b"")
        return cls(distribution, *map(str, files))

    @property
    def ours(self) -> bool:
        """Whether it is sr-bench or one of its extras, which load basicsr in the one way that works."""
        extra = self.distribution.removeprefix(f"{plugins.CORE}-")
        return self.distribution == plugins.CORE or (extra != self.distribution and extra in EXTRAS)


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        timed_out: Whether it was ended because it took too long.
        status: Its exit status; negative for a signal.
    """

    timed_out: bool
    status: int


def run_each(requests: Sequence[Request], time_limit: float) -> dict[str, Ended]:
    """Look at each distribution in a process of its own; return how each process ended.

    Args:
        requests: The distributions.
        time_limit: Seconds that each may take.
    """
    workers = max(1, min(4, os.cpu_count() or 1))
    ended: dict[str, Ended] = {}
    if sys.platform == "linux" and len(requests) > 1:
        ended = _run_forked(requests, time_limit, workers)
    # All of them, or those that the common process did not come to because it was lost.
    left = [request for request in requests if request.distribution not in ended]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        found = pool.map(lambda request: _run_one(request, time_limit), left)
        return ended | {request.distribution: end for request, end in zip(left, found, strict=True)}


def _run_one(request: Request, time_limit: float) -> Ended:
    Path(request.result).write_bytes(b"")
    with Path(request.printed).open("wb") as stdout, Path(request.errors).open("wb") as stderr:
        process = _begin(_ONE, stdout=stdout, stderr=stderr)
        timed_out = False
        try:
            process.communicate(_lines(asdict(request)), timeout=time_limit)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            _kill(process.pid)
            process.wait()
    return Ended(timed_out, process.returncode)


def _run_forked(requests: Sequence[Request], time_limit: float, workers: int) -> dict[str, Ended]:
    """Have one process fork the others; return how those that it tells of ended."""
    needing = sum(bool(_NEED_TORCH & _kinds(request.distribution)) for request in requests)
    order = {
        "requests": [asdict(request) for request in requests],
        "time_limit": time_limit,
        "workers": workers,
        "torch": needing > 1,
    }
    process = _begin(_SEVERAL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    told = ""
    try:
        told, _ = process.communicate(_lines(order), timeout=_START + time_limit * len(requests))
    except subprocess.TimeoutExpired as error:
        told = error.stdout.decode() if isinstance(error.stdout, bytes) else ""
    finally:
        process.terminate()  # it ends those that it has forked
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        _kill(process.pid)
        process.wait()
    ended = {}
    for line in told.splitlines():
        with contextlib.suppress(ValueError):  # cut off where the process was ended
            distribution, timed_out, status = json.loads(line)
            ended[distribution] = Ended(timed_out, status)
    return ended


def _begin(program: str, *, stdout: Any, stderr: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )


def _lines(order: object) -> str:
    return f"{json.dumps(sys.path)}\n{json.dumps(order)}\n"


def _kinds(distribution: str) -> set[str]:
    return {
        kind
        for kind, names in plugins.contributions().items()
        if any(item.owner == distribution for items in names.values() for item in items)
    }


def _kill(pid: int) -> None:
    """End whatever a process started, and the process itself where it has not ended yet."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)


def fork_each(
    requests: Sequence[dict[str, str]], time_limit: float, workers: int, torch: bool
) -> dict[str, str] | None:
    """Fork a process for each request; return its request in each of them, and None in this one when all have ended.

    How each ended is written to standard output, a line of JSON for each.

    Args:
        requests: The fields of each `Request`.
        time_limit: Seconds that each may take.
        workers: How many run at a time.
        torch: Whether to import torch first.
    """
    told = os.dup(1)
    os.dup2(2, 1)  # what is imported may print
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if torch:
        with contextlib.suppress(Exception):  # found again, and told, in each process
            importlib.import_module("torch")
    for ours in (False, True):
        waiting = [one for one in (Request(**fields) for fields in requests) if one.ours == ours]
        if ours and len(waiting) > 1:
            _import_the_cores()
        for request in _forked(waiting, time_limit, workers, told):
            if request is not None:
                os.close(told)
                return asdict(request)
    return None


def _import_the_cores() -> None:
    """Import what sr-bench itself contributes; what is wrong with it is found again in a process of its own."""
    for names in plugins.contributions().values():
        for item in (item for items in names.values() for item in items if item.owner == plugins.CORE):
            plugins.attempt(item, guarded=False)


def _forked(waiting: list[Request], time_limit: float, workers: int, told: int) -> Iterator[Request | None]:
    """Fork and watch processes: yield the request in each of them, and nothing in this one."""
    running: dict[int, tuple[Request, float]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                request = waiting.pop(0)
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()  # what is left in a buffer would be printed by the new process
                pid = os.fork()
                if pid == 0:
                    running.clear()
                    _become(request)
                    yield request
                    return
                running[pid] = request, time.monotonic() + time_limit
            first = min(deadline for _, deadline in running.values())
            signal.sigtimedwait({signal.SIGCHLD}, max(0.0, first - time.monotonic()))
            for pid, (request, deadline) in list(running.items()):
                done, status = os.waitpid(pid, os.WNOHANG)
                timed_out = not done and time.monotonic() >= deadline
                if not done and not timed_out:
                    continue
                _kill(pid)
                if timed_out:
                    os.kill(pid, signal.SIGKILL)  # one that has no session yet
                    _, status = os.waitpid(pid, 0)
                del running[pid]
                end = [request.distribution, timed_out, os.waitstatus_to_exitcode(status)]
                os.write(told, json.dumps(end).encode() + b"\n")
    finally:
        for pid in running:
            _kill(pid)
            os.kill(pid, signal.SIGKILL)


def _become(request: Request) -> None:
    """Make a forked process what a new one would be: a session, signals and standard streams of its own."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for descriptor, file, how in (
        (0, os.devnull, os.O_RDONLY),
        (1, request.printed, os.O_WRONLY | os.O_APPEND),
        (2, request.errors, os.O_WRONLY | os.O_APPEND),
    ):
        opened = os.open(file, how)
        os.dup2(opened, descriptor)
        os.close(opened)
