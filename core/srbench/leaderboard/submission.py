"""Add the rows of a run to a committed board, for a pull request.

The new board is written under a temporary name and then moved into place: it has all new rows, with tables and page, or
none.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srbench.errors import StoreError
from srbench.leaderboard.candidates import Candidates, copy_cell, label, listed, read_candidates
from srbench.leaderboard.publish import RESULTS, build, build_index
from srbench.results.cells import Cell
from srbench.results.packing import pack, unpack
from srbench.results.published_figures import Published
from srbench.results.records import Record, RunInfo, slugify
from srbench.results.store import RunStore
from srbench.storage import (
    canonical_json,
    disk_errors,
    exclusive,
    fsync_directory,
    remove_leftovers,
    restore_swapped,
    swap_folders,
    write_atomic,
)

__all__ = ["BOARDS", "Submission", "submit"]

BOARDS = "leaderboards"
"""The folder of a repository with one folder per board."""

# The keys of a suite's definition that determine whether figures are comparable; models may differ between runs.
_DECIDES = ("name", "scale", "protocol", "datasets", "metrics", "inference", "train", "seeds", "multi_scale", "images")

_LOOSE = ".tmp-cells"  # a packed board's cells while rows are added


@dataclass
class Submission:
    """The result of a submission.

    Attributes:
        board: Name of the board.
        folder: Folder of the board.
        added: Records that the board did not have.
        replaced: The board's records that were replaced, each with its successor.
        unchanged: Records of results that the board already had.
        left_out: Files of cells that do not belong on a board.
        index: The page that links all boards; None if it was not made.
    """

    board: str
    folder: Path
    added: list[Record] = field(default_factory=list)
    replaced: list[tuple[Record, Record]] = field(default_factory=list)
    unchanged: list[Record] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    index: Path | None = None


def _none(_: Path) -> Collection[str]:
    return frozenset()


def submit(
    run_dir: Path,
    root: Path,
    *,
    board: str | None = None,
    models: str | None = None,
    replace: bool = False,
    index: bool = False,
    other_code: Callable[[Path], Collection[str]] = _none,
    published: Published | None = None,
) -> Submission:
    """Add a run's results to a board in `root/leaderboards`, and make the board's tables and page.

    Args:
        run_dir: A directory that `srbench run` wrote; it is only read.
        root: A checkout, or a separate folder; created if needed.
        board: The board's name; by default, that of the suite and its budget.
        models: Only models that match this glob.
        replace: Whether different results replace those on the board.
        index: Whether to also make the page that links all boards.
        other_code: Run directory -> keys of its cells whose code has changed since they were measured.
        published: What is published of the weights that were measured, for the board's tables and page.

    Raises:
        StoreError: The run has cells that may not be submitted (`read_candidates`), contradicts the board, or has
            different results for its rows; or the folder is in use or cannot be written to. The board stays unchanged.
    """
    candidates = read_candidates(run_dir, models, other_code=other_code(run_dir))
    name = _board_name(board, candidates.info)
    boards = root / BOARDS
    final = boards / name
    if run_dir.resolve().is_relative_to(final.resolve()):
        raise StoreError(f"'{run_dir}' is part of the board '{final}'; give the folder of a run")
    made = [path for path in (boards, *boards.parents) if not path.exists()]
    try:
        with exclusive(boards / ".lock", owner=f"'{boards}'", remove=True), disk_errors(final):
            restore_swapped(boards)
            remove_leftovers(boards, f".tmp-{name}-", own=True)
            submission = _add(candidates, final, replace, other_code, published)
            if index:
                (submission.index,) = build_index(boards).paths
    finally:
        for path in made:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    return submission


def _add(
    candidates: Candidates,
    final: Path,
    replace: bool,
    other_code: Callable[[Path], Collection[str]],
    published: Published | None,
) -> Submission:
    """Write the board with its new rows beside the old one, then replace it. Requires the lock."""
    store = RunStore(final / RESULTS)
    if final.exists() and not store.path.is_dir():
        raise StoreError(f"'{final}' is not a board: it has no folder '{RESULTS}'; give another --board")
    known = store.cells() if final.exists() else []
    held = store.info() if final.exists() else None
    if held is not None:
        _check_agreement(candidates.info, held, final.name)
    submission, fresh, gone = _sorted_out(candidates, known, final)
    if submission.replaced and not replace:
        named = listed(_replacement(*pair) for pair in submission.replaced)
        raise StoreError(f"the board '{final}' has other results: {named}; give --replace to put these in their place")
    _check_content((cell for cell in known if cell not in gone), candidates.cells, final.name)

    # A board with a directory per cell keeps that form.
    packed = store.packed is not None or not final.exists()
    staged = final.with_name(f".tmp-{final.name}-{os.getpid()}")
    try:
        if final.exists():
            shutil.copytree(final, staged, symlinks=True, copy_function=_link, ignore=_leftovers)
        results = staged / RESULTS
        loose = staged / _LOOSE if packed else results
        if store.packed is not None:
            unpack(results, loose)
        (loose / "cells").mkdir(parents=True, exist_ok=True)
        for cell in gone:
            shutil.rmtree(loose / "cells" / cell.name)
        for cell in fresh:
            left_out = copy_cell(cell, loose / "cells" / cell.record.directory_name)
            submission.left_out += [f"{cell.name}/{name}" for name in left_out]
        fsync_directory(loose / "cells")
        info = candidates.info if held is None else _joined(held, candidates.info)
        if info != held:
            write_atomic(loose / "run.json", info.to_json().encode())
        if packed:
            pack(loose, results)
            shutil.rmtree(loose)
        try:
            build(results, staged, other_code=other_code(results), published=published)
        except StoreError as error:
            raise StoreError(str(error).replace(str(staged), str(final))) from error
        if final.exists():
            swap_folders(staged, final)
        else:
            os.rename(staged, final)
        fsync_directory(final.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return submission


def _sorted_out(
    candidates: Candidates, known: Sequence[Cell], final: Path
) -> tuple[Submission, list[Cell], list[Cell]]:
    """Return the result of the submission, the cells to be written, and the cells of the board to be removed."""
    held = {cell.record.identity: cell for cell in known}
    submission = Submission(final.name, final)
    fresh, gone = [], []
    for cell in candidates.cells:
        other = held.get(cell.record.identity)
        if other is None or other.record.status == "failed":
            submission.added.append(cell.record)
            gone += [] if other is None else [other]
        elif _same(cell, other):
            submission.unchanged.append(cell.record)
            continue
        else:
            submission.replaced.append((other.record, cell.record))
            gone.append(other)
        fresh.append(cell)
    return submission, fresh, gone


def _same(cell: Cell, other: Cell) -> bool:
    """Return whether two cells are the same result: equal inputs and equal values, whenever they were measured."""
    if (cell.record.key, cell.record.metrics) != (other.record.key, other.record.metrics):
        return False
    ours, theirs = ({name: list(one.per_image[name]) for name in one.per_image} for one in (cell, other))
    return ours == theirs


def _replacement(old: Record, new: Record) -> str:
    metric = next((name for name in new.metrics if name in old.metrics), None)
    change = "" if metric is None else f": {metric} {old.metrics[metric]:.6g} becomes {new.metrics[metric]:.6g}"
    return label(new) + change


def _check_agreement(run: RunInfo, board: RunInfo, name: str) -> None:
    """Refuse a run of another suite than the board's, or of a version of it with other figures."""

    def refuse(what: str, ours: object, theirs: object) -> None:
        shown = [str(value) if isinstance(value, str) else canonical_json(value) for value in (theirs, ours)]
        raise StoreError(
            f"the board '{name}' is of {what} {shown[0]:.200}, and the run is of {what} {shown[1]:.200}: their figures "
            "cannot be compared; give another --board"
        )

    if run.suite != board.suite:
        refuse("suite", run.suite, board.suite)
    if run.budget != board.budget:
        refuse("budget", run.budget or "none", board.budget or "none")
    if not run.definition or not board.definition:
        return
    for key in _DECIDES:
        ours, theirs = run.definition.get(key), board.definition.get(key)
        if ours != theirs:
            refuse(f"a suite with '{key}'", ours, theirs)
    defined = _models(board)
    for model, entry in _models(run).items():
        if entry != defined.get(model, entry):
            refuse(f"a suite with '{model}' as", entry, defined[model])


