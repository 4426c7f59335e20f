"""Reserve standard output for the result of `--json -`, and send everything else to standard error."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from srbench.registry.import_guard import point_stdout_at_stderr

__all__ = ["asks_for_json", "only_results_on_stdout", "result_stream"]

_stream: TextIO | None = None


def result_stream() -> TextIO | None:
    """Return the stream for a JSON result; None for `sys.stdout`."""
    return _stream


def asks_for_json(words: Sequence[str]) -> bool:
    """Return whether a command line has `--json -` and does not ask for help."""
    return "--help" not in words and (
        "--json=-" in words or any(pair == ("--json", "-") for pair in itertools.pairwise(words))
    )


@contextlib.contextmanager
def only_results_on_stdout() -> Iterator[None]:
    """Send the block's output to standard error, and only that of `result_stream` to standard output.

    A plugin's network may import, print or start something at any time, not only when its entry point is loaded.
    """
    global _stream  # noqa: PLW0603 - standard output is the process's
    stdout = sys.__stdout__
    if stdout is None or sys.stdout is not stdout or _stream is not None:
        yield  # a caller that captures the output handles it itself
        return
    try:
        saved = os.dup(1)
    except OSError:
        yield  # standard output is closed
        return
    stdout.flush()
    with open(saved, "w", encoding=stdout.encoding, errors=stdout.errors) as _stream:
        point_stdout_at_stderr()
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
            _stream.flush()
        finally:
            os.dup2(saved, 1)
            _stream = None
