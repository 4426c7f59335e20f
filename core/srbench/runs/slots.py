"""How many jobs a run processes at a time on this machine, and on which devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from srbench.machine import available_memory

__all__ = ["MEMORY_OF_A_JOB", "MOST_ON_A_GPU", "Slots", "choose_slots"]

# With trainings of edsr_baseline side by side, an H100 does 1.7 times the iterations of one with four, and 1.9 times
# with twelve (docs/adr/0039-trainings-at-a-time.md).
MOST_ON_A_GPU = 4
MEMORY_OF_A_JOB = 8 << 30  # bytes of free GPU memory, with those of evaluations on large images


@dataclass(frozen=True)
class Slots:
    """Places for jobs: the job in slot n uses device n, counted cyclically.

    Attributes:
        jobs: Number of slots.
        devices: The devices.
        why: Why there are so many, for the user; empty if the user chose.
        scheduler: Name of the cluster executor that gets all jobs and decides when each runs; empty on this machine.
    """

    jobs: int
    devices: tuple[str, ...]
    why: str = ""
    scheduler: str = ""


def choose_slots(
    devices: Sequence[str],
    *,
    jobs: int | None,
    models: int,
    trainings: int,
    cores: int,
    threads: int,
    memory: Callable[[str], int | None] = available_memory,
) -> Slots:
    """Choose the number of jobs at a time.

    Args:
        devices: The devices.
        jobs: What the user chose; None for the default.
        models: Models of the run that are unfinished.
        trainings: How many of them need training.
        cores: CPU cores.
        threads: CPU threads of a training.
        memory: Returns the free memory of a device in bytes, None if unknown.
    """
    places = tuple(devices)
    if jobs is not None:
        return Slots(max(1, min(jobs, models)), places)
    by_cores = max(1, cores // threads)
    if places[0] == "cpu":
        return Slots(max(1, min(trainings, by_cores, models)), places, "one per core")
    each = min(max(1, min(MOST_ON_A_GPU, (memory(place) or 0) // MEMORY_OF_A_JOB)) for place in places)
    wanted = max(min(trainings, by_cores, each * len(places)), len(places))  # every GPU has at least one
    chosen = max(1, min(wanted, models))
    why = (
        f"at most {MOST_ON_A_GPU} trainings per GPU, {MEMORY_OF_A_JOB >> 30} GiB of its free memory and a core for each"
    )
    return Slots(chosen, places, why)
