"""Progress of a command: a bar on a terminal, otherwise an occasional line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["LEAST_SECONDS", "LineRate", "steps"]

LEAST_SECONDS = 10.0  # seconds between two lines


class LineRate:
    """Rate limit for lines.

    Args:
        seconds: Minimum time between two lines.
    """

    def __init__(self, seconds: float = LEAST_SECONDS) -> None:
        self.seconds = seconds
        self._last = time.monotonic()  # no line for short work

    def due(self) -> bool:
        """Return whether a line may be printed now, and if so, restart the interval."""
        now = time.monotonic()
        if now - self._last < self.seconds:
            return False
        self._last = now
        return True


@contextmanager
def steps(what: str, total: float) -> Iterator[Callable[[float, str], None]]:
    """Show the progress of some work on standard error.

    Without a terminal, this prints a line every 10 seconds, and one for the last step if the work took longer.

    Args:
        what: Description of the work.
        total: Amount of work: number of images, or 1.0 for a fraction.

    Yields:
        A function that takes the finished amount and a detail to show.
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
    # Names of files and data sets may hold brackets, which are not markup, and control characters.
    texts = [TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[at]")]
    with Progress(
        texts[0], BarColumn(), TimeRemainingColumn(), texts[1], console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(escaped(what), total=total, at="")
        yield lambda done, detail: bar.update(task, completed=done, at=escaped(detail))
