"""Hostile input, one test for each class of it: status 2, one printable line, nothing written, no time lost.

Where a command must go on without a part of what it was given (a damaged cell of a run), the part is named on standard
error. tests/fuzz draws such input at random; here each class is spelled out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import shlex
import signal
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import srbench
from srbench.cli import main
from srbench.models.weight_files import save_state
from srbench.results.records import Record, RunInfo
from srbench.results.store import RunStore

SECONDS = 60  # until a command counts as one without end; a loaded machine is slow
NINES = "9" * 400
GIB = 2**30

EVAL = "eval {model} --scale 2 --data images --protocol matlab-y"
BICUBIC = EVAL.format(model="bicubic")
WEIGHTS = EVAL.format(model="edsr_tiny") + " --weights "
TRAIN = "train edsr_tiny --data images --scale 2 --iterations 2 --gt-size 8 --batch-size 1 --out out"

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


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Return a function that runs a command in a folder with two images, and returns status, output and errors."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name in ("one", "two"):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "suite.yaml").write_text("name: s\nscale: 2\nmodels: [bicubic]\ndatasets: [images]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")

    def command(line: str | list[str]) -> tuple[int, str, str]:
        status: Any = 0
        with ended_in_time():
            try:
                main(shlex.split(line) if isinstance(line, str) else line)
            except SystemExit as end:
                status = end.code or 0
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


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


# Numbers beyond reason

NUMBERS = [
    (f"audit edsr_tiny+ps(ratio=1/{NINES}) --scale 2", "ratio"),
    (f"audit edsr_tiny+ps(ratio={NINES}/1) --scale 2", "ratio"),
    (f"audit edsr_tiny+ps(shape={NINES}x1x1x1) --scale 2", "shape"),
    ("audit edsr_tiny --scale 17", "--scale"),
    (f"audit edsr_tiny --scale {NINES}", "--scale"),
    (f"audit edsr_tiny --scales 2,{NINES}", "--scales"),
    ("audit edsr_tiny --scales 2,2", "twice"),
    ("cost edsr_tiny --scale 2 --latency --seconds inf", "--seconds"),
    ("cost edsr_tiny --scale 2 --latency --seconds nan", "--seconds"),
    ("cost edsr_tiny --scale 2 --latency --threads 100000", "1,024"),
    ("cost edsr_tiny --scale 2 --latency --threads 1000000000000", "1,024"),
    ("cost edsr_tiny --scale 2 --memory --lr-size 20000x20000", "20000x20000"),
    (f"cost edsr_tiny --scale 2 --lr-size {NINES}x8", "--lr-size"),
    ("cost edsr_tiny --scale 2 --latency --lr-size 20000x20000", "20000x20000"),
    (BICUBIC + " --threads 100000", "1,024"),
    (BICUBIC + f" --threads {NINES}", "threads"),
    (BICUBIC + f" --tile {NINES}", "tile"),
    (BICUBIC + f" --tile 64 --tile-overlap {NINES}", "overlap"),
    (TRAIN + f" --seed {NINES}", "seed"),
    (TRAIN + f" --batch-size {NINES}", "batch_size"),
    (TRAIN + f" --iterations {NINES}", "iterations"),
    (TRAIN + " --lr inf", "lr"),
    (TRAIN + " --threads 100000", "1,024"),
    (TRAIN.replace("--scale 2", f"--scales 2,{NINES}"), "scale"),
    (TRAIN.replace("--scale 2", "--scale 17"), "scale"),
    (f"run --suite suite.yaml --dry-run --jobs {NINES}", "--jobs"),
    ("run --suite suite.yaml --dry-run --threads 100000", "1,024"),
]


@pytest.mark.parametrize(("line", "word"), NUMBERS, ids=[line[:60] for line, _ in NUMBERS])
def test_numbers_beyond_reason_on_the_command_line(line: str, word: str, call: Call, tmp_path: Path) -> None:
    before = listing(tmp_path)
    refused(call(line), word)
    assert listing(tmp_path) == before


IN_SUITES = [
    ("scale: 17", "scale"),
    (f"scale: {NINES}", "scale"),
    ("scale: [2, 1000000]", "scale"),
    (f"models: ['edsr_tiny+ps(ratio=1/{NINES})']", "ratio"),
    (f"seeds: [{NINES}]", "seeds"),
    (f"inference: {{tile: {NINES}}}", "tile"),
    (f"models: [edsr_tiny]\ntrain: {{data: images, iterations: {NINES}, gt_size: 8}}", "iterations"),
    ("models: [edsr_tiny]\ntrain: {data: images, iterations: 1, gt_size: 8, lr: .inf}", "lr"),
    (f"models: [edsr_tiny]\ntrain: {{data: images, iterations: 1, gt_size: 8, batch_size: {NINES}}}", "batch_size"),
]


@pytest.mark.parametrize(("lines", "word"), IN_SUITES, ids=[lines[:40] for lines, _ in IN_SUITES])
def test_numbers_beyond_reason_in_a_suite(lines: str, word: str, call: Call, tmp_path: Path) -> None:
    suite = {"name": "s", "scale": "2", "models": "[bicubic]", "datasets": "[images]"}
    suite |= dict(line.split(": ", 1) for line in lines.split("\n"))
    (tmp_path / "suite.yaml").write_text("".join(f"{key}: {value}\n" for key, value in suite.items()))
    before = listing(tmp_path)
    refused(call("run --suite suite.yaml"), word)
    assert listing(tmp_path) == before


# Paths

LONG = "a" * 300
PATHS = [
    "eval bicubic --scale 2 --data {path} --protocol matlab-y",
    WEIGHTS + "{path}",
    "eval {path}.pth --scale 2 --data images --protocol matlab-y",
    BICUBIC + " --save-images {path}",
    BICUBIC + " --json {path}",
    "export edsr_tiny --scale 2 --weights {path} -o out.onnx",
    "export edsr_tiny --scale 2 -o {path}.onnx",
    "run --suite {path}.yaml",
    "run --suite suite.yaml --out {path}",
    "run --suite suite.yaml --train-data {path}",
    "run --suite suite.yaml --add edsr_tiny={path}",
    "train edsr_tiny --data {path} --scale 2 --iterations 1",
    "train edsr_tiny --data images --scale 2 --recipe {path}",
    TRAIN + " --val {path}",
    TRAIN + " --weights {path}",
    "train edsr_tiny --data images --scale 2 --iterations 1 --gt-size 8 --out {path}",
    "leaderboard show {path}",
    "leaderboard build {path}",
    "leaderboard index {path}",
    "compare a b --run {path}",
    "data verify {path}",
    "cache add {path}",
]
BAD_PATHS = {
    "unknown home": "~nouser/x",
    "too long a name": LONG,
    "too long a path": "b/" * 3000,
    "no UTF-8": os.fsdecode(b"caf\xe9/x"),
    "NUL": "a\0b",
}


@pytest.mark.parametrize("line", PATHS)
@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS)
def test_paths_that_no_file_system_takes(path: str, line: str, call: Call, tmp_path: Path) -> None:
    before = listing(tmp_path)
    refused(call([word.replace("{path}", path) for word in shlex.split(line)]))
    assert listing(tmp_path) == before
