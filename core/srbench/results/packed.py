"""Reading packed boards: the results of a run in two tables instead of a directory per cell.

    RESULTS/run.json                           as in a run directory (RunInfo)
    RESULTS/records.parquet                    a row per cell: its record as text, hashes, and columns for queries
    RESULTS/per_image.parquet                  a row per image of each cell, a column per metric
    RESULTS/images/<cell>/images/*.png         crops, as in a run directory

A row is valid only if its hashes match its record, its values and its crops, like the marker of a cell in a run
directory (docs/adr/0025-packed-boards.md).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srbench.errors import StoreError
from srbench.results.cell_files import parquet
from srbench.results.cells import Cell, latest_of, parsed_record, wrong_file
from srbench.results.packed_tables import FoundValues, KeptRows, RecordsFile, read_values
from srbench.results.records import Record, RunInfo
from srbench.results.run_info import read_info
from srbench.results.shared_parts import SharedParts
from srbench.storage import canonical_json, sha256_bytes
from srbench.untrusted import parse_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["IMAGES", "RECORDS", "VALUES", "PackedCell", "PackedStore", "Values", "is_packed"]

RECORDS, VALUES, IMAGES = "records.parquet", "per_image.parquet", "images"
_ATTEMPTS = 3


def is_packed(folder: str | Path) -> bool:
    """Return whether a folder holds a packed board."""
    return (Path(folder) / RECORDS).exists()


@dataclass(frozen=True)
class Values:
    """The per-image values of one cell.

    Attributes:
        images: Names of the images.
        columns: Metric -> one float64 per image, in the order of the cell's table.
    """

    images: Sequence[str]
    columns: Mapping[str, NDArray[np.float64]]

    @property
    def sha256(self) -> str:
        """Return the hash of names and values, which is independent of how they are stored."""
        found = hashlib.sha256(_names_json(tuple(self.columns), tuple(self.images)))
        for column in self.columns.values():
            found.update(np.ascontiguousarray(column, dtype="<f8").tobytes())
        return found.hexdigest()

    @property
    def table(self) -> pd.DataFrame:
        """Return the values as a table, as in a run directory."""
        import pandas as pd

        return pd.DataFrame({"image": list(self.images), **{name: np.array(v) for name, v in self.columns.items()}})


@lru_cache(maxsize=256)
def _names_json(columns: tuple[str, ...], images: tuple[str, ...]) -> bytes:
    """Return the names of a cell's values as they are hashed; most cells of a board have the same."""
    return canonical_json([columns, images]).encode()


class PackedCell(Cell):
    """A cell of a packed board.

    Args:
        record: Its record.
        folder: The board's folder with the cell's crops; the record's `crops` are relative to it.
        values: Its per-image values.
        rows: Rows of the table of records, with its own.
        number: The number of its row in them.
    """

    def __init__(self, record: Record, folder: Path, values: Values, rows: KeptRows, number: int) -> None:
        super().__init__(record, folder)
        self.values = values
        self._rows = rows
        self._number = number

    @property
    def row(self) -> Mapping[str, Any]:
        """Return its row in the table of records."""
        return self._rows[self._number]

    @property
    def per_image(self) -> pd.DataFrame:
        """Return one row per image: `image` and one column per metric; no rows for a failed cell."""
        return self.values.table

    @property
    def files(self) -> list[str]:
        """Return the names of the cell's files in a run directory; here the tables hold the first two."""
        return ["record.json", "per_image.parquet", *parse_json(self.row["files"])]

    def read(self, name: str) -> bytes:
        """Return the content of one of `files`."""
        if name == "record.json":
            return str(self.row["record"]).encode()
        return parquet(self.per_image) if name == "per_image.parquet" else super().read(name)

    @property
    def speed(self) -> dict[str, Any] | None:
        """Return timing and hardware; None where it was not timed."""
        try:
            value = parse_json(self.row["speed"]) if self.row["speed"] else None
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


