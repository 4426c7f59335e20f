"""Replays: which rows were measured again, by whom, and with which outcome (docs/adr/0026-what-a-row-claims.md).

    RUN_DIR/replays.json    one entry for each replayed row, beside `run.json`

A row without a replay is *submitted*. An entry is valid only for the result whose hash it contains: editing a figure of
the row invalidates its entry.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from srbench.errors import StoreError
from srbench.results.store import Cell, RunStore
from srbench.storage import canonical_json, exclusive, write_atomic
from srbench.untrusted import parse_json, read_text
from srbench.validation import problems_in

if TYPE_CHECKING:
    from srbench.results.records import Record

__all__ = [
    "REPLAYED",
    "SUBMITTED",
    "Outcome",
    "Replay",
    "add_replays",
    "read_replays",
    "replay_command",
    "stored_sha256",
]

REPLAYS = "replays.json"
SUBMITTED, REPLAYED = "submitted", "replayed here"
_PATIENCE = 30  # seconds to wait for another process that adds entries

Outcome = Literal["equal", "within tolerance", "differs", "failed"]
_Text = Annotated[str, Field(max_length=2000)]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class Replay(_Schema):
    """The outcome of measuring one row again.

    Attributes:
        cell: The row's key.
        stored_sha256: Hash of the row's result at that time (`stored_sha256`).
        outcome: `equal` to the last bit, `within tolerance`, `differs`, or `failed` if it could not be measured.
        largest_difference: Metric -> largest difference of one image; empty if all are equal.
        reason: For the last two outcomes, what is wrong.
        training: `repeated` if the model was trained again; otherwise empty.
        by: Who replayed it: `CI` with the URL of its job, or a person.
        commit: Commit of the code that replayed it; empty if unknown.
        dirty: Whether that code had uncommitted changes.
        code: Whether the row was produced by `the same` code or by `other` code.
        date: ISO 8601, UTC.
        platform: Operating system and processor.
        versions: Of srbench, torch, numpy and python.
        threads: CPU threads.
    """

    cell: _Text
    stored_sha256: _Text
    outcome: Outcome
    largest_difference: dict[str, float] = {}
    reason: _Text = ""
    training: _Text = ""
    by: _Text
    commit: _Text = ""
    dirty: bool = False
    code: _Text = ""
    date: _Text
    platform: _Text = ""
    versions: dict[str, str] = {}
    threads: int = 1

    @property
    def agrees(self) -> bool:
        """Whether the replay confirmed the row."""
        return self.outcome in ("equal", "within tolerance")

    @property
    def state(self) -> str:
        """The row's state in tables: `replayed here`, or `submitted` if the replay did not agree."""
        return REPLAYED if self.agrees else SUBMITTED


class _Log(_Schema):
    """All entries of a run directory, in the order of their addition."""

    schema_version: Literal[1] = 1
    replays: list[Replay] = []


def stored_sha256(cell: Cell) -> str:
    """Return the hash of a result: its record and each image's values, however they are stored.

    Fields at their defaults and the schema version are left out, so that a record keeps its hash when it is stored
    again under a later schema version.
    """
    text = cell.record.model_dump_json(exclude={"schema_version"}, exclude_defaults=True)
    table = cell.per_image
    values = {str(name): [_exact(value) for value in table[name]] for name in table.columns}
    return hashlib.sha256(canonical_json({"record": json.loads(text), "values": values}).encode()).hexdigest()


def _exact(value: object) -> str:
    return value.hex() if isinstance(value, float) else str(value)


def read_replays(run_dir: str | Path, cells: Iterable[Cell] | None = None) -> dict[str, Replay]:
    """Return the valid replays: a row's key -> its latest entry. All other rows are *submitted*.

    Args:
        run_dir: A run's directory.
        cells: Its cells, if they have been read already.

    Raises:
        StoreError: The entries or the results cannot be read.
    """
    log = read_log(run_dir)
    if not log:
        return {}
    wanted = {entry.cell for entry in log}
    cells = RunStore(run_dir).cells() if cells is None else cells
    hashes = {cell.record.key: stored_sha256(cell) for cell in cells if cell.record.key in wanted}
    return {entry.cell: entry for entry in log if hashes.get(entry.cell) == entry.stored_sha256}


def read_log(run_dir: str | Path) -> list[Replay]:
    """Return every entry, valid or not, sorted by the rows' keys; of each row, the one added last.

    Raises:
        StoreError: The file is not a list of replays.
    """
    path = Path(run_dir) / REPLAYS
    if not path.exists():
        return []
    text = read_text(path, what="list of replays", error=StoreError)
    try:
        parse_json(text)  # bounds the depth
        return _Log.model_validate_json(text).replays
    except ValidationError as error:
        reason = problems_in(error)[0].sentence()
    except ValueError as error:
        reason = str(error)
    raise StoreError(f"'{path}' is not a list of replays ({reason}); remove it and replay the rows again")


def add_replays(run_dir: str | Path, entries: Sequence[Replay]) -> None:
    """Add entries, each replacing an earlier one of the same row; safe to call from several processes at once.

    Raises:
        StoreError: The file cannot be read or written; it stays unchanged.
    """
    path = Path(run_dir) / REPLAYS
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            with exclusive(path.with_name(f".{REPLAYS}.lock"), owner=f"'{path}'", remove=True):
                replaced = {entry.cell for entry in entries}
                kept = [entry for entry in read_log(run_dir) if entry.cell not in replaced]
                log = _Log(replays=sorted([*kept, *entries], key=lambda entry: entry.cell))
                text = json.dumps(json.loads(log.model_dump_json()), indent=2, sort_keys=True, allow_nan=False)
                write_atomic(path, (text + "\n").encode())
                return
        except StoreError as error:
            if "is in use" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.05)


def replay_command(run_dir: str | Path, record: Record) -> str:
    """Return the command that measures a row again, for pages."""
    words = ["srbench", "replay", str(run_dir), "--model", record.model, "--scale", str(record.scale)]
    words += ["--data", record.dataset, "--protocol", record.protocol]
    seed = record.identity[2]
    words += [] if seed is None else ["--seed", str(seed)]
    return shlex.join(words)
