"""Keep what a plugin does when it is imported away from the command that imports it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

__all__ = ["Terminated", "point_stdout_at_stderr", "stdout_to_stderr"]

_LOCK = threading.RLock()  # the file descriptor is the process's; two imports at once take turns


class Terminated(SystemExit):
    """The end that SIGTERM asks for, which is no plugin's doing and passes through an import."""


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send to standard error what the block writes to standard output, so that `--json -` prints JSON and no more.

    `sys.stdout` alone would not do: an extension module or a child process writes to the file descriptor.
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
            _flush()  # what was written to the stream itself and is still in its buffer
            if saved is not None:
                os.dup2(saved, 1)
                os.close(saved)


def _flush() -> None:
    for stream in {id(s): s for s in (sys.stdout, sys.__stdout__) if s is not None}.values():
        # A closed stream, or a reader that went away: the command itself will notice.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _duplicated(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:
        return None  # closed: there is nothing to keep clean


def point_stdout_at_stderr() -> None:
    """Make the process's standard output its standard error; where that is closed, nothing."""
    try:
        os.dup2(2, 1)
    except OSError:  # standard error is closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
