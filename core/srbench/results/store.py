"""What a run leaves behind: one record per cell, and where it is kept.

    RUN_DIR/run.json                         which suite this is (RunInfo)
    RUN_DIR/cells/<slug>/record.json         what was measured (Record)
                        /per_image.parquet   columns: image, one per metric
                        /images/*.png        crops, of freely licensed images only
                        /speed.json          timing and the hardware it was taken on (not part of the result)
                        /DONE                sha256 of each of the files above but speed.json
    RUN_DIR/models/<slug>/                   networks trained by the run

A cell's directory is filled under a temporary name, synced, and renamed: it is there wholly or not at all. It counts
only if its marker agrees with its content (docs/adr/0005-results-store.md).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from srbench.errors import StoreError
from srbench.storage import (
    disk_errors,
    exclusive,
    fsync_directory,
    sha256_file,
    write_atomic,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

from srbench.results.cell_files import fill, parquet, png
from srbench.results.records import (
    KEY_LENGTH,
    SCHEMA_VERSION,
    Record,
    RunInfo,
    second_after,
)
from srbench.untrusted import IMAGE_LIMIT, TEXT_LIMIT, check_regular, parse_json, read_text
from srbench.validation import problems_in

__all__ = ["Cell", "RunStore"]

_TEMPORARY = ".tmp-"
# Of a table of values: more images than any data set, more metrics than any suite.
_MOST_ROWS, _MOST_COLUMNS = 10**6, 1000


class Cell:
    """One finished cell: its record, its directory, and its per-image values when asked for."""

    def __init__(self, record: Record, directory: Path) -> None:
        """Join a record and the directory that it was read from."""
        self.record = record
        self.directory = directory

    def __repr__(self) -> str:
        return f"Cell({self.record.model!r}, {self.record.dataset!r}, status={self.record.status!r})"

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
            # A column that holds one value many times takes no room in the file, and all of it in memory.
            if about.num_rows > _MOST_ROWS or about.num_columns > _MOST_COLUMNS:
                raise ValueError(f"it has {about.num_rows:,} rows and {about.num_columns:,} columns")
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"'{path}' cannot be read ({error}); remove its folder and run the suite again."
            ) from error

    @property
    def speed(self) -> dict[str, Any] | None:
        """Return what `speed.json` holds: forward times in seconds and the hardware; None where it was not timed."""
        try:
            value = parse_json(read_text(self.directory / "speed.json", error=StoreError))
        except (StoreError, ValueError):
            return None
        return value if isinstance(value, dict) else None


class RunStore:
    """Keep the cells of one run directory; reading never writes, and writing never leaves half a cell.

    One process at a time may write (`lock`); any number may read meanwhile.
    """

    def __init__(self, path: str | Path) -> None:
        """Name the directory; nothing is read or written yet."""
        self.path = Path(path)
        self.cells_path = self.path / "cells"
        self.models_path = self.path / "models"

    # Reading

    def info(self) -> RunInfo | None:
        """Return what `run.json` says, or None where there is none.

        Raises:
            StoreError: The file is damaged or was written by a later version.
        """
        path = self.path / "run.json"
        if not path.exists():
            return None
        text = read_text(path, what="run's description", error=StoreError)
        _check_version(path, text)
        try:
            parse_json(text)  # bounds the depth
            return RunInfo.model_validate_json(text)
        except ValueError as error:
            raise StoreError(f"'{path}' is not a run's description; remove it and run the suite again.") from error

    def cells(self) -> list[Cell]:
        """Return every finished cell, failed ones included, sorted by directory.

        Of two for the same model, scale, seed, data set and protocol it is the later one.

        Raises:
            StoreError: There is no run in this directory, or a record was written by a later version of sr-bench.
        """
        if not self.path.is_dir():
            raise StoreError(
                f"there is no run in '{self.path}'; `srbench run --suite NAME --out {self.path}` makes one."
            )
        latest: dict[tuple[str, int, int | None, str, str], Cell] = {}
        for directory in self._directories():
            record = read_finished(directory)
            if record is None:
                continue
            other = latest.get(record.identity)
            if other is None or other.record.created <= record.created:
                latest[record.identity] = Cell(record, directory)
        return sorted(latest.values(), key=lambda cell: cell.directory.name)

    def damaged(self) -> dict[str, str]:
        """Return the cells that cannot be used: directory -> why; readers leave them out."""
        found = {directory.name: examine(directory) for directory in self._directories()}
        return {name: reason for name, reason in found.items() if isinstance(reason, str)}

    def find(self, directory_name: str, key: str) -> Cell | None:
        """Return the finished cell of this name and key, or None; the cell may be a failed one.

        Raises:
            StoreError: The record was written by a later version of sr-bench.
        """
        record = read_finished(self.cells_path / directory_name)
        return None if record is None or record.key != key else Cell(record, self.cells_path / directory_name)

    def results_named(self, directory_name: str) -> Iterator[Cell | str]:
        """Yield the finished cells of a name, whatever code made them, the latest first; of damaged ones, why.

        Args:
            directory_name: As of `find`; its key does not count.
        """
        prefix = directory_name[:-KEY_LENGTH]
        found, damaged = [], []
        for directory in self.cells_path.glob(f"{prefix}*"):
            if len(directory.name) == len(directory_name):
                record = examine(directory)
                if isinstance(record, str):
                    damaged.append(f"'{directory.name}' is damaged: {record}")
                else:
                    found.append(Cell(record, directory))
        yield from sorted(found, key=lambda cell: cell.record.created, reverse=True)
        yield from sorted(damaged)

    def _directories(self) -> Iterator[Path]:
        if not self.cells_path.is_dir():
            return
        for directory in sorted(self.cells_path.iterdir()):
            if directory.is_dir() and not directory.name.startswith(_TEMPORARY):
                yield directory

    # Writing

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only run that writes here.

        Raises:
            StoreError: Another run is at work in this directory, or it cannot be written to.
        """
        with exclusive(self.path / ".lock", owner=f"'{self.path}'"):
            yield

    def begin(self, info: RunInfo) -> None:
        """Write `run.json`, unless it says the same already, and remove what killed runs left behind. Needs the lock.

        Raises:
            StoreError: The directory cannot be written to, or holds a run of another suite.
        """
        known = self.info()
        if known is not None and (known.suite, known.budget) != (info.suite, info.budget):
            held, asked = (f"'{i.suite}'" + (f" with budget '{i.budget}'" if i.budget else "") for i in (known, info))
            raise StoreError(f"'{self.path}' holds a run of suite {held}, not of {asked}; give another --out.")
        with disk_errors(self.path):
            self.sweep()
            self.cells_path.mkdir(parents=True, exist_ok=True)
        if known is None or known.model_copy(update={"created": info.created}) != info:
            write_atomic(self.path / "run.json", info.to_json().encode())

    def sweep(self) -> None:
        """Remove the leftovers of killed runs. Needs the lock: a running writer's files look the same."""
        for folder in (self.path, self.cells_path):
            for leftover in folder.glob(f"{_TEMPORARY}*"):
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)

    def write(
        self,
        record: Record,
        per_image: pd.DataFrame | None = None,
        images: Mapping[str, NDArray[np.uint8]] | None = None,
        *,
        speed: Mapping[str, Any] | None = None,
    ) -> Path:
        """Store one cell so that it is there wholly or not at all, and return its directory.

        Args:
            record: What was measured; `crops` is filled in from `images`.
            per_image: Columns `image` and the metrics; None for a failed cell.
            images: File name such as `baby.sr.png` -> crop, uint8 `(H, W, 3)`.
            speed: Timing and hardware, stored beside the result.

        Raises:
            StoreError: The disk is full or the place cannot be written to; nothing of this cell is left, and the others
                stay.
        """
        import pandas as pd

        contents: dict[str, bytes] = {}
        for name, image in sorted((images or {}).items()):
            contents[f"images/{name}"] = png(image)
        record = record.model_copy(update={"crops": sorted(contents), "created": self._not_before(record)})
        contents["per_image.parquet"] = parquet(pd.DataFrame({"image": []}) if per_image is None else per_image)
        contents["record.json"] = record.to_json().encode()
        final = self.cells_path / record.directory_name
        temporary = self.cells_path / f"{_TEMPORARY}{record.directory_name}-{os.getpid()}"
        with disk_errors(final):
            try:
                fill(temporary, contents, speed)
                self._publish(temporary, final)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        self.supersede(record)
        return final

    def adopt(self, cell: Cell, record: Record, per_image: pd.DataFrame | None = None) -> Path:
        """Store a finished cell again under another record of the same result, and return its directory.

        Args:
            cell: The cell; it is removed, as every earlier result of the same thing is.
            record: Its new record.
            per_image: Values that take the place of the cell's.

        Raises:
            StoreError: It cannot be read or written; the cell stays as it was.
        """
        marker = parse_json(read_text(cell.directory / "DONE", what="marker", error=StoreError))
        final = self.cells_path / record.directory_name
        temporary = self.cells_path / f"{_TEMPORARY}{record.directory_name}-{os.getpid()}"
        with disk_errors(final):
            try:
                contents = {name: (cell.directory / name).read_bytes() for name in marker["files"]}
                if per_image is not None:
                    contents["per_image.parquet"] = parquet(per_image)
                contents["record.json"] = record.to_json().encode()
                fill(temporary, contents, cell.speed)
                self._publish(temporary, final)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        self.supersede(record)
        return final

    def _not_before(self, record: Record) -> str:
        """Return when a record was made, or a second after the one that it follows: a clock may have been set back."""
        created = record.created
        for directory in self.cells_path.glob(f"{record.directory_name[:-KEY_LENGTH]}*"):
            other = read_finished(directory) if len(directory.name) == len(record.directory_name) else None
            if other is not None and other.identity == record.identity and other.created >= created:
                created = second_after(other.created)
        return created

    def _publish(self, temporary: Path, final: Path) -> None:
        aside: Path | None = None
        if final.exists():
            # Only a failed or damaged cell is ever written again under its key: nothing finished can get lost here.
            aside = self.cells_path / f"{_TEMPORARY}old-{final.name}-{os.getpid()}"
            os.rename(final, aside)
        os.rename(temporary, final)
        fsync_directory(self.cells_path)
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)

    def supersede(self, record: Record) -> None:
        """Remove results of the same model, scale, seed, data set and protocol that other code, weights or data gave.

        A failed cell removes earlier failures only: a result that was once right stays until there is a new one.
        """
        prefix = record.directory_name[:-KEY_LENGTH]
        for directory in self.cells_path.glob(f"{prefix}*"):
            if len(directory.name) != len(record.directory_name) or directory.name == record.directory_name:
                continue
            other = read_finished(directory)
            if other is not None and (
                other.identity != record.identity or (record.status, other.status) == ("failed", "ok")
            ):
                continue
            aside = self.cells_path / f"{_TEMPORARY}old-{directory.name}-{os.getpid()}"
            with disk_errors(directory):
                os.rename(directory, aside)
            shutil.rmtree(aside, ignore_errors=True)


