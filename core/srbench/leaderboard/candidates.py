"""The cells of a run that may be submitted to a board."""

from __future__ import annotations

import fnmatch
import math
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from srbench.errors import StoreError
from srbench.leaderboard.boards import summary
from srbench.results.cell_files import fill
from srbench.results.cells import Cell
from srbench.results.records import Record, RunInfo
from srbench.results.store import RunStore
from srbench.untrusted import escaped

__all__ = ["Candidates", "copy_cell", "label", "listed", "read_candidates"]

_NAMED = 3  # most cells listed in a refusal


@dataclass(frozen=True)
class Candidates:
    """The cells of a run to be submitted, all complete, measured and up to date with the code."""

    info: RunInfo
    cells: list[Cell]


def read_candidates(
    run_dir: Path, models: str | None = None, *, other_code: Collection[str] = frozenset()
) -> Candidates:
    """Read the cells of a run to be submitted.

    Args:
        run_dir: A directory that `srbench run` wrote.
        models: Only models that match this glob.
        other_code: Keys of cells whose code has changed since they were measured.

    Raises:
        StoreError: There is no run, or a cell of it is damaged, failed, outdated, or not what it claims to be.
    """
    store = RunStore(run_dir)
    found, damaged = store.read()
    if damaged:
        named = listed(f"'{name}' ({reason})" for name, reason in damaged.items())
        raise StoreError(f"'{run_dir}' has damaged cells: {named}; run the suite again to measure them")
    cells = [cell for cell in found if _matches(cell.record, models)]
    info = store.info()
    if info is None:
        raise StoreError(f"'{run_dir}' has no run.json, the description of the run; give a folder of `srbench run`")
    if not cells:
        what = "no finished cells" if models is None else f"no cells of a model that matches '{models}'"
        raise StoreError(f"'{run_dir}' holds {what}; nothing was written")
    if failed := [cell.record for cell in cells if cell.record.status == "failed"]:
        named = listed(f"{label(record)} ({summary(record.error)})" for record in failed)
        raise StoreError(f"'{run_dir}' has failed cells: {named}; run the suite again, or leave them out with --models")
    if old := [cell.record for cell in cells if cell.record.key in other_code]:
        raise StoreError(
            f"the code has changed since these were measured: {listed(map(label, old))}; `srbench run --suite NAME "
            f"--adopt --out {run_dir}` measures them again and keeps those that agree"
        )
    for cell in cells:
        if problem := _not_measured(cell):
            raise StoreError(f"{label(cell.record)} is not a measurement: {problem}; run the suite again")
    for name, count in Counter(cell.record.directory_name for cell in cells).items():
        if count > 1:
            raise StoreError(f"'{run_dir}' has {count} cells that would be stored as '{name}'; submit them one by one")
    return Candidates(info, cells)


def label(record: Record) -> str:
    """Return the name of a cell in messages."""
    seed = record.identity[2]
    trained = "" if seed is None else f", seed {seed}"
    return f"{record.model} x{record.scale} on {record.dataset} ({record.protocol}{trained})"


def listed(names: Iterable[str]) -> str:
    """Join names, abbreviating a long list."""
    every = list(names)
    more = len(every) - _NAMED
    return "; ".join(every[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def copy_cell(cell: Cell, target: Path) -> list[str]:
    """Write a cell's files and its marker to a new folder, and return the names of the files left out.

    Only the record, its table of values, its timing, and crops of redistributable images are copied.

    Raises:
        StoreError: A file of the cell cannot be read.
        OSError: The folder cannot be written to.
    """
    contents, left_out = {}, []
    for name in sorted(cell.files):
        if name not in ("record.json", "per_image.parquet") and not _is_crop(name, cell.record):
            left_out.append(name)
            continue
        contents[name] = cell.read(name)
    crops = [name for name in cell.record.crops if name in contents]
    if crops != cell.record.crops:
        contents["record.json"] = cell.record.model_copy(update={"crops": crops}).to_json().encode()
    fill(target, contents, cell.speed)
    return left_out


def _is_crop(name: str, record: Record) -> bool:
    parts = Path(name).parts
    return record.redistributable and len(parts) == 2 and parts[0] == "images" and name.endswith(".png")


def _matches(record: Record, models: str | None) -> bool:
    return models is None or fnmatch.fnmatchcase(record.model, models)


def _not_measured(cell: Cell) -> str:
    """Return why a cell's figures cannot come from a measurement here; empty if they can."""
    record = cell.record
    if record.tier == "reported":
        return "its tier is 'reported', but papers' figures belong under the suite's key `reported`"
    if not record.metrics:
        return "it has no figures"
    if record.params_unique != 0:
        if record.tier == "trained" and record.training is None:
            return "its tier is 'trained', but it does not describe a training"
        if record.tier == "reproduced" and not record.weights_sha256:
            return "its tier is 'reproduced', but it names no weights"
    table = cell.per_image
    if not len(table) or len(table) != record.images:
        return f"it states {record.images} images, but has values for {len(table)}"
    for metric, mean in record.metrics.items():
        if metric not in table:
            return f"it has no values of {escaped(metric)} for each image"
        try:
            computed = float(np.mean(table[metric].to_numpy(np.float64)))
        except (TypeError, ValueError):
            return f"its values of {escaped(metric)} are not numbers"
        if not (math.isclose(computed, mean, rel_tol=1e-9, abs_tol=1e-9) or (computed != computed and mean != mean)):
            return f"its {escaped(metric)} is {mean:.6g}, and the mean over its images is {computed:.6g}"
    return ""
