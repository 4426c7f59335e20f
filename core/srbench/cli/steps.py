"""How far a command is: a bar on a terminal, a line now and then where its output goes to a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["LEAST_SECONDS", "LineRate", "steps"]

LEAST_SECONDS = 10.0  # between two lines


class LineRate:
    """Let a line through at most every few seconds.

    Args:
        seconds: The time between two lines.
    """

    def __init__(self, seconds: float = LEAST_SECONDS) -> None:
        self.seconds = seconds
        self._last = time.monotonic()  # short work needs no lines

    def due(self) -> bool:
        """Say whether a line may be printed now, and count it as printed if so."""
        now = time.monotonic()
        if now - self._last < self.seconds:
            return False
        self._last = now
        return True


@contextmanager
def steps(what: str, total: float) -> Iterator[Callable[[float, str], None]]:
    """Show on standard error how much of some work is done.

    Elsewhere than on a terminal, that is a line every 10 seconds, and one for the last step of what took longer.

    Args:
        what: The work, in words.
        total: How much there is: images, or 1.0 for a share.

    Yields:
        A function that takes how much is done and a word about it.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from srbench.untrusted import escaped

    if not sys.stderr.isatty():
        rate, began = LineRate(), time.monotonic()

        def line(done: float, detail: str) -> None:
            if rate.due() or (done >= total and time.monotonic() - began >= LEAST_SECONDS):
                share = f"{done / total:.0%}" if total <= 1 else f"{done:g}/{total:g}"
                print(escaped(f"{what}: {share} {detail}".rstrip()), file=sys.stderr, flush=True)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[at]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, at="")
        yield lambda done, detail: bar.update(task, completed=done, at=detail)
