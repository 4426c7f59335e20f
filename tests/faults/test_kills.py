"""SIGKILL at any moment: nothing is half there, what was finished stays, and the same command ends with the same bytes.

550 kills in this file; each test prints its own. `SRBENCH_FAULT_TIMES=0.1` makes a tenth of them.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from srbench.cache import Cache
from srbench.results.store import RunStore, read_finished

pytestmark = pytest.mark.fault

Many = Callable[[int], int]


def test_training(forge: Any, place: Path, tools: Any, kills: Counter[str], many: Many, seed: int) -> None:
    draw = random.Random(seed)
    duration = forge.timed(*tools.training(place, place / "whole"))
    expected = tools.sha256(place / "whole" / "weights.safetensors")
    killed = completed = resumed = 0
    out = place / "out0"
    reached = 0
    span = duration
    while killed < many(150):
        before = reached
        ended = forge.end(draw.uniform(0, span), signal.SIGKILL, *tools.training(place, out))
        assert ended.killed or ended.status == 0, ended.said
        killed += ended.killed
        if (checkpoint := out / "checkpoint.pt").exists():
            iteration = torch.load(checkpoint, weights_only=True)["state"]["iteration"]
            assert iteration >= reached, "a checkpoint went back"
            resumed += iteration > reached > 0
            reached = iteration
        # As of a run: follow where the checkpoints come.
        span *= 0.8 if ended.status == 0 else 1.03 if reached == before else 1
        if (done := out / "training.json").exists():
            result = json.loads(done.read_text())["result"]
            assert result["weights_sha256"] == tools.sha256(out / "weights.safetensors") == expected
        if ended.status == 0:
            assert done.exists()
            assert not checkpoint.exists()
            assert not tools.leftovers(out)
            completed += 1
            shutil.rmtree(out)
            out, reached = place / f"out{completed}", 0
    ended = forge.run(*tools.training(place, out))
    assert ended.status == 0, ended.said
    assert tools.sha256(out / "weights.safetensors") == expected
    assert not tools.leftovers(out)
    assert resumed > 0 or killed < 20, "no kill came after a checkpoint: this showed little"
    kills["train"] += killed
    print(f"train: {killed} killed, {resumed} went on from a checkpoint and were killed again, {completed} completed")


def outcome(run: Path) -> dict[str, tuple[str | None, dict[str, float]]]:
    """Return what a run measured: per cell the weights' hash and the means."""
    return {cell.directory.name: (cell.record.weights_sha256, cell.record.metrics) for cell in RunStore(run).cells()}


def finished(run: Path) -> dict[str, tuple[int, int]]:
    """Return each finished cell with what a second execution would change; fail at a cell that is half there."""
    found = {}
    for directory in sorted((run / "cells").iterdir()) if (run / "cells").is_dir() else ():
        if directory.name.startswith("."):
            continue
        record = read_finished(directory)
        assert record is not None, f"{directory} is there, and its marker does not agree with its content"
        assert record.status == "ok", record.error
        status = (directory / "record.json").stat()
        found[directory.name] = (status.st_ino, status.st_mtime_ns)
    return found


