"""Commands that check, publish and pack boards: kills at any moment, signals, full disks.

The board is real: a tiny network that was trained and measured, and bicubic (`measured` in conftest.py). After every
fault what is there is whole, and the next command leaves the same bytes as one that nothing disturbed, and no temporary
file.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from srbench.results.packed import PackedStore, is_packed
from srbench.results.replays import read_log

pytestmark = pytest.mark.fault

Many = Callable[[int], int]
SIGNALS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
STEPS = 12


@dataclass(frozen=True)
class Writer:
    """A command that writes into a folder.

    Attributes:
        line: Its command line, for the boards and the folder, which has `begin` in it.
        begin: Puts into the folder what is there before.
        at_once: Whether the folder is seen as before or as after, and never between.
    """

    line: Callable[[Path, Path], tuple[str | Path, ...]]
    begin: Callable[[Path, Path], object]
    at_once: bool


def _board(boards: Path, out: Path) -> None:
    """The results alone: pages say what was replayed, and would have to be made anew after each check."""
    ignored = shutil.ignore_patterns(".lock*")
    shutil.copytree(boards / "small" / "results", out / "board" / "results", ignore=ignored)


def _nothing(_: Path, out: Path) -> None:
    out.mkdir()


def _site(_: Path, out: Path) -> None:
    """An earlier site, of which nothing is left in the new one."""
    (out / "site" / "assets").mkdir(parents=True)
    (out / "site" / "site.json").write_text("{}")
    (out / "site" / "index.html").write_text("before")


def _packed(boards: Path, out: Path) -> None:
    shutil.copytree(boards.parent / "packed", out / "packed")


def _check(boards: Path, out: Path) -> tuple[str | Path, ...]:
    # The seed draws bicubic, which takes the least time.
    line = ("leaderboard", "check", out / "board", "--no-networks", "--replay", "1", "--record", "--by", "a test")
    return (*line, "--seed", "1", "--json", out / "check.json")


WRITERS = {
    "check": Writer(_check, _board, at_once=False),
    "site": Writer(lambda boards, out: ("leaderboard", "site", boards, "--out", out / "site"), _site, at_once=True),
    "pack": Writer(
        lambda boards, out: ("leaderboard", "pack", boards / "small" / "results", "--out", out / "packed"),
        _packed,
        at_once=False,
    ),
    "unpack": Writer(
        lambda boards, out: ("leaderboard", "unpack", boards.parent / "whole", "--out", out / "run"),
        _nothing,
        at_once=True,
    ),
}


def packed_boards(forge: Any, boards: Path) -> None:
    """Pack the board, once: wholly, and with less in it than it has."""
    if (boards.parent / "packed").exists():
        return
    results = boards / "small" / "results"
    part = boards.parent / "part"
    shutil.copytree(results, part, ignore=shutil.ignore_patterns("bicubic-*", "models"))
    for source, target in ((results, "whole"), (part, "packed")):
        ended = forge.run("leaderboard", "pack", source, "--out", boards.parent / target)
        assert ended.status == 0, ended.said


def seen(out: Path, tools: Any) -> dict[str, str]:
    """Return the hashes of a folder's files; of the list of replays and of a check, what is the same each time."""
    found: dict[str, str] = tools.seen(out)
    for path in out.rglob("replays.json"):
        # A commit made meanwhile in the checkout is no fault.
        entries = [entry.model_dump(exclude={"date", "commit", "dirty"}) for entry in read_log(path.parent)]
        found[str(path.relative_to(out))] = json.dumps(entries, sort_keys=True, default=str)
    for path in out.rglob("check.json"):
        said = json.loads(path.read_text())
        found[str(path.relative_to(out))] = json.dumps([said["passed"], said["seed"], said["replayed"]])
    return found


def temporary(out: Path, forge: Any) -> list[Path]:
    """Return the temporary files and locks of a folder, and what replays leave where temporary files go."""
    left = [path for path in out.rglob(".*") if path.name.startswith((".tmp-", ".lock", ".replays"))]
    return left + list(Path(f"{forge.cache}-tmp").glob("srbench-*"))


