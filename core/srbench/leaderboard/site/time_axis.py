"""Times of forward passes, as axes of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from srbench.errors import StoreError
from srbench.leaderboard.chart import Axis
from srbench.leaderboard.entries import Board, Entry
from srbench.results.latency_records import LatencyRun
from srbench.untrusted import parse_json, read_text

__all__ = ["latency_axes"]


def latency_axes(board: Board) -> list[Axis]:
    """Return an axis for each machine that the models were timed on; without any, the time of the measurement."""
    axes = [
        _timed_axis(index, run)
        for index, run in enumerate(board.latency)
        if sum(index in entry.timings for group in board.groups for entry in group.entries) > 1
    ]
    measured = None if axes else _measured_axis(board)
    return axes if measured is None else [measured]


def _timed_axis(index: int, run: LatencyRun) -> Axis:
    width, height = run.output
    return Axis(
        "latency" if index == 0 else f"latency on {run.where}",
        "Time against quality",
        f"ms for a {width}x{height} image on {run.where} (logarithmic)",
        f"so little time on {run.where}; times of another machine differ",
        lambda entry: entry.timings[index].milliseconds if index in entry.timings else None,
        lambda value: f"{value:,.3g} ms" if value < 1000 else f"{value:,.0f} ms",
    )


def _measured_axis(board: Board) -> Axis | None:
    """Return an axis of seconds per image of the last data set; None if times are missing or of several machines.

    The last data set usually has the most images.
    """
    label = board.datasets[-1].label if board.datasets else ""
    seconds: dict[int, float] = {}
    machines: set[tuple[tuple[str, str], ...]] = set()
    for group in board.groups:
        for entry in group.entries:
            timed = _timed(entry, label)
            if timed is not None:
                seconds[id(entry)], machine = timed
                machines.add(machine)
    if len(seconds) < 2 or len(machines) != 1:
        return None
    about = dict(next(iter(machines)))
    where = about.get("device", "one machine")
    threads = about.get("threads")
    return Axis(
        "latency",
        "Time against quality",
        f"seconds for an image of {label} (logarithmic)",
        f"at most that much time, measured on {where}"
        + (f" with {threads} thread{'' if threads == '1' else 's'}" if threads else "")
        + "; times on another machine differ",
        lambda entry: seconds.get(id(entry)),
        lambda value: f"{value:.3g} s",
    )


def _timed(entry: Entry, label: str) -> tuple[float, tuple[tuple[str, str], ...]] | None:
    directory = entry.directories.get(label)
    if directory is None or len(entry.seeds) > 1:
        return None
    try:
        speed = parse_json(read_text(directory / "speed.json", error=StoreError))
    except (StoreError, ValueError):
        return None
    if not isinstance(speed, Mapping):
        return None
    times, hardware = speed.get("forward_seconds"), speed.get("hardware")
    if not isinstance(times, Mapping) or not isinstance(hardware, Mapping):
        return None
    known = [value for value in times.values() if isinstance(value, int | float) and 0 < value < 1e6]
    if not known or len(known) != len(times):
        return None
    return fmean(known), tuple(sorted((str(name), str(value)) for name, value in hardware.items()))