def read_finished(directory: Path) -> Record | None:
    """Return a cell's record if its marker is there and agrees with every file; else None.

    Raises:
        StoreError: The record was written by a later version of sr-bench.
    """
    found = examine(directory)
    return found if isinstance(found, Record) else None


def examine(directory: Path) -> Record | str:
    """Return a cell's record if its marker is there and agrees with every file; else what is wrong with the cell.

    Raises:
        StoreError: The record was written by a later version of sr-bench.
    """
    try:
        marker = parse_json(read_text(directory / "DONE", what="marker", error=StoreError))
        files: dict[str, str] = marker["files"]
        if not {"record.json", "per_image.parquet"} <= files.keys():
            return "its marker names no record or no table of values"
        for name, digest in files.items():
            # A marker may come from anywhere, and must not have other files read.
            if Path(name).is_absolute() or ".." in Path(name).parts:
                return "its marker names a file outside of its folder"
            check_regular(directory / name, IMAGE_LIMIT, "file of a cell", StoreError)
            if sha256_file(directory / name) != digest:
                return f"'{name}' is not the file that was written"
        text = read_text(directory / "record.json", what="record", error=StoreError)
        parse_json(text)  # bounds the depth
    except StoreError as error:
        return str(error)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "its marker is damaged"
    _check_version(directory / "record.json", text)
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        return f"its record is not one: {problems_in(error)[0].sentence()}"


def _check_version(path: Path, text: str) -> None:
    try:
        version = parse_json(text).get("schema_version")
    except (ValueError, AttributeError):
        return
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise StoreError(
            f"'{path}' has schema version {version}; this sr-bench reads up to {SCHEMA_VERSION}: install a later one."
        )