@pytest.mark.parametrize(("jobs", "count"), [(1, 150), (2, 50)])
def test_run(
    jobs: int, count: int, forge: Any, place: Path, tools: Any, kills: Counter[str], many: Many, seed: int
) -> None:
    draw = random.Random(seed)
    duration = forge.timed(*tools.suite_run(place, place / "whole", jobs))
    expected = outcome(place / "whole")
    assert len(expected) == 8
    killed = rounds = advanced = 0
    out, known = place / "run0", {}
    span = 0.7 * duration
    while killed < many(count):
        ended = forge.end(draw.uniform(0, span), signal.SIGKILL, *tools.suite_run(place, out, jobs))
        assert ended.killed or ended.status == 0, ended.said
        killed += ended.killed
        after = finished(out)
        assert {name: after.get(name) for name in known} == known, "a finished cell was lost or done again"
        advanced += ended.killed and len(after) > len(known)
        # Starting takes most of the time, and more or less of it as the machine is busy: follow where the cells come.
        span *= 0.8 if ended.status == 0 else 1.03 if len(after) == len(known) else 1
        known = after
        if ended.status == 0:
            assert outcome(out) == expected
            assert not tools.leftovers(out)
            rounds += 1
            shutil.rmtree(out)
            out, known = place / f"run{rounds}", {}
    ended = forge.run(*tools.suite_run(place, out, jobs))
    assert ended.status == 0, ended.said
    after = finished(out)
    assert {name: after.get(name) for name in known} == known
    assert outcome(out) == expected
    assert not tools.leftovers(out)
    assert advanced > 0 or killed < 20, "no kill came after a new cell: this showed little"
    kills[f"run with {jobs} job{'s' * (jobs > 1)}"] += killed
    print(f"run, {jobs} jobs: {killed} killed, {advanced} of them after new cells, {rounds} completed")


def test_leaderboard_build(forge: Any, place: Path, tools: Any, kills: Counter[str], many: Many, seed: int) -> None:
    """Pages of two runs are built into one folder in turns: every file is always that of one of them, and whole."""
    draw = random.Random(seed)
    assert forge.run(*tools.suite_run(place, place / "a")).status == 0
    shutil.copytree(place / "a", place / "b")
    for cell in (place / "b" / "cells").glob("edsr*"):
        shutil.rmtree(cell)
    runs = (place / "a", place / "b")
    for run in runs:
        duration = forge.timed("leaderboard", "build", run, "--out", place / f"page-{run.name}")
    names = ("leaderboard.csv", "leaderboard.md", "index.html")
    good = {name: {tools.sha256(place / f"page-{run.name}" / name) for run in runs} for name in names}
    killed = 0
    out = place / "page"
    while killed < many(60):
        ended = forge.end(
            draw.uniform(0, duration), signal.SIGKILL, "leaderboard", "build", draw.choice(runs), "--out", out
        )
        assert ended.killed or ended.status == 0, ended.said
        killed += ended.killed
        for name in names:
            assert not (out / name).exists() or tools.sha256(out / name) in good[name]
    for run in runs:
        assert forge.run("leaderboard", "build", run, "--out", out).status == 0
        for name in names:
            assert tools.sha256(out / name) == tools.sha256(place / f"page-{run.name}" / name)
    assert not tools.leftovers(out)
    kills["leaderboard build"] += killed
    print(f"leaderboard build: {killed} killed")


# Command -> kills, and its line for a run, a checkout that has a board of it, and the folder that it writes. Every file
# must be whole at any moment; of a folder that is replaced in one step, as a board is, even all of them together.
WRITERS: dict[str, tuple[int, Callable[[Path, Path, Path], tuple[str | Path, ...]]]] = {
    "submit": (50, lambda run, checkout, out: ("leaderboard", "submit", run, "--into", out)),
}
AT_ONCE = {"submit"}


