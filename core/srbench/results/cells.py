"""One finished cell, read from its directory and checked against its marker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from srbench.errors import StoreError
from srbench.results.records import SCHEMA_VERSION, Record
from srbench.storage import sha256_file
from srbench.untrusted import IMAGE_LIMIT, TEXT_LIMIT, check_regular, parse_json, read_bytes, read_text
from srbench.validation import problems_in

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cell", "check_version", "examine", "latest_of", "parsed_record", "read_finished", "wrong_file"]

# Limits for a table of values: more images than any data set, more metrics than any suite.
_MOST_ROWS, _MOST_COLUMNS = 10**6, 1000


class Cell:
    """One finished cell: its record, its directory, and its per-image values when asked for."""

    def __init__(self, record: Record, directory: Path) -> None:
        """Initialize the cell with its record and the directory that it was read from."""
        self.record = record
        self.directory = directory

    def __repr__(self) -> str:
        return f"Cell({self.record.model!r}, {self.record.dataset!r}, status={self.record.status!r})"

    @property
    def name(self) -> str:
        """Return the name of the cell's directory."""
        return self.directory.name

    @cached_property
    def per_image(self) -> pd.DataFrame:
        """Return one row per image: `image` and one column per metric; no rows for a failed cell.

        Raises:
            StoreError: The table cannot be read.
        """
        import pandas as pd
        import pyarrow.parquet

        path = self.directory / "per_image.parquet"
        try:
            check_regular(path, TEXT_LIMIT, "table of values", StoreError)
            about = pyarrow.parquet.read_metadata(path)
            # A column that repeats one value takes almost no space in the file, but all of it in memory.
            if about.num_rows > _MOST_ROWS or about.num_columns > _MOST_COLUMNS:
                raise ValueError(f"it has {about.num_rows:,} rows and {about.num_columns:,} columns")
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"'{path}' cannot be read ({error}); remove its folder and run the suite again."
            ) from error

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Return the files of the cell with their hashes, as listed in its marker.

        Raises:
            StoreError: The marker cannot be read.
        """
        marker = parse_json(read_text(self.directory / "DONE", what="marker", error=StoreError))
        found: dict[str, str] = marker["files"]
        return found

    @property
    def files(self) -> list[str]:
        """Return the names of the cell's files: record, values, crops.

        Raises:
            StoreError: The marker cannot be read.
        """
        return list(self.hashes)

    def read(self, name: str) -> bytes:
        """Return the content of one of `files`.

        Raises:
            StoreError: It cannot be read.
        """
        return read_bytes(self.directory / name, limit=IMAGE_LIMIT, what="file of a cell", error=StoreError)

    @property
    def speed(self) -> dict[str, Any] | None:
        """Return the content of `speed.json`: forward times in seconds and the hardware; None if it was not timed."""
        try:
            value = parse_json(read_text(self.directory / "speed.json", error=StoreError))
        except (StoreError, ValueError):
            return None
        return value if isinstance(value, dict) else None


def latest_of(cells: Iterable[Cell]) -> list[Cell]:
    """Return the latest cell for each model, scale, seed, data set and protocol, sorted by name.

    Two data sets are the same if their images are equal, or if they were read from the same folder, whose images
    have changed since.
    """
    by_images: dict[tuple[object, ...], Cell] = {}
    by_source: dict[tuple[object, ...], Cell] = {}
    for cell in cells:
        _keep_later(by_images, cell.record.identity, cell)
    for cell in by_images.values():
        _keep_later(by_source, (*cell.record.place, cell.record.dataset_source), cell)
    return sorted(by_source.values(), key=lambda cell: cell.name)


def _keep_later(found: dict[tuple[object, ...], Cell], key: tuple[object, ...], cell: Cell) -> None:
    other = found.get(key)
    if other is None or other.record.created <= cell.record.created:
        found[key] = cell


def read_finished(directory: Path) -> Record | None:
    """Return a cell's record if its marker exists and matches every file, else None.

    Raises:
        StoreError: The record was written by a later version of sr-bench.
    """
    found = examine(directory)
    return found if isinstance(found, Record) else None


def examine(directory: Path) -> Record | str:
    """Return a cell's record if its marker exists and matches every file, else a description of the damage.

    Raises:
        StoreError: The record was written by a later version of sr-bench.
    """
    try:
        marker = parse_json(read_text(directory / "DONE", what="marker", error=StoreError))
        files: dict[str, str] = marker["files"]
        if not {"record.json", "per_image.parquet"} <= files.keys():
            return "its marker names no record or no table of values"
        if problem := wrong_file(directory, files, "its marker"):
            return problem
        text = read_text(directory / "record.json", what="record", error=StoreError)
        parse_json(text)  # bounds the depth
    except StoreError as error:
        return str(error)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "its marker is damaged"
    return parsed_record(text, directory / "record.json")


def wrong_file(folder: Path, files: Mapping[str, str], names_them: str) -> str:
    """Describe the first file of a cell that does not match its hash; empty if all match.

    Args:
        folder: The cell's folder.
        files: Path in the folder -> SHA-256. They are untrusted: no file outside of the folder is read.
        names_them: What lists the files, for the message.

    Raises:
        StoreError: A file is missing, not a regular file, or too large.
    """
    for name, digest in files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            return f"{names_them} names a file outside of its folder"
        check_regular(folder / name, IMAGE_LIMIT, "file of a cell", StoreError)
        if sha256_file(folder / name) != digest:
            return f"'{name}' is not the file that was written"
    return ""


def parsed_record(text: str, path: Path, value: Any = None) -> Record | str:
    """Parse a record; return it, or a description of what is wrong.

    Args:
        text: The record as JSON.
        path: The file that it was read from.
        value: What `parse_json` returned for the text, if it was called already.

    Raises:
        StoreError: The record was written by a later version of sr-bench; the message names `path`.
    """
    if value is None:
        check_version(path, text, SCHEMA_VERSION)
    else:
        _check_value(path, value, SCHEMA_VERSION)
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        return f"its record is invalid: {problems_in(error)[0].sentence()}"


def check_version(path: Path, text: str, known: int) -> None:
    """Refuse a file with a later schema version than this sr-bench knows.

    Raises:
        StoreError: The version is later.
    """
    try:
        value = parse_json(text)
    except ValueError:
        return
    _check_value(path, value, known)


def _check_value(path: Path, value: Any, known: int) -> None:
    version = value.get("schema_version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > known:
        raise StoreError(
            f"'{path}' has schema version {version}; this sr-bench reads up to {known}: install a later one."
        )
