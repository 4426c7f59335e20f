"""The files of a cell, as bytes and on disk."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.storage import canonical_json, fsync_directory, sha256_bytes, write_synced

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["fill", "parquet", "png"]


def fill(directory: Path, contents: Mapping[str, bytes], speed: Mapping[str, Any] | None) -> None:
    """Write a cell's files, then the marker with their hashes, and sync them all.

    Args:
        directory: The target; it is emptied first.
        contents: Path in the directory -> bytes.
        speed: Timing and hardware; not covered by the marker.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    if any(name.startswith("images/") for name in contents):
        (directory / "images").mkdir()
    for name, data in contents.items():
        write_synced(directory / name, data)
    if speed is not None:
        write_synced(directory / "speed.json", (json.dumps(speed, indent=2, sort_keys=True) + "\n").encode())
    marker = {"files": {name: sha256_bytes(data) for name, data in contents.items()}}
    write_synced(directory / "DONE", (canonical_json(marker) + "\n").encode())
    for folder in (directory / "images", directory):
        if folder.is_dir():
            fsync_directory(folder)


def png(image: NDArray[np.uint8]) -> bytes:
    """Return an image as a PNG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def parquet(table: pd.DataFrame) -> bytes:
    """Return a table as a Parquet file."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return stream.getvalue()
