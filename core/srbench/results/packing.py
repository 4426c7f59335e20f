"""Writing packed boards: pack and unpack run directories, and add the rows of another run."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srbench.errors import StoreError
from srbench.results.cell_files import fill
from srbench.results.cells import Cell, latest_of
from srbench.results.packed import IMAGES, RECORDS, VALUES, PackedCell, PackedStore, Values, is_packed, row_of
from srbench.results.records import Record, RunInfo
from srbench.results.store import RunStore
from srbench.storage import disk_errors, exclusive, fsync_directory, remove_leftovers, sha256_bytes, write_synced
from srbench.untrusted import IMAGE_LIMIT, parse_json, read_bytes, read_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Packed", "add", "open_results", "pack", "unpack", "write_board"]

WAIT = 120.0  # seconds that an addition waits for another


@dataclass(frozen=True)
class Packed:
    """The result of writing a board.

    Attributes:
        path: The folder that was written.
        cells: Number of cells.
        damaged: Invalid cells, which were left out: name -> reason.
    """

    path: Path
    cells: int
    damaged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Row:
    """A cell to be written to a board: its row, its values, and the source of its crops."""

    row: dict[str, Any]
    values: Values
    cell: Cell

    @property
    def name(self) -> str:
        return str(self.row["cell"])

    @property
    def files(self) -> dict[str, str]:
        found: dict[str, str] = parse_json(self.row["files"])
        return found


def open_results(path: str | Path) -> RunStore | PackedStore:
    """Return a reader for the results in a folder: a run directory or a packed board."""
    return PackedStore(path) if is_packed(path) else RunStore(path)


def pack(run_dir: str | Path, out: str | Path) -> Packed:
    """Write the results of a run directory as a packed board; equal results give equal bytes.

    Args:
        run_dir: A directory that `srbench run` wrote, or a packed board.
        out: The folder for the board; an existing board is replaced.

    Raises:
        StoreError: There are no results in `run_dir`, it holds something that a board cannot store, or `out` cannot be
            written to; an existing board stays unchanged.
    """
    return _write(run_dir, out, replace=True)


def add(run_dir: str | Path, board: str | Path) -> Packed:
    """Add the results of a run directory to a packed board, keeping the later of two results for the same thing.

    Concurrent additions wait for each other.

    Raises:
        StoreError: There are no results in `run_dir`, it is a run of another suite, or the board cannot be written to.
    """
    return _write(run_dir, board, replace=False)


def write_board(out: str | Path, cells: Iterable[tuple[Record, Values]], info: RunInfo) -> Packed:
    """Write a packed board from records and values in memory, without crops and times.

    Raises:
        StoreError: The folder cannot be written to.
    """
    out = Path(out)
    rows = [
        _Row(row_of(record.directory_name, record.to_json(), values, {}, None), values, Cell(record, out))
        for record, values in cells
    ]
    with exclusive(out / ".lock", owner=f"'{out}'", wait=WAIT, remove=True), disk_errors(out):
        _publish(out, [], rows, info.to_json())
    return Packed(out, len(rows))


def unpack(board: str | Path, out: str | Path) -> Packed:
    """Write a packed board as a run directory, which `srbench run` can continue.

    Args:
        board: A packed board.
        out: The directory, which must be empty or not exist.

    Raises:
        StoreError: There is no board, `out` is not empty, or it cannot be written to.
    """
    board, out = Path(board), Path(out)
    if not is_packed(board):
        raise StoreError(f"'{board}' holds no packed board: there is no {RECORDS} in it.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(f"'{out}' is there and is not an empty folder; give another one to unpack into.")
    cells, damaged = PackedStore(board).all_cells()
    temporary = out.parent / f".tmp-{out.name}-{os.getpid()}"
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out.parent, f".tmp-{out.name}-", own=True)
        try:
            (temporary / "cells").mkdir(parents=True)
            if (board / "run.json").exists():
                write_synced(temporary / "run.json", read_bytes(board / "run.json", error=StoreError))
            for cell in cells:
                fill(temporary / "cells" / cell.name, {name: cell.read(name) for name in cell.files}, None)
                if cell.row["speed"]:
                    write_synced(temporary / "cells" / cell.name / "speed.json", cell.row["speed"].encode())
            fsync_directory(temporary / "cells")
            if out.exists():
                out.rmdir()
            os.rename(temporary, out)
            fsync_directory(out.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return Packed(out, len(cells), damaged)


def _write(run_dir: str | Path, out: str | Path, *, replace: bool) -> Packed:
    source, out = open_results(run_dir), Path(out)
    if source.path.resolve() == out.resolve():
        raise StoreError(f"'{out}' cannot be packed into itself; give another --out.")
    if isinstance(source, RunStore) and not source.cells_path.is_dir():
        raise StoreError(f"there are no results in '{source.path}'; give a directory that `srbench run` wrote.")
    if (out / "cells").exists():
        raise StoreError(f"'{out}' is a run directory; give another --out for the packed board.")
    cells, damaged = source.all_cells()
    rows = [_row(cell) for cell in cells]
    with exclusive(out / ".lock", owner=f"'{out}'", wait=WAIT, remove=True), disk_errors(out):
        text = read_text(source.path / "run.json", error=StoreError) if source.info() is not None else None
        old: list[_Row] = []
        if is_packed(out):
            there = PackedStore(out)
            found, broken = there.all_cells()
            if not replace and broken:
                name, why = next(iter(broken.items()))
                raise StoreError(f"the board '{out}' is damaged: {name}: {why}; restore it first.")
            old = [_row(cell) for cell in found]
            mine, its = source.info(), there.info()
            if not replace and mine is not None and its is not None:
                if mine.asked != its.asked:
                    raise StoreError(f"'{out}' holds results of suite {its.asked}, not of {mine.asked}.")
                text = read_text(out / "run.json", error=StoreError)
        _publish(out, old, rows if replace else _joined(old, rows), text)
    return Packed(out, len(rows if replace else _joined(old, rows)), damaged)


def _joined(old: Sequence[_Row], new: Sequence[_Row]) -> list[_Row]:
    """Return the rows of two boards, keeping the later of two rows for the same thing."""
    by_name: dict[str, _Row] = {}
    for row in (*old, *new):
        other = by_name.get(row.name)
        if other is None or other.cell.record.created <= row.cell.record.created:
            by_name[row.name] = row
    # A failure does not replace a result.
    finished = {row.cell.record.identity for row in by_name.values() if row.cell.record.status == "ok"}
    cells = [
        _Named(row.cell.record, row.cell.directory, row.name)
        for row in by_name.values()
        if row.cell.record.status == "ok" or row.cell.record.identity not in finished
    ]
    return [by_name[cell.name] for cell in latest_of(cells)]


class _Named(Cell):
    def __init__(self, record: Any, directory: Path, name: str) -> None:
        super().__init__(record, directory)
        self._name = name

    @property
    def name(self) -> str:
        return self._name


def _row(cell: Cell) -> _Row:
    """Return a cell as a row.

    Raises:
        StoreError: It holds something that a board cannot store.
    """
    if isinstance(cell, PackedCell):
        return _Row(dict(cell.row), cell.values, cell)
    files = {name: digest for name, digest in cell.hashes.items() if name.startswith("images/")}
    other = sorted(set(cell.files) - set(files) - {"record.json", "per_image.parquet"})
    if other:
        raise StoreError(f"'{cell.directory}' holds '{other[0]}', which a packed board cannot store.")
    speed = cell.directory / "speed.json"
    return _Row(
        row_of(
            cell.name,
            read_text(cell.directory / "record.json", what="record", error=StoreError),
            values := _values_of(cell),
            files,
            read_text(speed, error=StoreError) if speed.exists() else None,
        ),
        values,
        cell,
    )


def _values_of(cell: Cell) -> Values:
    table: pd.DataFrame = cell.per_image
    columns = [str(name) for name in table.columns]
    if "image" not in columns or "cell" in columns or len(set(columns)) != len(columns):
        raise StoreError(f"the table of values of '{cell.directory}' has the columns {', '.join(columns)}; it needs "
                         "'image' and a column per metric.")  # fmt: skip
    found = {}
    for name in columns:
        if name == "image":
            continue
        if table[name].dtype != np.float64:
            raise StoreError(
                f"'{name}' in the table of values of '{cell.directory}' is of type {table[name].dtype}; a packed board "
                "holds 64-bit floating-point numbers."
            )
        found[name] = table[name].to_numpy()
    return Values([str(image) for image in table["image"]], found)


def _publish(out: Path, old: Sequence[_Row], rows: Sequence[_Row], info: str | None) -> None:
    """Write a board over an existing one, so that readers only ever see complete rows.

    Crops are written first, then the values of old and new rows together, then the new records, at which moment the
    board changes; finally, what only old rows needed is removed.
    """
    _sweep(out)
    rows = sorted(rows, key=lambda row: row.name)
    names = {row.name for row in rows}
    for row in rows:
        for file, digest in row.files.items():
            _copy(row.cell.directory / file, out / IMAGES / row.name / file, digest)
    if info is not None:
        _replace(out / "run.json", info.encode())
    leaving = [row for row in old if row.name not in names]
    if leaving:
        _replace(out / VALUES, _values_file([*rows, *leaving]))
        _replace(out / RECORDS, _records_file(rows))
        _replace(out / VALUES, _values_file(rows))
    else:
        _replace(out / VALUES, _values_file(rows))
        _replace(out / RECORDS, _records_file(rows))
    images = out / IMAGES
    for folder in sorted(images.iterdir()) if images.is_dir() else []:
        if folder.name not in {row.name for row in rows if row.files}:
            shutil.rmtree(folder, ignore_errors=True)
    if images.is_dir() and not any(images.iterdir()):
        images.rmdir()


def _sweep(out: Path) -> None:
    """Remove the files of killed writers; needs the lock. One that wrote what is there by now left its copy behind."""
    for path in (*out.glob(".tmp-*"), *(out / IMAGES).rglob(".tmp-*")):
        if path.is_file():
            path.unlink(missing_ok=True)


def _replace(path: Path, data: bytes) -> None:
    if path.exists() and read_bytes(path, limit=4 * 1024**3, error=StoreError) == data:
        return
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        write_synced(temporary, data)
        os.replace(temporary, path)
        fsync_directory(path.parent)
        remove_leftovers(path.parent, f".tmp-{path.name}-")
    finally:
        temporary.unlink(missing_ok=True)


def _copy(source: Path, target: Path, digest: str) -> None:
    if target.exists() and sha256_bytes(read_bytes(target, limit=IMAGE_LIMIT, error=StoreError)) == digest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    _replace(target, read_bytes(source, limit=IMAGE_LIMIT, error=StoreError))


def _records_file(rows: Sequence[_Row]) -> bytes:
    import pyarrow as pa

    records = [row.cell.record for row in rows]
    whole = pa.int64()

    def text(name: str) -> Any:
        return pa.array([row.row[name] for row in rows], pa.string())

    def shown(name: str) -> Any:
        return pa.array([getattr(record, name) for record in records], pa.string())

    return _file(
        pa.table(
            {
                "cell": text("cell"),
                **{name: shown(name) for name in ("key", "status", "model", "backbone", "method", "tag", "tier")},
                "scale": pa.array([record.scale for record in records], whole),
                "seed": pa.array([record.place[2] for record in records], whole),
                **{name: shown(name) for name in ("dataset", "dataset_hash", "protocol", "protocol_digest", "created")},
                "images": pa.array([record.images for record in records], whole),
                **{name: text(name) for name in ("record", "record_sha256", "values_sha256", "columns", "files")},
                "speed": text("speed"),
            }
        )
    )


def _values_file(rows: Sequence[_Row]) -> bytes:
    """Return the per-image values of all cells, in the order of the rows; metrics that a cell lacks are missing."""
    import pyarrow as pa

    metrics = sorted({name for row in rows for name in row.values.columns})
    sizes = [len(row.values.images) for row in rows]
    cells = np.repeat(np.arange(len(rows)), sizes)
    images = [image for row in rows for image in row.values.images]
    columns: dict[str, Any] = {
        "cell": pa.DictionaryArray.from_arrays(
            pa.array(cells, pa.int32()), pa.array([row.name for row in rows], pa.string())
        ),
        "image": pa.array(images, pa.string()).dictionary_encode(),
    }
    for metric in metrics:
        parts: Iterable[Any] = (row.values.columns.get(metric) for row in rows)
        known = [np.full(size, part is None) for part, size in zip(parts, sizes, strict=True)]
        values = [row.values.columns.get(metric, np.zeros(size)) for row, size in zip(rows, sizes, strict=True)]
        columns[metric] = pa.array(
            np.concatenate([np.empty(0), *values]), pa.float64(), mask=np.concatenate([np.empty(0, bool), *known])
        )
    return _file(pa.table(columns))


def _file(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    # Records repeat a lot of text: a slow compressor with a good ratio pays off, since a file is written once.
    pq.write_table(table, stream, compression="zstd", compression_level=19, store_schema=True)
    return stream.getvalue()