def _check_content(kept: Iterable[Cell], new: Iterable[Cell], name: str) -> None:
    """Refuse images or a protocol with the same name as different ones on the board."""
    images: dict[str, str] = {}
    protocols: dict[str, str] = {}
    for cell in kept:
        images.setdefault(cell.record.dataset, cell.record.dataset_hash)
        protocols.setdefault(cell.record.protocol, cell.record.protocol_digest)
    for record in (cell.record for cell in new):
        if images.get(record.dataset, record.dataset_hash) != record.dataset_hash:
            raise StoreError(
                f"{label(record)} was measured on other images than the rows of '{name}' on {record.dataset}; "
                "measure it on the same images, or give another --board"
            )
        if protocols.get(record.protocol, record.protocol_digest) != record.protocol_digest:
            raise StoreError(
                f"{label(record)} was measured under another protocol than the rows of '{name}' under "
                f"{record.protocol}; measure it with the current version, or give another --board"
            )


def _models(info: RunInfo) -> dict[str, Any]:
    """Return (name, weights file) -> the rest of a model's definition, for the models of a suite."""
    entries = info.definition.get("models", [])
    named = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return {
        f"{entry.get('model')}={entry['weights']}" if entry.get("weights") else str(entry.get("model")): entry
        for entry in named
    }


def _joined(board: RunInfo, run: RunInfo) -> RunInfo:
    """Return a board's description, extended by the models of a run."""
    definition = dict(board.definition)
    more = [entry for name, entry in _models(run).items() if name not in _models(board)]
    if definition and more:
        definition["models"] = [*definition.get("models", []), *more]
        if requires := {**run.definition.get("requires", {}), **definition.get("requires", {})}:
            definition["requires"] = requires
    planned = board.planned
    if planned is not None and run.planned is not None:
        added = [model for model in run.planned.added if model not in (*planned.models, *planned.added)]
        planned = planned.model_copy(update={"added": [*planned.added, *added]})
    return board.model_copy(
        update={
            "definition": definition,
            "planned": planned,
            "explanations": {**run.explanations, **board.explanations},
            "reported": [*board.reported, *(figure for figure in run.reported if figure not in board.reported)],
        }
    )


def _board_name(board: str | None, info: RunInfo) -> str:
    """Return the name of the board's folder.

    Raises:
        StoreError: The given name is not valid for a folder.
    """
    if board is None:
        return slugify(f"{info.suite}-{info.budget}" if info.budget else info.suite)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}", board):
        raise StoreError(
            f"'{board}' cannot be a board's name; give up to 120 letters, digits, dots, dashes and underscores that "
            "begin with a letter or digit"
        )
    return board


def _link(source: str, target: str) -> str:
    """Create a hard link, or copy the file if the file system does not support links; neither is written again."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _leftovers(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith((".tmp-", ".lock"))]
