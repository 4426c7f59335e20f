"""Handover of a job's results through a folder, from a process on any node to the one that writes the run.

    FOLDER/cells/    finished cells, as a run directory keeps them
    FOLDER/status.json  where the task is now: step, done, total, detail
    FOLDER/ENDED     the task did all that it was asked to; it holds the disk's message if that was full

Nothing is pickled here: a run directory may come from a stranger. Cells stay until the run has stored them, so a run
that is killed meanwhile loses none.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from srbench.errors import StoreError
from srbench.results.cells import Cell, examine
from srbench.results.store import RunStore
from srbench.runs.executors import Perform
from srbench.runs.job import DiskFull, Finished, Job, Progress
from srbench.storage import canonical_json, disk_errors, sha256_bytes, write_atomic
from srbench.untrusted import parse_json, read_text

__all__ = ["Handover", "Task", "handover_name", "without"]

_ENDED = "ENDED"
_SECONDS_BETWEEN_REPORTS = 1.0


def handover_name(job: Job) -> str:
    """Return the folder name of a job: the same for the same network, whichever of its cells are left."""
    model = job.model
    seed = None if model.training is None else model.training.seed
    facts = [str(model.name), list(model.scales), list(model.measured), seed, model.weights_sha256]
    return sha256_bytes(canonical_json(facts).encode())[:16]


def without(job: Job, directories: set[str]) -> Job | None:
    """Return a job without some cells, given by the names of their directories; None if none is left."""
    cells = tuple(cell for cell in job.model.cells if cell.directory not in directories)
    return replace(job, model=replace(job.model, cells=cells)) if cells else None


class Handover:
    """Read a task's folder from the run's side.

    Args:
        folder: The task's folder, on a file system that all nodes share.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._given: set[str] = set()
        self._status: str | None = None

    def prepare(self) -> None:
        """Make the folder, and forget an earlier task's end.

        Raises:
            StoreError: It cannot be written.
        """
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _ENDED).unlink(missing_ok=True)

    @property
    def ended(self) -> bool:
        """Return whether the task did all that it was asked to."""
        return (self.folder / _ENDED).exists()

    def events(self) -> Iterator[Progress | Finished | DiskFull]:
        """Yield what is new: finished cells first, then where the task is, then a full disk."""
        for directory in sorted(_children(self.folder / "cells")):
            if directory.name in self._given or directory.name.startswith("."):
                continue
            if (cell := self._cell(directory)) is not None:
                self._given.add(directory.name)
                yield _finished(cell)
        if (progress := self._progress()) is not None:
            yield progress
        if (message := self._message()) is not None:
            yield DiskFull(message)

    def remove(self) -> None:
        """Remove the folder; its cells are stored elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _cell(self, directory: Path) -> Cell | None:
        try:
            record = examine(directory)
        except StoreError:
            return None
        return None if isinstance(record, str) else Cell(record, directory)

    def _progress(self) -> Progress | None:
        try:
            text = read_text(self.folder / "status.json", error=StoreError)
            if text == self._status:
                return None
            self._status = text
            found = parse_json(text)
            return Progress(str(found["step"]), int(found["done"]), int(found["total"]), str(found["detail"]))
        except (StoreError, ValueError, KeyError, TypeError):
            return None

    def _message(self) -> str | None:
        try:
            return read_text(self.folder / _ENDED, error=StoreError).strip() or None
        except StoreError:
            return None


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _finished(cell: Cell) -> Finished:
    from srbench.images.files import decode_rgb

    images = {name.removeprefix("images/"): decode_rgb(cell.read(name), name) for name in cell.record.crops}
    return Finished(cell.record, cell.per_image if cell.record.status == "ok" else None, images, cell.speed)


class Task:
    """Do a job on some node; can be pickled, and called again after it was interrupted: trainings resume.

    Args:
        job: What to do.
        perform: What does it.
        folder: Where the results go.
        directory: The working directory, for relative paths of data and weights.
    """

    def __init__(self, job: Job, perform: Perform, folder: Path, directory: Path) -> None:
        self.job = job
        self.perform = perform
        self.folder = folder
        self.directory = directory

    def __call__(self) -> None:
        """Do what is left of the job.

        Raises:
            StoreError: The folder cannot be written.
        """
        from srbench.compat.deferred_torchvision import defer_torchvision
        from srbench.machine import keep_freed_memory

        os.chdir(self.directory)
        keep_freed_memory()
        defer_torchvision()
        store = RunStore(self.folder)
        store.cells_path.mkdir(parents=True, exist_ok=True)
        store.sweep()  # of a task that was killed
        left = without(self.job, {cell.record.directory_name for cell in store.all_cells()[0]})
        emit = _Emit(store, self.folder)
        if left is not None:
            self.perform(left, emit)
        write_atomic(self.folder / _ENDED, emit.message.encode())

    def checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Return the submission that goes on after SLURM has interrupted this one (called by submitit)."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class _Emit:
    """Write a job's events into the folder."""

    def __init__(self, store: RunStore, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.message = ""
        self._reported = 0.0

    def __call__(self, event: Progress | Finished | DiskFull) -> None:
        if isinstance(event, Finished):
            self.store.write(event.record, event.per_image, event.images, speed=event.speed)
        elif isinstance(event, DiskFull):
            self.message = event.message
        elif time.monotonic() - self._reported >= _SECONDS_BETWEEN_REPORTS:
            self._reported = time.monotonic()
            write_atomic(self.folder / "status.json", json.dumps(asdict(event)).encode())
