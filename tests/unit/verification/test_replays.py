"""What is kept of replays: entries that count, two writers at once, a full disk, and a kill."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbench.errors import StoreError
from srbench.results.replays import Replay, add_replays, read_log, read_replays, replay_command, stored_sha256
from srbench.results.store import RunStore
from srbench.verification import check_board


def made_entry(cell: str, digest: str = "0" * 64, **values: Any) -> Replay:
    return Replay(
        cell=cell, stored_sha256=digest, outcome="equal", by="a test", date="2026-11-27T00:00:00+00:00", **values
    )


def test_an_entry_counts_for_the_result_that_it_names_and_for_no_other(board: Path, forger_of: Any) -> None:
    results = board / "results"
    cell = next(one for one in RunStore(results).cells() if one.record.model == "bicubic")
    assert read_replays(results) == {}
    add_replays(results, [made_entry(cell.record.key, stored_sha256(cell))])
    assert read_replays(results)[cell.record.key].state == "replayed here"

    forger = forger_of(board, consistent=True)
    # Two images' values change places: the mean stays, and so does the record but for its rounding.
    forger.edit_values(cell.directory, lambda table: table.assign(psnr_y=table["psnr_y"].to_numpy()[[1, 0, 2, 3]]))
    assert read_replays(results) == {}
    assert len(read_log(results)) == 1
    (check,) = (check for check in check_board(board, networks=False).checks if check.name == "replays")
    assert check.notes == ["1 entries are ignored because their rows have changed"]


def test_a_replay_that_differs_leaves_the_row_submitted(board: Path) -> None:
    cell = RunStore(board / "results").cells()[0]
    values = made_entry(cell.record.key, stored_sha256(cell)).model_dump() | {"outcome": "differs"}
    add_replays(board / "results", [Replay(**values)])
    assert read_replays(board / "results")[cell.record.key].state == "submitted"


def test_a_later_entry_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    add_replays(tmp_path, [made_entry("a"), made_entry("b")])
    add_replays(tmp_path, [made_entry("b", threads=4), made_entry("c")])
    assert [(entry.cell, entry.threads) for entry in read_log(tmp_path)] == [("a", 1), ("b", 4), ("c", 1)]


def test_the_entry_added_last_counts_whatever_the_clock_says(tmp_path: Path) -> None:
    dated = [
        made_entry(cell).model_copy(update={"date": f"2026-11-{day}T00:00:00+00:00"})
        for cell, day in (("b", 28), ("a", 27), ("b", 25))
    ]
    add_replays(tmp_path, dated[:2])
    add_replays(tmp_path, dated[2:])  # the clock was set back in between
    assert [(entry.cell, entry.date[8:10]) for entry in read_log(tmp_path)] == [("a", "27"), ("b", "25")]


def add_many(folder: Path, beginning: str, count: int) -> None:
    for number in range(count):
        add_replays(folder, [made_entry(f"{beginning}{number}")])


def test_two_processes_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add_many, args=(tmp_path, beginning, 10)) for beginning in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    assert len(read_log(tmp_path)) == 20


def test_what_is_no_list_of_replays_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for text in ("", "[]", "{", '{"replays": [{"cell": 1}]}', '{"schema_version": 9}'):
        (tmp_path / "replays.json").write_text(text)
        with pytest.raises(StoreError, match="is not a list of replays"):
            read_log(tmp_path)


def test_a_full_disk_leaves_the_entries_that_were_there(tmp_path: Path) -> None:
    add_replays(tmp_path, [made_entry("a")])
    before = (tmp_path / "replays.json").read_bytes()
    child = os.fork()
    if child == 0:  # a limit on files' sizes, which cannot be raised again, stands for the disk
        status = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), len(before)))
            add_replays(tmp_path, [made_entry(f"b{number}") for number in range(20)])
        except StoreError as error:
            status = 0 if os.strerror(errno.EFBIG) in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / "replays.json").read_bytes() == before
    assert not list(tmp_path.glob(".tmp-*"))


def test_kills_while_entries_are_added_corrupt_nothing(tmp_path: Path, seed: int) -> None:
    import random

    draw = random.Random(seed)
    known = 0
    for round_ in range(20):
        child = os.fork()
        if child == 0:
            for number in range(10_000):
                add_replays(tmp_path, [made_entry(f"{round_}-{number}")])
            os._exit(0)
        time.sleep(draw.uniform(0.01, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        count = len(read_log(tmp_path))
        assert count >= known, "entries were lost"
        known = count
    assert known, "no kill hit a process that had added something"
    add_replays(tmp_path, [made_entry("last")])
    assert len(read_log(tmp_path)) == known + 1


def test_command_of_a_row_finds_this_row_alone(board: Path) -> None:
    import shlex

    from srbench.results.rows import find_rows

    store = RunStore(board / "results")
    for cell in store.cells():
        words = shlex.split(replay_command(store.path, cell.record))
        assert words[:3] == ["srbench", "replay", str(store.path)]
        given = dict(zip((word.removeprefix("--") for word in words[3::2]), words[4::2], strict=True))
        numbers = {name: int(given.pop(name)) for name in ("scale", "seed") if name in given}
        found = find_rows(store, **given, **numbers)
        assert [one.record.key for one in found] == [cell.record.key]


def test_check_writes_nothing_unless_it_is_asked_to(board: Path, suite: Path) -> None:
    def state() -> dict[str, Callable[[], bytes] | bytes]:
        return {str(path): path.read_bytes() for path in sorted(board.rglob("*")) if path.is_file()}

    before = state()
    check_board(board, suite=suite, networks=False, replays=1)
    assert state() == before
    report = check_board(board, suite=suite, networks=False, replays=1, record=True, by="a test")
    entries = json.loads((board / "results" / "replays.json").read_text())["replays"]
    assert [(entry["cell"], entry["by"], entry["outcome"]) for entry in entries] == [
        (report.replayed[0].cell.record.key, "a test", "equal")
    ]
    assert set(state()) - set(before) <= {
        str(board / "results" / name) for name in ("replays.json", ".replays.json.lock")
    }