class PackedStore:
    """Reader of a packed board with the same methods as a run directory; `packing` writes boards.

    Args:
        path: The folder that holds the tables.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def info(self) -> RunInfo | None:
        """Return the description in `run.json`, or None if the file does not exist.

        Raises:
            StoreError: The file is damaged or was written by a later version.
        """
        return read_info(self.path)

    def cells(self) -> list[Cell]:
        """Return every valid cell, including failed ones; of several for the same thing, only the latest.

        Raises:
            StoreError: The tables cannot be read, or a record was written by a later version of sr-bench.
        """
        return latest_of(self._read[0])

    def damaged(self) -> dict[str, str]:
        """Return the invalid cells, which readers leave out: name -> reason."""
        return dict(self._read[1])

    def all_cells(self) -> tuple[list[PackedCell], dict[str, str]]:
        """Return every valid cell, including superseded ones, and the invalid ones: name -> reason."""
        return list(self._read[0]), dict(self._read[1])

    def find(self, directory_name: str, key: str) -> Cell | None:
        """Return the cell with this name and key, or None; it may be a failed cell."""
        cell = self._by_name.get(directory_name)
        return None if cell is None or cell.record.key != key else cell

    @cached_property
    def _by_name(self) -> dict[str, PackedCell]:
        return {cell.name: cell for cell in self._read[0]}

    @cached_property
    def _read(self) -> tuple[list[PackedCell], dict[str, str]]:
        for attempt in range(_ATTEMPTS):
            before = _state(self.path)
            records = RecordsFile(self.path / RECORDS)
            values = read_values(self.path / VALUES)
            # Otherwise it was written meanwhile, and the two tables may not match.
            if _state(self.path) == before or attempt == _ATTEMPTS - 1:
                break
            records.close()
        cells, damaged = [], {}
        shared, crops = SharedParts(), _Crops(self.path)
        with records:
            for rows, kept in records:
                for number, row in enumerate(rows):
                    found = _checked(crops, self.path / RECORDS, row, values, shared)
                    if isinstance(found, str):
                        damaged[str(row["cell"])] = found
                    else:
                        cells.append(PackedCell(*found, kept, number))
        return cells, damaged


def _state(folder: Path) -> list[tuple[int, int]]:
    states = []
    for name in (RECORDS, VALUES):
        try:
            status = (folder / name).stat()
        except OSError:
            continue
        states.append((status.st_ino, status.st_mtime_ns))
    return states


class _Crops:
    """Where the crops of cells are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._real = folder.resolve()
        self._there = os.path.lexists(folder / IMAGES)

    def place(self, name: str) -> Path | None:
        """Return the folder with a cell's crops; None for a name that leads elsewhere."""
        if name != Path(name).name:
            return None
        place = self._folder / IMAGES / name
        # Without the folder there is no link to follow.
        safe = not self._there and name.strip(".") and "\0" not in name
        return place if safe or place.resolve().is_relative_to(self._real) else None


def _checked(
    crops: _Crops, path: Path, row: dict[str, Any], values: FoundValues, shared: SharedParts
) -> tuple[Record, Path, Values] | str:
    """Return the record, the folder with the crops and the values of a row, or a description of the damage.

    Raises:
        StoreError: The record was written by a later version of sr-bench.
    """
    name = row["cell"]
    try:
        if sha256_bytes(row["record"].encode()) != row["record_sha256"]:
            return "its record is not the one that was written"
        names: list[str] = parse_json(row["columns"])
        files: dict[str, str] = parse_json(row["files"])
        value = parse_json(row["record"])  # bounds the depth
        images, columns, start = values.get(name, ((), {}, 0))
        end = start + len(images)
        own = Values(images, {column: columns[column][start:end] if start < end else np.empty(0) for column in names})
        if own.sha256 != row["values_sha256"]:
            return "its values are not those that were written"
        if (place := crops.place(name)) is None:
            return "its name is not a valid folder name"
        if problem := wrong_file(place, files, "it"):
            return problem
    except StoreError as error:
        return str(error)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "its row is damaged"
    record = parsed_record(row["record"], path, value)
    return record if isinstance(record, str) else (shared.share(record, value), place, own)


def row_of(name: str, record: str, values: Values, files: Mapping[str, str], speed: str | None) -> dict[str, Any]:
    """Return the row of a cell in the table of records.

    Args:
        name: Name of the cell's directory.
        record: Text of its record.
        values: Its per-image values.
        files: Path of each crop -> hash.
        speed: Text of `speed.json`, if any.
    """
    return {
        "cell": name,
        "record": record,
        "record_sha256": sha256_bytes(record.encode()),
        "values_sha256": values.sha256,
        "columns": json.dumps(list(values.columns)),
        "files": canonical_json(dict(files)),
        "speed": speed,
    }
