"""Isolate commands from side effects of plugin imports."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

__all__ = ["Terminated", "point_stdout_at_stderr", "stdout_to_stderr"]

_LOCK = threading.RLock()  # the file descriptor belongs to the process, so concurrent imports take turns


class Terminated(SystemExit):
    """Termination by SIGTERM, which must pass through an import and is not attributed to the plugin."""


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Redirect standard output to standard error in the block, so that `--json -` prints only JSON.

    Replacing `sys.stdout` is not enough, because extension modules and child processes write to the file descriptor.
    """
    with _LOCK:
        _flush()
        saved = _duplicated(1)
        try:
            if saved is not None:
                point_stdout_at_stderr()
            with contextlib.redirect_stdout(sys.stderr):
                yield
        finally:
            _flush()  # flush what is still in the stream's buffer
            if saved is not None:
                os.dup2(saved, 1)
                os.close(saved)


def _flush() -> None:
    for stream in {id(s): s for s in (sys.stdout, sys.__stdout__) if s is not None}.values():
        # A closed stream or pipe: the command itself will notice.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _duplicated(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:
        return None  # closed: there is nothing to keep clean


def point_stdout_at_stderr() -> None:
    """Make standard error the process's standard output, or nothing if it is closed."""
    try:
        os.dup2(2, 1)
    except OSError:  # standard error is closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
