"""A stored board, including damaged cells, for the checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from srbench.errors import SRBenchError, StoreError
from srbench.registry import canonical_name
from srbench.registry.names import ModelName
from srbench.results.records import Record, RunInfo
from srbench.results.rows import results_folder
from srbench.results.store import Cell, RunStore, examine
from srbench.runs.replay_plan import Sources
from srbench.suite.definition import Suite, load_suite
from srbench.untrusted import parse_json, read_text
from srbench.validation import problems_in

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Board", "StoredCell", "read_board"]

PAGES = ("leaderboard.csv", "leaderboard.md", "index.html")


@dataclass(frozen=True)
class StoredCell:
    """One cell, as far as it can be read.

    Attributes:
        name: The name of its directory.
        cell: Record and values; None if there is no record.
        damage: What is wrong with its files; empty if they match their hashes.
        malformed: Why its record is invalid; empty if it is valid.
    """

    name: str
    cell: Cell | None
    damage: str = ""
    malformed: str = ""

    @property
    def record(self) -> Record:
        """The record of a cell that has one."""
        assert self.cell is not None
        return self.cell.record

    @cached_property
    def values(self) -> pd.DataFrame | None:
        """The per-image values; None if they cannot be read."""
        try:
            return None if self.cell is None else self.cell.per_image
        except StoreError:
            return None


@dataclass
class Board:
    """Results and the files made from them.

    Attributes:
        store: The results.
        info: The content of `run.json`; None if it cannot be read, for the reason in `malformed`.
        pages: The folder of the files made from the results; None if there are none.
        cells: All cells.
        installed: The installed or given suite; None if there is none, for the reason in `not_installed`.
        suite_given: Whether the suite was given.
    """

    store: RunStore
    info: RunInfo | None
    pages: Path | None
    cells: list[StoredCell]
    malformed: str = ""
    installed: Suite | None = None
    not_installed: str = ""
    suite_given: bool = False
    _names: dict[str, ModelName | SRBenchError] = field(default_factory=dict)

    @property
    def measured(self) -> Iterator[StoredCell]:
        """Yield the cells recorded as measured."""
        return (one for one in self.cells if one.cell is not None and one.record.status == "ok")

    @cached_property
    def sources(self) -> Sources:
        """The sources of the rows' data sets and weights."""
        return Sources(self.info, self.store.models_path)

    @cached_property
    def suite(self) -> Suite | None:
        """The suite in `run.json`, or None."""
        if self.info is None or not self.info.definition:
            return None
        # A file of a suite cannot choose images; a run can.
        definition = {key: value for key, value in self.info.definition.items() if key != "images"}
        try:
            suite = Suite.model_validate(definition)
            return suite.on_images(self.info.images) if self.info.images else suite
        except (ValidationError, SRBenchError):
            return None

    def name(self, model: str) -> ModelName:
        """Return a model's canonical name.

        Raises:
            SRBenchError: No installed plugin has the model.
        """
        if model not in self._names:
            try:
                self._names[model] = canonical_name(model)
            except SRBenchError as error:
                self._names[model] = error
        found = self._names[model]
        if isinstance(found, SRBenchError):
            raise found
        return found


def read_board(path: Path, suite: str | Path | None = None) -> Board:
    """Read a board, which may be damaged.

    Args:
        path: A run directory, or the folder of a committed board.
        suite: The suite that the board should be of; by default, the installed one of its name, if any.

    Raises:
        StoreError: There are no results at the path.
        SRBenchError: The given suite is invalid.
    """
    folder, _ = results_folder(path)
    store = RunStore(folder)
    info, malformed = None, ""
    try:
        info = store.info()
        if info is None:
            malformed = "there is no run.json"
    except StoreError as error:
        malformed = str(error)
    board = Board(store, info, _pages_of(folder), list(_cells(store)), malformed)
    budget = "" if info is None else info.budget
    if suite is not None:
        board.installed, board.suite_given = load_suite(suite), True
    elif info is not None:
        try:
            board.installed = load_suite(info.suite)
        except SRBenchError:
            board.not_installed = f"no suite '{info.suite}' is installed; --suite FILE names another"
    if board.installed is not None and budget:
        try:
            board.installed = board.installed.at_budget(budget)
        except SRBenchError as error:
            board.installed, board.not_installed = None, str(error)
    if board.installed is not None and not board.suite_given and info is not None and info.images:
        board.installed = board.installed.on_images(info.images)
    return board


def _pages_of(folder: Path) -> Path | None:
    for pages in (folder.parent, folder / "leaderboard"):
        if any((pages / name).is_file() for name in PAGES):
            return pages
    return None


def _cells(store: RunStore) -> Iterator[StoredCell]:
    if not store.cells_path.is_dir():
        cells, damaged = store.read()
        yield from (StoredCell(cell.name, cell) for cell in cells)
        yield from (StoredCell(name, None, why) for name, why in damaged.items())
        return
    for directory in sorted(store.cells_path.iterdir()):
        if not directory.is_dir() or directory.name.startswith(".tmp-"):
            continue
        found = examine(directory)
        if isinstance(found, Record):
            yield StoredCell(directory.name, Cell(found, directory))
            continue
        # Its marker does not match: its content is checked nevertheless.
        damage = "" if found.startswith("its record is invalid") else found
        try:
            text = read_text(directory / "record.json", what="record", error=StoreError)
            parse_json(text)
            cell = Cell(Record.model_validate_json(text), directory)
        except ValidationError as error:
            yield StoredCell(directory.name, None, damage, problems_in(error)[0].sentence())
        except (StoreError, ValueError) as error:
            yield StoredCell(directory.name, None, damage, str(error))
        else:
            yield StoredCell(directory.name, cell, found)
