"""Disks that are full at any write, and caches that may not be written to."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.fault

STEPS = 12


def used(folder: Path) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4096 + 4096 for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("command", ["train", "run", "build", "add", "submit"])
def test_a_disk_that_is_full_at_any_write(
    command: str, forge: Any, place: Path, tools: Any, disk: Any, request: Any
) -> None:
    out = disk.path / "out"
    cache = None
    if command == "add":
        cache = out
        line: tuple[Any, ...] = (
            "cache",
            "add",
            request.getfixturevalue("shared") / "data" / "benchmark" / "Set5" / "HR",
        )
    elif command == "submit":
        checkout, run = tools.boards(forge, place)
        line = tools.submission(run, out)
    elif command == "build":
        assert forge.run(*tools.suite_run(place, place / "run")).status == 0
        line = ("leaderboard", "build", place / "run", "--out", out)
    else:
        line = tools.training(place, out) if command == "train" else tools.suite_run(place, out)

    def content() -> dict[str, str]:
        """Return the files that two executions make alike."""
        if command == "submit":
            return tools.seen(out)
        names = {"train": "weights.safetensors", "run": "weights.safetensors", "build": "*.*", "add": "objects/*/*"}
        found = out.glob(names[command]) if command == "add" else out.rglob(names[command])
        return {str(path.relative_to(out)): tools.sha256(path) for path in found if path.is_file()}

    def begin() -> int:
        """Put what there is before onto the disk, and return its size."""
        if command != "submit":
            return 0
        shutil.copytree(checkout, out)
        return shutil.disk_usage(disk.path).used

    base = begin()
    before = tools.seen(out) if base else {}
    forge.timed(*line, cache=cache)
    expected, need = content(), shutil.disk_usage(disk.path).used if base else used(out)
    disk.clear()
    full = 0
    for step in range(STEPS):
        begin()
        disk.resize(base + (need - base) * step // STEPS)
        ended = forge.run(*line, cache=cache)
        if ended.status:
            full += 1
            tools.one_sentence(ended, 2)
            assert "No space left" in ended.said or "room" in ended.said, ended.said
            if command == "submit":
                assert tools.seen(out) == before, "the board is as it was"
        assert not tools.leftovers(out) if out.exists() else True
        disk.resize(2**26)
        again = forge.run(*line, cache=cache)
        assert again.status == 0, again.said
        assert content() == expected
        disk.clear()
    assert full >= STEPS // 2, "the disk was seldom full: this showed little"
    print(f"{command}: {full} of {STEPS} sizes were too small")


def test_a_cache_that_may_not_be_written_to(forge: Any, place: Path, tools: Any, disk: Any, shared: Path) -> None:
    cache = disk.path / "cache"
    line = ("eval", "bicubic", "--scale", "2", "--data", place / "test0", "--protocol", "matlab-y", "--json")
    assert forge.run(*line, place / "written.json", cache=cache).status == 0
    for empty in (False, True):
        if empty:
            disk.resize(2**26)
            disk.clear()
        disk.resize(2**26, writable=False)
        ended = forge.run(*line, place / "read-only.json", cache=cache)
        assert ended.status == 0, ended.said
        first, second = ((place / f"{name}.json").read_text().split('"images"')[0] for name in ("written", "read-only"))
        assert first == second, "a result does not depend on the cache"
        tools.one_sentence(forge.run("cache", "add", shared / "data" / "benchmark" / "Set5" / "HR", cache=cache), 2)
    ended = forge.run(*tools.suite_run(place, place / "run"), cache=cache)
    assert ended.status == 0, ended.said
