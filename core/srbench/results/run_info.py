"""Read `run.json`, the description of a run."""

from __future__ import annotations

from pathlib import Path

from srbench.errors import StoreError
from srbench.results.cells import check_version
from srbench.results.records import RUN_SCHEMA_VERSION, RunInfo
from srbench.untrusted import parse_json, read_text

__all__ = ["read_info"]


def read_info(folder: Path) -> RunInfo | None:
    """Return the content of a folder's `run.json`, or None if the file does not exist.

    Raises:
        StoreError: The file is damaged or was written by a later version.
    """
    path = folder / "run.json"
    if not path.exists():
        return None
    text = read_text(path, what="run's description", error=StoreError)
    check_version(path, text, RUN_SCHEMA_VERSION)
    try:
        parse_json(text)  # bounds the depth
        return RunInfo.model_validate_json(text)
    except ValueError as error:
        raise StoreError(f"'{path}' is not a run's description; remove it and run the suite again.") from error