class Bench:
    """A command with what it makes of a fresh folder, undisturbed."""

    def __init__(self, name: str, forge: Any, boards: Path, place: Path, tools: Any) -> None:
        packed_boards(forge, boards)
        self.name, self.forge, self.boards, self.place, self.tools = name, forge, boards, place, tools
        self.writer = WRITERS[name]
        self.count = 0
        out = self.fresh()
        self.before = seen(out, tools)
        self.duration = forge.timed(*self.line(out))
        self.after = seen(out, tools)
        assert self.after != self.before

    def line(self, out: Path) -> tuple[str | Path, ...]:
        return self.writer.line(self.boards, out)

    def fresh(self, out: Path | None = None) -> Path:
        """Return a new folder, as it is before the command."""
        self.count += 1
        out = out or self.place / f"out{self.count}"
        self.writer.begin(self.boards, out)
        return out

    def check_whole(self, out: Path) -> None:
        """Check that nothing in the folder is half there."""
        there = seen(out, self.tools)
        if self.writer.at_once:
            assert there in (self.before, self.after), "a part is there"
        if self.name == "pack":
            # Values of old and new rows are there together, so their file is neither of the two.
            assert is_packed(out / "packed")
            cells, damaged = PackedStore(out / "packed").all_cells()
            assert not damaged
            assert {cell.record.model for cell in cells} in ({"edsr_tiny"}, {"bicubic", "edsr_tiny"})
            return
        for name, digest in there.items():
            if name.endswith("replays.json"):
                every, some = json.loads(self.after[name]), json.loads(digest)
                assert all(entry in every for entry in some), "an entry is of no replay"
                continue
            assert digest in (self.before.get(name), self.after.get(name)), f"{name} is half there"

    def finish(self, out: Path) -> None:
        """Run the command undisturbed, and check that nothing shows what happened before."""
        ended = self.forge.run(*self.line(out))
        if self.name == "unpack" and ended.status:  # it was done already, and says that it overwrites nothing
            self.tools.one_sentence(ended, 2, "is not an empty folder")
        else:
            assert ended.status == 0, ended.said
        assert seen(out, self.tools) == self.after
        assert not temporary(out, self.forge)


@pytest.fixture(params=WRITERS)
def bench(request: Any, forge: Any, measured: Path, tmp_path: Path, tools: Any) -> Bench:
    return Bench(request.param, forge, measured, tmp_path, tools)


def test_kills(bench: Bench, forge: Any, kills: Counter[str], many: Many, seed: int, tools: Any) -> None:
    draw = random.Random(seed)
    inputs = tools.seen(bench.boards)
    out = bench.fresh()
    killed = completed = 0
    while killed < many(50):
        ended = forge.end(draw.uniform(0, bench.duration), signal.SIGKILL, *bench.line(out))
        assert ended.killed or ended.status == 0, ended.said
        killed += ended.killed
        bench.check_whole(out)
        if seen(out, tools) == bench.after:
            completed += 1
            bench.finish(out)
            out = bench.fresh()
    bench.finish(out)
    assert tools.seen(bench.boards) == inputs, "what a command reads has changed"
    kills[f"leaderboard {bench.name}"] += killed
    print(f"leaderboard {bench.name}: {killed} killed, {completed} completed")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_signals(number: int, bench: Bench, forge: Any, many: Many, seed: int, tools: Any) -> None:
    draw = random.Random(seed)
    status, word = SIGNALS[signal.Signals(number)]
    for _ in range(many(8)):
        out = bench.fresh()
        ended = forge.end(draw.uniform(0.05, 0.9) * bench.duration, number, *bench.line(out))
        if ended.status != 0:
            tools.one_sentence(ended, status, word)
        bench.check_whole(out)
        left = [path for path in temporary(out, forge) if not path.name.startswith((".lock", ".replays"))]
        assert not left, "temporary files are left"
        bench.finish(out)


def test_a_disk_that_is_full_at_any_write(bench: Bench, forge: Any, tools: Any, disk: Any) -> None:
    out = disk.path / "out"

    def used() -> int:
        return shutil.disk_usage(disk.path).used

    bench.fresh(out)
    base = used()
    forge.timed(*bench.line(out))
    need = used()
    disk.clear()
    full = 0
    for step in range(STEPS):
        bench.fresh(out)
        disk.resize(base + (need - base) * step // STEPS)
        ended = forge.run(*bench.line(out))
        if ended.status:
            full += 1
            tools.one_sentence(ended, 2)
            assert "No space left" in ended.said or "room" in ended.said, ended.said
        bench.check_whole(out)
        assert not tools.leftovers(disk.path)
        disk.resize(2**26)
        bench.finish(out)
        disk.clear()
    assert full >= STEPS // 2, "the disk was seldom full: this showed little"
    print(f"leaderboard {bench.name}: {full} of {STEPS} sizes were too small")
