"""The two tables of a packed board: records, a few rows at a time, and the values of all cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srbench.errors import StoreError
from srbench.untrusted import check_regular

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["FoundValues", "KeptRows", "RecordsFile", "read_values"]

# Limits for a table: more than any board has, and few enough to fit into memory.
_MOST_ROWS, _MOST_COLUMNS, _LIMIT = 10**7, 1000, 4 * 1024**3
_TEXTS = ("cell", "record", "record_sha256", "values_sha256", "columns", "files", "speed")
_TOGETHER = 512  # rows of the table of records that are in memory at a time

FoundValues = dict[str, tuple[tuple[str, ...], Mapping[str, NDArray[np.float64]], int]]
"""Name of a cell -> the names of its images, the columns of all cells, and the first of its rows."""


class KeptRows:
    """Some rows of the table of records, compressed.

    Their texts are needed again only to write the cells elsewhere, and repeat so much that they take a tenth or less.

    Args:
        rows: The rows, with the columns of text.
    """

    def __init__(self, rows: pa.RecordBatch) -> None:
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        with pa.ipc.new_stream(sink, rows.schema, options=options) as stream:
            stream.write_batch(rows)
        self._content = sink.getvalue().to_pybytes()

    def __getitem__(self, number: int) -> dict[str, Any]:
        rows = _expanded(self)
        return {name: rows[name][number].as_py() for name in _TEXTS}

    def expanded(self) -> pa.RecordBatch:
        """Return the rows as they were."""
        import pyarrow as pa

        with pa.ipc.open_stream(self._content) as stream:
            return stream.read_next_batch()


@lru_cache(maxsize=1)
def _expanded(rows: KeptRows) -> pa.RecordBatch:
    return rows.expanded()  # cells are usually written in the order of their rows


class RecordsFile:
    """The table of records, open for reading; it stays the same if the file is replaced meanwhile.

    Args:
        path: The file.

    Raises:
        StoreError: It cannot be read, or lacks columns.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _opened(path)
        if missing := [name for name in _TEXTS if name not in self._file.schema_arrow.names]:
            self._file.close()
            raise StoreError(f"'{path}' is not a table of records: it lacks the column {', '.join(missing)}.")

    def __enter__(self) -> RecordsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __iter__(self) -> Iterator[tuple[list[dict[str, Any]], KeptRows]]:
        """Yield some rows at a time: each with the values of the columns of text, and all of them to be kept.

        Raises:
            StoreError: The file cannot be read.
        """
        import pyarrow as pa

        batches = self._file.iter_batches(_TOGETHER, columns=list(_TEXTS), use_threads=False)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                columns = [batch[name].to_pylist() for name in _TEXTS]
                kept = KeptRows(batch)
            except (OSError, ValueError, pa.ArrowException) as error:
                raise _unreadable(self._path, error) from error
            yield [dict(zip(_TEXTS, row, strict=True)) for row in zip(*columns, strict=True)], kept


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(f"'{path}' cannot be read ({error}); restore the packed board.")


def _opened(path: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_regular(path, _LIMIT, "table of a packed board", StoreError)
        file = pq.ParquetFile(path)
        about = file.metadata
        if about.num_rows > _MOST_ROWS or about.num_columns > _MOST_COLUMNS:
            file.close()
            raise ValueError(f"it has {about.num_rows:,} rows and {about.num_columns:,} columns")
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            file.close()
            raise ValueError("it has two columns of one name")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    return file


def read_values(path: Path) -> FoundValues:
    """Return for each cell the names of its images, the columns, and the first of its rows, which are contiguous.

    Raises:
        StoreError: The file cannot be read, or is not a table of values.
    """
    import pyarrow as pa

    try:
        with _opened(path) as file:
            table = file.read().combine_chunks()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    floats = [name for name in table.column_names if table.schema.field(name).type == pa.float64()]
    if not {"cell", "image"} <= set(table.column_names):
        raise StoreError(f"'{path}' is not a table of values: it needs the columns 'cell' and 'image'.")
    try:
        names, cells = _different(table["cell"])
        different, kinds = _different(table["image"])
    except pa.ArrowException as error:
        raise StoreError(f"'{path}' is not a table of values: {error}.") from error
    images = [different[index] for index in kinds.tolist()]
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in floats}
    starts = np.concatenate([[0], np.flatnonzero(cells[1:] != cells[:-1]) + 1]) if len(cells) else np.empty(0, int)
    ends = np.append(starts[1:], len(cells)) if len(cells) else starts
    found: FoundValues = {}
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        name = str(names[cells[start]])
        # Rows of one cell in two places: left by an interrupted addition; neither is certain to be complete.
        own = tuple(images[start : end if name not in found else start])
        found[name] = (alike.setdefault(own, own), columns, start)
    return found


def _different(texts: pa.ChunkedArray) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the different texts of a column, None being the last, and the number of each row's text in them."""
    import pyarrow as pa

    kinds = texts.cast(pa.string()).combine_chunks().dictionary_encode()
    return [*kinds.dictionary.to_pylist(), None], kinds.indices.fill_null(len(kinds.dictionary)).to_numpy()
