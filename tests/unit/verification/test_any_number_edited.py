"""Law: a board whose record has any one number edited does not pass, whether hashes and page follow the edit or not."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srbench.verification import check_board

# How the record is to be read, not what it says: a baseline's record of today reads the same as one of version 1.
NO_FIGURE = {("schema_version",)}


def numbers(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of all numbers in a JSON value."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from numbers(item, (*place, key))
    elif isinstance(value, int | float) and not isinstance(value, bool) and place not in NO_FIGURE:
        yield place


EDITS: dict[str, Callable[[Any], Any]] = {
    "one more": lambda number: number + 1,
    "a tenth more": lambda number: number + max(1, number // 10) if isinstance(number, int) else number * 1.1 + 1e-4,
    "a millionth more": lambda number: number + 1 if isinstance(number, int) else number * (1 + 1e-6) + 1e-9,
    "twice": lambda number: number * 2 + 1,
    "none": lambda number: 0 if number else 1,
    "turned": lambda number: -number - 1,
}


@given(data=st.data(), consistent=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_record_with_any_number_edited_does_not_pass(
    original: Path, suite: Path, forger_of: Callable[..., Any], data: st.DataObject, consistent: bool
) -> None:
    names = sorted(path.name for path in (original / "results" / "cells").iterdir())
    name = data.draw(st.sampled_from(names))
    record = json.loads((original / "results" / "cells" / name / "record.json").read_text())
    place = data.draw(st.sampled_from(list(numbers(record))))
    change = data.draw(st.sampled_from(sorted(EDITS)))

    def edit(value: dict[str, Any]) -> None:
        holder: Any = value
        for step in place[:-1]:
            holder = holder[step]
        holder[place[-1]] = EDITS[change](holder[place[-1]])

    with tempfile.TemporaryDirectory() as folder:
        board = Path(shutil.copytree(original, Path(folder) / "board"))
        forger = forger_of(board, consistent=consistent)
        forger.edit(board / "results" / "cells" / name, edit)
        forger.finish()
        report = check_board(board, suite=suite)
    assert not report.passed, f"{place} of {name}"
    assert consistent or "files" in report.failed


def test_every_number_of_a_record_edited_by_a_little_does_not_pass(
    original: Path, suite: Path, forger_of: Callable[..., Any], tmp_path: Path
) -> None:
    (name,) = (path.name for path in (original / "results" / "cells").glob("bicubic-*-matlab-y-*"))
    record = json.loads((original / "results" / "cells" / name / "record.json").read_text())
    passed = []
    for number, place in enumerate(numbers(record)):
        board = Path(shutil.copytree(original, tmp_path / str(number)))
        forger = forger_of(board, consistent=True)

        def edit(value: dict[str, Any], place: tuple[str | int, ...] = place) -> None:
            holder: Any = value
            for step in place[:-1]:
                holder = holder[step]
            holder[place[-1]] = EDITS["a millionth more"](holder[place[-1]])

        forger.edit(board / "results" / "cells" / name, edit)
        forger.finish()
        if check_board(board, suite=suite).passed:
            passed.append(place)
    assert passed == []
