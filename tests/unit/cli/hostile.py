"""Helpers of the tests of hostile input: command lines, what a refusal is, and a run with two good cells.

What is covered where; tests/fuzz draws such input at random:

| input | tests |
|---|---|
| numbers beyond reason: options, suites, names | test_hostile_numbers.py |
| paths: unknown homes, too long, no UTF-8, NUL, a deleted working directory | test_hostile_paths.py |
| folders of data, cache and results, and cells, that cannot be read | test_hostile_paths.py |
| `--json` onto another file of the command | test_hostile_paths.py |
| links that lead to themselves | test_hostile_commands.py |
| pipes, devices and files of gigabytes as suite, recipe, weights, list, cache entry, result | test_hostile_files.py |
| YAML that multiplies, deep JSON, archives and tables that unpack to more than memory | test_hostile_files.py |
| the same as answers of a plugin's project | tests/plugins/test_new.py |
| checkpoints: meta, quantised and sparse tensors, damaged checkpoint.pt and training.json | test_hostile_files.py |
| a network whose ONNX export crashes the interpreter | test_export.py |
| forged records, a binary run.json | test_hostile_results.py |
| duplicates in a suite, a budget's unknown model | test_suite_duplicates.py |
| downloads that are too large or drip, mirrors | tests/unit/data/test_cache.py |
| patterns that are no globs, no command | test_hostile_messages.py |
| line breaks, control characters and markup in names | test_hostile_messages.py, test_hostile_commands.py |
| damaged files of times, leaks, replays, registered data and trainings | test_hostile_commands.py |
| an evaluation that does not fit into memory | test_memory.py |
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from srbench.results.records import Record, RunInfo
from srbench.results.store import RunStore

SECONDS = 300  # until a command counts as one without end; importing torch on a loaded machine takes a minute
NINES = "9" * 400
LONG = "a" * 300

EVAL = "eval {model} --scale 2 --data images --protocol matlab-y"
BICUBIC = EVAL.format(model="bicubic")
WEIGHTS = EVAL.format(model="edsr_tiny") + " --weights "
TRAIN = "train edsr_tiny --data images --scale 2 --iterations 2 --gt-size 8 --batch-size 1 --out out"

DEEP = "[" * 100_000 + "]" * 100_000
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)

Call = Callable[..., tuple[int, str, str]]


@contextlib.contextmanager
def ended_in_time() -> Iterator[None]:
    """Fail the test, instead of hanging it, where a command does not end."""

    def late(number: int, frame: object) -> None:
        raise AssertionError(f"the command did not end within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def permissions_bind() -> Iterator[None]:
    """Let file permissions bind root too: the capabilities that override them are dropped in this thread."""
    if sys.platform != "linux" or os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3; this thread
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    effective = sets[0]
    sets[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = effective
        assert libc.capset(header, sets) == 0


@contextlib.contextmanager
def unreadable(*paths: Path) -> Iterator[None]:
    """Take all permissions of files and folders away."""
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0)
    try:
        with permissions_bind():
            yield
    finally:
        for path, mode in zip(reversed(paths), reversed(modes), strict=True):
            path.chmod(mode)


def refused(outcome: tuple[int, str, str], *words: str) -> None:
    status, _, error = outcome
    assert status == 2, error
    assert error.startswith("srbench: "), error
    assert error.endswith("\n"), error
    assert error[:-1].isprintable(), error
    for word in words:
        assert word in error, error


def listing(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if "cache" not in path.relative_to(root).parts}


def run_folder(place: Path) -> tuple[Path, Path]:
    """Make a run with two good cells, and return the run and one cell's folder."""
    store = RunStore(place / "run")
    cells = []
    with store.lock():
        store.begin(RunInfo(suite="s", srbench="0", created="2026-01-01T00:00:00+00:00"))
        for model in ("edsr_tiny", "bicubic"):
            record = Record(
                key=hashlib.sha256(model.encode()).hexdigest(), status="ok", model=model, backbone=model, scale=2,
                scales=[2], dataset="images", dataset_hash="0", images=2, protocol="matlab-y", protocol_digest="0",
                tier="reproduced", metrics={"psnr_y": 30.0}, params_unique=0, created="2026-01-01T00:00:00+00:00",
            )  # fmt: skip
            cells.append(store.write(record, pd.DataFrame({"image": ["one", "two"], "psnr_y": [29.0, 31.0]})))
    return place / "run", cells[-1]


def sealed(cell: Path) -> None:
    """Make a cell's marker agree with files that were changed."""
    done = json.loads((cell / "DONE").read_text())
    done["files"] = {name: hashlib.sha256((cell / name).read_bytes()).hexdigest() for name in done["files"]}
    (cell / "DONE").write_text(json.dumps(done))
