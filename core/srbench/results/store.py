"""The results of a run: one record per cell, in a directory each.

Packed results (`packed`) are read through the same methods.

    RUN_DIR/run.json                         the description of the run (RunInfo)
    RUN_DIR/cells/<slug>/record.json         the result (Record)
                        /per_image.parquet   columns: image, one per metric
                        /images/*.png        crops, of freely licensed images only
                        /speed.json          timing and hardware (not part of the result)
                        /DONE                SHA-256 of each of the files above except speed.json
    RUN_DIR/models/<slug>/                   networks trained by the run

A cell's directory is written under a temporary name, synced, and renamed, so it is either complete or absent. It is
valid only if its marker matches its content (docs/adr/0005-results-store.md).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import StoreError
from srbench.storage import disk_errors, exclusive, fsync_directory, write_atomic

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

from srbench.results.cell_files import fill, parquet, png
from srbench.results.cells import Cell, examine, latest_of, read_finished
from srbench.results.packed import PackedStore, is_packed
from srbench.results.records import KEY_LENGTH, Record, RunInfo, second_after
from srbench.results.run_info import read_info

__all__ = ["Cell", "RunStore", "examine", "read_finished"]

_TEMPORARY = ".tmp-"


class RunStore:
    """Store the cells of one run directory; reading never writes, and writing never leaves a partial cell.

    Only one process may write at a time (`lock`); any number of processes may read meanwhile.
    """

    def __init__(self, path: str | Path) -> None:
        """Initialize the store for a directory, without reading or writing anything yet."""
        self.path = Path(path)
        self.cells_path = self.path / "cells"
        self.models_path = self.path / "models"
        # Directories by the part of their names before the key, and the folder's state when they were listed.
        self._names: dict[str, set[str]] = {}
        self._listed: tuple[int, int] | None = None
        # Hashes of the data sets being measured: their results are kept even if another data set has the same name.
        self.measured_data: frozenset[str] = frozenset()

    # Reading

    def info(self) -> RunInfo | None:
        """Return the content of `run.json`, or None if the file does not exist.

        Raises:
            StoreError: The file is damaged or was written by a later version.
        """
        return read_info(self.path)

    @property
    def packed(self) -> PackedStore | None:
        """Return the reader of the packed board if this folder holds one, else None."""
        return PackedStore(self.path) if is_packed(self.path) else None

    def cells(self) -> list[Cell]:
        """Return every finished cell, including failed ones, sorted by directory.

        Of several for the same model, scale, seed, data set and protocol, only the latest (`cells.latest_of`).

        Raises:
            StoreError: There is no run in this directory, or a record was written by a later version of sr-bench.
        """
        return self.read()[0]

    def read(self) -> tuple[list[Cell], dict[str, str]]:
        """Return the results of `cells` and `damaged`, reading and hashing each file only once.

        Raises:
            StoreError: As for `cells`.
        """
        if not self.path.is_dir():
            raise StoreError(
                f"there is no run in '{self.path}'; `srbench run --suite NAME --out {self.path}` makes one."
            )
        found, damaged = self.all_cells()
        return latest_of(found), damaged

    def all_cells(self) -> tuple[list[Cell], dict[str, str]]:
        """Return every finished cell, including superseded ones, and the damaged ones: directory -> reason.

        Raises:
            StoreError: A record was written by a later version of sr-bench.
        """
        if (packed := self.packed) is not None:
            readable, damaged = packed.all_cells()
            return list[Cell](readable), damaged
        cells, damaged = [], {}
        for directory in self._directories():
            found = examine(directory)
            if isinstance(found, str):
                damaged[directory.name] = found
            else:
                cells.append(Cell(found, directory))
        return cells, damaged

    def damaged(self) -> dict[str, str]:
        """Return the damaged cells, which readers leave out: directory -> reason."""
        return self.all_cells()[1]

    def find(self, directory_name: str, key: str) -> Cell | None:
        """Return the finished cell with this name and key, or None; it may be a failed cell.

        Raises:
            StoreError: The record was written by a later version of sr-bench.
        """
        if (packed := self._packed_for_finding) is not None:
            return packed.find(directory_name, key)
        record = read_finished(self.cells_path / directory_name)
        return None if record is None or record.key != key else Cell(record, self.cells_path / directory_name)

    @cached_property
    def _packed_for_finding(self) -> PackedStore | None:
        return self.packed  # read once, because a run looks up every cell of its plan

    def results_named(self, directory_name: str) -> Iterator[Cell | str]:
        """Yield the finished cells of a name, of any version of the code, latest first; for damaged ones, the reason.

        Args:
            directory_name: As for `find`; the key in it is ignored.
        """
        found, damaged = [], []
        for directory in self._alike(directory_name):
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

    def _alike(self, directory_name: str) -> list[Path]:
        """Return the directories whose names differ from this one at most in the key."""
        state = self._state()
        if state is None:
            return []
        if state != self._listed:
            self._names = {}
            for name in os.listdir(self.cells_path):
                if not name.startswith(_TEMPORARY):
                    self._names.setdefault(name[:-KEY_LENGTH], set()).add(name)
            self._listed = state
        return [self.cells_path / name for name in sorted(self._names.get(directory_name[:-KEY_LENGTH], ()))]

    def _state(self) -> tuple[int, int] | None:
        """Return a value that changes with every entry of the folder of cells, or None if it does not exist."""
        try:
            status = self.cells_path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_nlink

    def _changed(self, *, added: str = "", removed: str = "") -> None:
        """Update the list of directories after a change by this process, which holds the lock."""
        self._names.get(removed[:-KEY_LENGTH], set()).discard(removed)
        if added:
            self._names.setdefault(added[:-KEY_LENGTH], set()).add(added)
        self._listed = self._state()

    # Writing

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the directory for writing.

        Raises:
            StoreError: Another run is using the directory, or it cannot be written to.
        """
        with exclusive(self.path / ".lock", owner=f"'{self.path}'"):
            yield

    def check_writable(self) -> None:
        """Refuse to write into a packed board.

        Raises:
            StoreError: The folder holds one.
        """
        if is_packed(self.path):
            raise StoreError(
                f"'{self.path}' holds a packed board, to which no run can write; make a run directory of it: "
                f"srbench leaderboard unpack {self.path} --out DIR"
            )

    def begin(self, info: RunInfo) -> None:
        """Write `run.json` if it has changed, and remove leftovers of killed runs. Requires the lock.

        Raises:
            StoreError: The directory cannot be written to, or holds a run of another suite.
        """
        self.check_writable()
        known = self.info()
        if known is not None and known.asked != info.asked:
            held, asked = (i.asked for i in (known, info))
            raise StoreError(f"'{self.path}' holds a run of suite {held}, not of {asked}; give another --out.")
        with disk_errors(self.path):
            self.sweep()
            self.cells_path.mkdir(parents=True, exist_ok=True)
            os.scandir(self.cells_path).close()  # what cannot be read would be measured again
        if known is None or known.model_copy(update={"created": info.created}) != info:
            write_atomic(self.path / "run.json", info.to_json().encode())

    def sweep(self) -> None:
        """Remove leftovers of killed runs. Requires the lock, because files of a running writer look the same."""
        _sweep(self.path, self.cells_path)

    def sweep_trainings(self) -> None:
        """Remove leftovers of trainings that were killed. Requires the lock, and that none is running."""
        _sweep(*(self.path / "models").glob("*"))

    def write(
        self,
        record: Record,
        per_image: pd.DataFrame | None = None,
        images: Mapping[str, NDArray[np.uint8]] | None = None,
        *,
        speed: Mapping[str, Any] | None = None,
    ) -> Path:
        """Store one cell atomically, and return its directory.

        Args:
            record: The result; `crops` is filled in from `images`.
            per_image: Columns `image` and the metrics; None for a failed cell.
            images: File name such as `baby.sr.png` -> crop, uint8 `(H, W, 3)`.
            speed: Timing and hardware, stored beside the result.

        Raises:
            StoreError: The disk is full or the directory cannot be written to; nothing of this cell is left, and other
                cells are unaffected.
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
        """Store a finished cell under a new record of the same result, and return its directory.

        Args:
            cell: The cell; it is removed, like every earlier result for the same thing.
            record: Its new record.
            per_image: Values that replace those of the cell.

        Raises:
            StoreError: The cell cannot be read or written; it stays unchanged.
        """
        final = self.cells_path / record.directory_name
        temporary = self.cells_path / f"{_TEMPORARY}{record.directory_name}-{os.getpid()}"
        with disk_errors(final):
            try:
                contents = {name: cell.read(name) for name in cell.files}
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
        """Return a record's time, or one second after the record it replaces if the clock has been set back."""
        created = record.created
        for directory in self._alike(record.directory_name):
            other = read_finished(directory)
            if other is not None and self._replaces(record, other) and other.created >= created:
                created = second_after(other.created)
        return created

    def _publish(self, temporary: Path, final: Path) -> None:
        aside: Path | None = None
        if final.exists():
            # Only failed or damaged cells are rewritten under the same key, so no finished result can get lost.
            aside = self.cells_path / f"{_TEMPORARY}old-{final.name}-{os.getpid()}"
            os.rename(final, aside)
        os.rename(temporary, final)
        fsync_directory(self.cells_path)
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        self._changed(added=final.name)

    def supersede(self, record: Record) -> None:
        """Remove earlier results for the same model, scale, seed, data set and protocol.

        They have other code, weights or data. A failed cell replaces only failures: a result is kept until there is a
        new one.
        """
        for directory in self._alike(record.directory_name):
            if directory.name == record.directory_name:
                continue
            other = read_finished(directory)
            if other is not None and (
                not self._replaces(record, other) or (record.status, other.status) == ("failed", "ok")
            ):
                continue
            aside = self.cells_path / f"{_TEMPORARY}old-{directory.name}-{os.getpid()}"
            with disk_errors(directory):
                os.rename(directory, aside)
            shutil.rmtree(aside, ignore_errors=True)
            self._changed(removed=directory.name)

    def _replaces(self, record: Record, other: Record) -> bool:
        """Return whether two records are of one cell: same names, and the same images or the same (changed) folder.

        Records of schema versions 1 and 2 do not name their folder; then each name had only one.
        """
        if record.place != other.place:
            return False
        if record.dataset_hash == other.dataset_hash:
            return True
        return other.dataset_source in ("", record.dataset_source) and other.dataset_hash not in self.measured_data


def _sweep(*folders: Path) -> None:
    for folder in folders:
        for leftover in folder.glob(f"{_TEMPORARY}*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
