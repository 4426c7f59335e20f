"""Checks of records that need only the results."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from srbench.errors import SRBenchError, StoreError
from srbench.registry.names import format_value, parse
from srbench.results.records import Record
from srbench.results.replays import read_log, stored_sha256
from srbench.runs.agreement import wrong_means
from srbench.verification.findings import CheckResult
from srbench.verification.stored_board import Board

__all__ = ["check_dates", "check_files", "check_identity", "check_means", "check_replays", "check_schema"]

FIRST = datetime(2026, 11, 21, tzinfo=UTC)  # sr-bench's first commit
_CLOCKS = timedelta(minutes=10)  # tolerance for clocks of different machines, and for one that is set back


def check_schema(board: Board) -> CheckResult:
    """Check that `run.json` and every record are valid under their schemas."""
    result = CheckResult("schema", "files", len(board.cells) + 1)
    if board.malformed:
        result.wrong("", board.malformed)
    for one in board.cells:
        if one.malformed:
            result.wrong(one.name, f"its record is invalid: {one.malformed}")
    return result


def check_files(board: Board) -> CheckResult:
    """Check every file of a cell against the hash in its marker."""
    result = CheckResult("files", checked=len(board.cells))
    for one in board.cells:
        if one.damage:
            result.wrong(one.name, one.damage)
    return result


def check_identity(board: Board) -> CheckResult:
    """Check that every record matches its name and directory, and that no two records are for the same thing."""
    result = CheckResult("identity")
    seen: dict[object, str] = {}
    for one in board.cells:
        if one.cell is None:
            continue
        result.checked += 1
        record = one.record
        if one.name != record.directory_name:
            result.wrong(one.name, f"its directory should be called '{record.directory_name}'")
        for what in (record.identity, record.key):
            if what in seen:
                result.wrong(one.name, f"it claims to be what '{seen[what]}' is")
            seen[what] = one.name
        for sentence in _parts(record, board):
            result.wrong(one.name, sentence)
    return result


def _parts(record: Record, board: Board) -> list[str]:
    try:
        name = parse(record.model)
    except SRBenchError as error:
        return [f"its model is not a valid name: {error}"]
    said = []
    args = {key: format_value(value) for key, value in name.args}
    named = {"backbone": name.backbone, "method": name.method, "tag": name.tag, "args": args}
    for field, value in named.items():
        if getattr(record, field) != value:
            said.append(f"its {field} is {getattr(record, field)!r}, but that of '{record.model}' is {value!r}")
    if record.scales and record.scale not in record.scales:
        said.append(f"it is measured at x{record.scale}, and its network is built for {record.scales}")
    try:
        canonical = str(board.name(record.model))
    except SRBenchError as error:
        return [*said, f"no such model is installed, so it cannot be checked: {error}"]
    if canonical != record.model:
        said.append(f"its model '{record.model}' has the canonical name '{canonical}'")
    return said


def check_means(board: Board) -> CheckResult:
    """Recompute every mean from the per-image values."""
    result = CheckResult("means")
    for one in board.measured:
        result.checked += 1
        if one.values is None:
            result.wrong(one.name, "its images' values cannot be read")
            continue
        for sentence in wrong_means(one.record, one.values, exact=False):
            result.wrong(one.name, sentence)
        for name in sorted(one.record.metrics):
            if name in one.values and one.values[name].isna().any():
                result.wrong(one.name, f"an image has no value of {name}")
    return result


def check_dates(board: Board) -> CheckResult:
    """Check that dates are in order, and neither in the future nor before the first commit of sr-bench.

    Clocks of different machines differ, and a clock may be set back: ten minutes are tolerated.
    """
    result = CheckResult("dates")
    began = None if board.info is None else board.info.created
    if began is not None and (sentence := _wrong_date(began)):
        result.wrong("", f"run.json: {sentence}")
        began = None
    for one in board.cells:
        if one.cell is None:
            continue
        result.checked += 1
        record = one.record
        dates = {"created": record.created, "adopted": None if record.adopted is None else record.adopted.date}
        wrong = [f"{what}: {said}" for what, date in dates.items() if date is not None and (said := _wrong_date(date))]
        for sentence in wrong:
            result.wrong(one.name, sentence)
        if wrong:
            continue
        if began is not None and _time(record.created) < _time(began) - _CLOCKS:
            result.wrong(one.name, f"it was created on {record.created}, before the run began on {began}")
        if record.adopted is not None and _time(record.adopted.date) < _time(record.created) - _CLOCKS:
            result.wrong(
                one.name, f"it was adopted on {record.adopted.date}, before it was created on {record.created}"
            )
    return result


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _wrong_date(text: str) -> str:
    try:
        date = _time(text)
    except ValueError:
        return f"'{text[:40]}' is not a date"
    if date.tzinfo is None:
        return f"{text} has no time zone"
    if date > datetime.now(UTC) + _CLOCKS:
        return f"{text} is in the future"
    if date < FIRST:
        return f"{text} is before the first commit of sr-bench, {FIRST.date()}"
    return ""


def check_replays(board: Board) -> CheckResult:
    """Check the format and dates of `replays.json`; entries for rows that have changed are ignored."""
    result = CheckResult("replays", "entries")
    try:
        log = read_log(board.store.path)
    except StoreError as error:
        result.wrong("", str(error))
        return result
    hashes: dict[str, set[str]] = defaultdict(set)
    for one in board.measured:
        if one.cell is not None and one.values is not None and one.record.key in {entry.cell for entry in log}:
            hashes[one.record.key].add(stored_sha256(one.cell))
    for entry in log:
        result.checked += 1
        if sentence := _wrong_date(entry.date):
            result.wrong(entry.cell[:12], sentence)
        if any(not math.isfinite(value) or value < 0 for value in entry.largest_difference.values()):
            result.wrong(entry.cell[:12], "its largest difference is not a number")
    counting = sum(entry.stored_sha256 in hashes[entry.cell] for entry in log)
    if counting < len(log):
        result.notes.append(f"{len(log) - counting} entries are ignored because their rows have changed")
    return result
