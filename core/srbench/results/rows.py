"""Find rows of a run from user input: a folder, and parts of a row's name."""

from __future__ import annotations

from pathlib import Path

from srbench.errors import StoreError, UnknownNameError, suggest
from srbench.results.store import Cell, RunStore

__all__ = ["find_rows", "of_board", "results_folder"]

_SUBFOLDER = "results"  # of a committed board's folder


def results_folder(path: Path) -> tuple[Path, str | None]:
    """Return the run directory that a path belongs to, and the beginning of the cell's key if it is a cell's folder.

    Args:
        path: A run directory, a folder that contains one as `results`, or a cell's folder.

    Raises:
        StoreError: There are no results at the path.
    """
    if path.parent.name == "cells" and (path / "record.json").is_file():
        return path.parent.parent, path.name.rpartition("-")[2]
    if (folder := _run_in(path)) is not None:
        return folder, None
    raise StoreError(
        f"there are no results in '{path}'; give a directory that `srbench run` wrote, or a board's folder"
    )


def of_board(path: str | Path) -> Path:
    """Return the run directory inside the folder of a committed board, and any other path unchanged."""
    return _run_in(Path(path)) or Path(path)


def _run_in(path: Path) -> Path | None:
    folders = (path, path / _SUBFOLDER)
    return next((folder for folder in folders if (folder / "run.json").is_file() or (folder / "cells").is_dir()), None)


def find_rows(
    store: RunStore,
    *,
    model: str | None = None,
    scale: int | None = None,
    data: str | None = None,
    protocol: str | None = None,
    seed: int | None = None,
    key: str | None = None,
) -> list[Cell]:
    """Return the measured rows that match all given conditions; conditions that are None are ignored.

    Raises:
        UnknownNameError: No row matches; the message suggests the nearest name.
        StoreError: The results cannot be read.
    """
    cells = [cell for cell in store.cells() if cell.record.status == "ok"]
    if not cells:
        raise StoreError(f"'{store.path}' holds no measured rows")
    named = {"model": model, "dataset": data, "protocol": protocol}
    for field, value in named.items():
        known = sorted({str(getattr(cell.record, field)) for cell in cells})
        if value is not None and value not in known:
            noun = {"dataset": "data set"}.get(field, field)
            raise UnknownNameError(
                f"no row of '{store.path}' has the {noun} '{value}'" + suggest(value, known, noun=f"its {noun}s")
            )
    found = [
        cell
        for cell in cells
        if all(value is None or getattr(cell.record, field) == value for field, value in named.items())
        and scale in (None, cell.record.scale)
        and seed in (None, cell.record.identity[2])
        and (key is None or cell.record.key.startswith(key))
    ]
    if not found:
        raise UnknownNameError(f"no row of '{store.path}' is all of what is asked for; leave an option out")
    return found
