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
from srbench.results.records import Record, RunInfo
from srbench.results.run_info import read_info
from srbench.results.shared_parts import SharedParts
from srbench.storage import canonical_json, sha256_bytes
from srbench.untrusted import check_regular, parse_json

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["IMAGES", "RECORDS", "VALUES", "PackedCell", "PackedStore", "Values", "is_packed"]

RECORDS, VALUES, IMAGES = "records.parquet", "per_image.parquet", "images"
# Limits for a table: more than any board has, and few enough to fit into memory.
_MOST_ROWS, _MOST_COLUMNS, _LIMIT = 10**7, 1000, 4 * 1024**3
_TEXTS = ("cell", "record", "record_sha256", "values_sha256", "columns", "files", "speed")
_ATTEMPTS = 3

_Found = dict[str, tuple[tuple[str, ...], Mapping[str, NDArray[np.float64]], int]]


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
        rows: The table of records.
        number: The number of its row there.
    """

    def __init__(self, record: Record, folder: Path, values: Values, rows: pa.Table, number: int) -> None:
        super().__init__(record, folder)
        self.values = values
        self._rows = rows
        self._number = number

    @property
    def row(self) -> Mapping[str, Any]:
        """Return its row in the table of records."""
        return _row(self._rows, self._number)

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
        for _ in range(_ATTEMPTS):
            before = _state(self.path)
            rows = _records(self.path / RECORDS)
            values = _values(self.path / VALUES)
            if _state(self.path) == before:  # otherwise it was written meanwhile, and the two tables may not match
                break
        cells, damaged = [], {}
        shared, crops = SharedParts(), _Crops(self.path)
        for number in range(rows.num_rows):
            row = _row(rows, number)
            found = _checked(crops, self.path / RECORDS, row, values, shared)
            if isinstance(found, str):
                damaged[str(row["cell"])] = found
            else:
                cells.append(PackedCell(*found, rows, number))
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


def _table(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_regular(path, _LIMIT, "table of a packed board", StoreError)
        about = pq.read_metadata(path)
        if about.num_rows > _MOST_ROWS or about.num_columns > _MOST_COLUMNS:
            raise ValueError(f"it has {about.num_rows:,} rows and {about.num_columns:,} columns")
        return pq.read_table(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"'{path}' cannot be read ({error}); restore the packed board.") from error


def _records(path: Path) -> pa.Table:
    table = _table(path)
    if missing := [name for name in _TEXTS if name not in table.column_names]:
        raise StoreError(f"'{path}' is not a table of records: it lacks the column {', '.join(missing)}.")
    return table.select(list(_TEXTS)).combine_chunks()


def _row(records: pa.Table, number: int) -> dict[str, Any]:
    return {name: records[name][number].as_py() for name in _TEXTS}


def _values(path: Path) -> _Found:
    """Return for each cell the names, the columns, and the first of its rows, which are contiguous."""
    import pyarrow as pa

    table = _table(path).combine_chunks()
    floats = [name for name in table.column_names if table.schema.field(name).type == pa.float64()]
    if not {"cell", "image"} <= set(table.column_names):
        raise StoreError(f"'{path}' is not a table of values: it needs the columns 'cell' and 'image'.")
    try:
        cells = np.asarray(table["cell"].cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)
        kinds = table["image"].cast(pa.string()).combine_chunks().dictionary_encode()
        different: list[str] = kinds.dictionary.to_pylist()
        images: list[Any] = [None if index is None else different[index] for index in kinds.indices.to_pylist()]
    except pa.ArrowException as error:
        raise StoreError(f"'{path}' is not a table of values: {error}.") from error
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in floats}
    starts = np.concatenate([[0], np.flatnonzero(cells[1:] != cells[:-1]) + 1]) if len(cells) else np.empty(0, int)
    ends = np.append(starts[1:], len(cells)) if len(cells) else starts
    found: _Found = {}
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        name = str(cells[start])
        # Rows of one cell in two places: left by an interrupted addition; neither is certain to be complete.
        own = tuple(images[start : end if name not in found else start])
        found[name] = (alike.setdefault(own, own), columns, start)
    return found


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
    crops: _Crops, path: Path, row: dict[str, Any], values: _Found, shared: SharedParts
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