@pytest.mark.parametrize("command", WRITERS)
def test_what_a_command_writes_is_whole(
    command: str, forge: Any, place: Path, tools: Any, kills: Counter[str], many: Many, seed: int
) -> None:
    """The folder that is written begins as a copy of the checkout; each kill finds it as before, or as after."""
    draw = random.Random(seed)
    checkout, run = tools.boards(forge, place)
    count, line = WRITERS[command]
    shutil.copytree(checkout, place / "whole")
    before = tools.seen(checkout)
    duration = forge.timed(*line(run, checkout, place / "whole"))
    after = tools.seen(place / "whole")
    out = place / "out0"
    shutil.copytree(checkout, out)
    killed = completed = 0
    while killed < many(count):
        ended = forge.end(draw.uniform(0, duration), signal.SIGKILL, *line(run, checkout, out))
        assert ended.killed or ended.status == 0, ended.said
        killed += ended.killed
        there = tools.seen(out)
        for name, digest in there.items():
            assert digest in (before.get(name), after.get(name)), f"{name} is half there"
        if command in AT_ONCE:
            board = {name: digest for name, digest in there.items() if name.count("/") > 1}
            states = [{name: one[name] for name in one if name.count("/") > 1} for one in (before, after)]
            assert board in states, "a part of the board is there"
        assert tools.seen(checkout) == before, "the command's input has changed"
        if there == after:
            completed += 1
            out = place / f"out{completed}"
            shutil.copytree(checkout, out)
    ended = forge.run(*line(run, checkout, out))
    assert ended.status == 0, ended.said
    assert tools.seen(out) == after
    assert not tools.leftovers(out)
    kills[f"leaderboard {command}"] += killed
    print(f"leaderboard {command}: {killed} killed, {completed} completed")


def check_cache(root: Path) -> int:
    """Check that every file of a cache is what its name says, and return how many there are."""
    count = 0
    for path in (root / "objects").glob("*/*"):
        if not path.name.startswith("."):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, f"{path} is half there"
            count += 1
    return count


def test_cache_add(
    forge: Any, shared: Path, tmp_path: Path, tools: Any, kills: Counter[str], many: Many, seed: int
) -> None:
    draw = random.Random(seed)
    images = shared / "data" / "benchmark" / "Set5" / "HR"
    duration = forge.timed("cache", "add", images, cache=tmp_path / "whole")
    whole = check_cache(tmp_path / "whole")
    assert whole == 5
    killed = rounds = known = 0
    root = tmp_path / "cache0"
    while killed < many(50):
        ended = forge.end(draw.uniform(0, duration), signal.SIGKILL, "cache", "add", images, cache=root)
        assert ended.killed or ended.status == 0, ended.said
        killed += ended.killed
        there = check_cache(root)
        assert there >= known
        known = there
        if ended.status == 0 or known == whole:
            rounds += 1
            root, known = tmp_path / f"cache{rounds}", 0
    ended = forge.run("cache", "add", images, cache=root)
    assert ended.status == 0, ended.said
    assert check_cache(root) == whole
    assert not tools.leftovers(root)
    kills["cache add"] += killed
    print(f"cache add: {killed} killed, {rounds} completed")


@pytest.fixture
def slow_server() -> Iterator[tuple[str, bytes]]:
    """Return the address of a file that takes half a second to be sent, and its content."""
    content = np.random.default_rng(0).bytes(2**20)

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                for start in range(0, len(content), 2**16):
                    self.wfile.write(content[start : start + 2**16])
                    time.sleep(0.03)
            except OSError:
                pass  # the reader was killed

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/file", content
    server.shutdown()
    thread.join()
    server.server_close()


def test_download(
    forge: Any, tmp_path: Path, slow_server: tuple[str, bytes], tools: Any, kills: Counter[str], many: Many, seed: int
) -> None:
    draw = random.Random(seed)
    url, content = slow_server
    digest = hashlib.sha256(content).hexdigest()
    fetch = ("fetch", url, digest, str(len(content)))
    duration = forge.timed(*fetch, cache=tmp_path / "whole")
    killed = rounds = 0
    root = tmp_path / "cache0"
    while killed < many(40):
        ended = forge.end(draw.uniform(0, duration), signal.SIGKILL, *fetch, cache=root)
        assert ended.killed or ended.status == 0, ended.said
        killed += ended.killed
        if check_cache(root):
            rounds += 1
            root = tmp_path / f"cache{rounds}"
    ended = forge.run(*fetch, cache=root)
    assert ended.status == 0, ended.said
    assert Cache(root).verified(digest) is not None
    assert not tools.leftovers(root)
    kills["download"] += killed
    print(f"download: {killed} killed, {rounds} completed")
