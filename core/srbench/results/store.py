"""What a run leaves behind: one record per cell, and where it is kept.

Either a directory per cell, as described here, or packed (`packed`), which is read through the same methods.

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
    """Keep the cells of one run directory; reading never writes, and writing never leaves half a cell.

    One process at a time may write (`lock`); any number may read meanwhile.
    """

    def __init__(self, path: str | Path) -> None:
        """Name the directory; nothing is read or written yet."""
        self.path = Path(path)
        self.cells_path = self.path / "cells"
        self.models_path = self.path / "models"
        # Directories by what their names have before the key, and the state of the folder that they were listed in.
        self._names: dict[str, set[str]] = {}
        self._listed: tuple[int, int] | None = None
        # Hashes of the data sets that are measured now: what is known of them is kept, whatever has the same name.
        self.measured_data: frozenset[str] = frozenset()

    # Reading

    def info(self) -> RunInfo | None:
        """Return what `run.json` says, or None where there is none.

        Raises:
            StoreError: The file is damaged or was written by a later version.
        """
        return read_info(self.path)

    @property
    def packed(self) -> PackedStore | None:
        """Return the reader of the packed board that is here instead of cells, if one is."""
        return PackedStore(self.path) if is_packed(self.path) else None

    def cells(self) -> list[Cell]:
        """Return every finished cell, failed ones included, sorted by directory.

        Of two for the same model, scale, seed, data set and protocol it is the later one (`cells.latest_of`).

        Raises:
            StoreError: There is no run in this directory, or a record was written by a later version of sr-bench.
        """
        return self.read()[0]

    def read(self) -> tuple[list[Cell], dict[str, str]]:
        """Return what `cells` and what `damaged` return; each file is read and hashed once for both.

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
        """Return every finished cell, later ones of the same thing or not, then of the others: directory -> why.

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
        """Return the cells that cannot be used: directory -> why; readers leave them out."""
        return self.all_cells()[1]

    def find(self, directory_name: str, key: str) -> Cell | None:
        """Return the finished cell of this name and key, or None; the cell may be a failed one.

        Raises:
            StoreError: The record was written by a later version of sr-bench.
        """
        if (packed := self._packed_for_finding) is not None:
            return packed.find(directory_name, key)
        record = read_finished(self.cells_path / directory_name)
        return None if record is None or record.key != key else Cell(record, self.cells_path / directory_name)

    @cached_property
    def _packed_for_finding(self) -> PackedStore | None:
        return self.packed  # read once: a run looks for every cell of its plan

    def results_named(self, directory_name: str) -> Iterator[Cell | str]:
        """Yield the finished cells of a name, whatever code made them, the latest first; of damaged ones, why.

        Args:
            directory_name: As of `find`; its key does not count.
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
        """Return the directories whose names differ from this one in the key only, or not at all."""
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
        """Return what changes with every entry of the folder of cells, None where there is none."""
        try:
            status = self.cells_path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_nlink

    def _changed(self, *, added: str = "", removed: str = "") -> None:
        """Keep the list of directories up to date with what this process, which holds the lock, has changed."""
        self._names.get(removed[:-KEY_LENGTH], set()).discard(removed)
        if added:
            self._names.setdefault(added[:-KEY_LENGTH], set()).add(added)
        self._listed = self._state()

    # Writing

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only run that writes here.

        Raises:
            StoreError: Another run is at work in this directory, or it cannot be written to.
        """
        with exclusive(self.path / ".lock", owner=f"'{self.path}'"):
            yield

    def check_writable(self) -> None:
        """Refuse to write where a packed board is.

        Raises:
            StoreError: One is.
        """
        if is_packed(self.path):
            raise StoreError(
                f"'{self.path}' holds a packed board, to which no run can write; make a run directory of it: "
                f"srbench leaderboard unpack {self.path} --out DIR"
            )

    def begin(self, info: RunInfo) -> None:
        """Write `run.json`, unless it says the same already, and remove what killed runs left behind. Needs the lock.

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
        """Return when a record was made, or a second after the one that it follows: a clock may have been set back."""
        created = record.created
        for directory in self._alike(record.directory_name):
            other = read_finished(directory)
            if other is not None and self._replaces(record, other) and other.created >= created:
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
        self._changed(added=final.name)

    def supersede(self, record: Record) -> None:
        """Remove results of the same model, scale, seed, data set and protocol that other code, weights or data gave.

        A failed cell removes earlier failures only: a result that was once right stays until there is a new one.
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
        """Say whether two records are of one cell: same names, and the same images or the same folder, since changed.

        Records of schema versions 1 and 2 do not say which folder they are of, and there was one of each name only.
        """
        if record.place != other.place:
            return False
        if record.dataset_hash == other.dataset_hash:
            return True
        return other.dataset_source in ("", record.dataset_source) and other.dataset_hash not in self.measured_data
