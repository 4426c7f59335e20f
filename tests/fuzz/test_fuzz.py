"""Random and broken input, through the same `main` as on the command line.

The oracle is the same for every case: exit status 0 or 2; where it is 2, one sentence on standard error and nothing
written; where it is 0, nothing written but what the command's own options name; nothing unprintable on either stream;
never a traceback; under 30 seconds. The whole process may use 4 GiB of memory beyond what it starts with.
`tox run -e fuzz` runs all cases of the tests and prints the number of commands; `SRBENCH_FUZZ_CASES` scales the number
of cases, and 1 is the short form.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import resource
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from srbench.cli import main
from srbench.errors import SRBenchError
from srbench.registry import canonical_name

pytestmark = pytest.mark.fuzz

TIMES = int(os.environ.get("SRBENCH_FUZZ_CASES", "1"))
SECONDS = 30
GIB = 2**30


def cases(count: int) -> settings:
    # Shrinking would run slow cases again and again; a failing case prints itself.
    return settings(
        max_examples=count * TIMES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module", autouse=True)
def bounded_memory() -> Iterator[None]:
    with open("/proc/self/statm", encoding="ascii") as stream:
        used = int(stream.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 4 * GIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that commands run in, with two small images beside it."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name in ("one", "two"):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(tmp_path / "images" / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


COUNTS: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def counted() -> Iterator[None]:
    """Print how many commands were carried out and how many were refused."""
    yield
    print(f"\nfuzz: {COUNTS['accepted'] + COUNTS['refused']:,} commands, {COUNTS['refused']:,} refused in a sentence")


def listing(root: Path) -> dict[Path, tuple[int, int] | None]:
    """Return each file's size and time, and None for folders."""
    found: dict[Path, tuple[int, int] | None] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        found[path] = None if path.is_dir() else (status.st_size, status.st_mtime_ns)
    return found


OUTPUTS = ("--csv", "--into", "--json", "--out", "--record", "-o")


def asked_for(path: Path, arguments: Sequence[str], place: Path) -> bool:
    """Return whether an option names a path as output, or a folder that contains it or that it must be made in."""
    for option, value in pairwise(arguments):
        if option not in OUTPUTS or value in ("", "-"):
            continue
        target = Path(os.path.normpath(place / value))
        if option == "--record":
            target /= "leaks.json"
        if target == path or (path.is_dir() and path in target.parents):
            return True
        # Files given as input are no output, even in a folder that is one.
        if option != "--json" and target in path.parents and place / "images" not in path.parents:
            return True
    return False


def call(arguments: list[str], place: Path) -> str:
    """Run a command and hold it to the oracle; return what it printed."""
    before = listing(place)
    out, err = io.StringIO(), io.StringIO()
    started = time.monotonic()
    status: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(arguments)
    except SystemExit as end:
        status = end.code or 0
    shown = f"srbench {arguments!r}\nstatus {status}\nstdout: {out.getvalue()[-500:]}\nstderr: {err.getvalue()[-1500:]}"
    assert status in (0, 2), shown
    assert time.monotonic() - started < SECONDS, shown
    assert "Traceback" not in err.getvalue(), shown
    COUNTS["refused" if status == 2 else "accepted"] += 1
    if status == 2:
        lines = err.getvalue().rstrip("\n").split("\n")
        assert len(lines) == 1, shown
        assert lines[0].startswith("srbench: "), shown
    raw = {character for character in out.getvalue() + err.getvalue() if not character.isprintable()} - {"\n"}
    assert not raw, f"{shown}\nnot escaped: {raw}"
    after = listing(place)
    written = {
        path for path in {*before, *after} if (path in before, before.get(path)) != (path in after, after.get(path))
    }
    if status == 0:
        written = {path for path in written if not asked_for(path, arguments, place)}
    assert not written, f"{shown}\nwritten: {sorted(written)}"
    return out.getvalue()


TRICKY = st.sampled_from(
    [
        "", " ", "-", "--", "-1", "0", "1", "2", "3", "17", "1e9", "nan", "inf", "9" * 400, "1/0", "1/3", "2,2",
        "a" * 300,
        "../..", "/", "/dev/zero", "/dev/null", ".", "~", "~nouser", "images", "images/one.png", "x" * 5000, "[",
        "*", "?", "(",
        "edsr_tiny", "bicubic", "edsr_tiny+ps", "edsr_tiny+ps(ratio=1/4)", "carn_m.author", "Set5", "matlab-y",
        "ntire", "lpips",
        "embedded-test", "quickstart", "none.yaml", "cuda", "cuda:9", "cpu", "é", "\u202e", "\x1b[31m", "a\nb",
        "\udc80", "{}", "%s",
    ]
)  # fmt: skip
WORDS = st.one_of(TRICKY, st.text(max_size=30).filter(lambda text: "\0" not in text))
COMMANDS = [
    ["audit"], ["cost"], ["data", "list"], ["data", "verify"], ["eval"], ["explain"], ["export"], ["leaderboard",
    "build"],
    ["leaderboard", "show"], ["leaderboard", "submit"], ["leaderboard", "gate"],
    ["leaderboard", "gate", "--max-drop", "0", "--against", "images"], ["list"],
    ["list", "models"], ["plugins"], ["run", "--dry-run"], ["train"], ["cache", "add"],
    ["data", "info"], ["data", "leaks"], ["data", "register"], ["data", "unregister"], ["diagnose"],
    ["figure", "learning-curves"], ["leaderboard", "check"], ["leaderboard", "latency"], ["leaderboard", "pack"],
    ["leaderboard", "protocols"], ["leaderboard", "site"], ["leaderboard", "unpack"], ["list", "weights"], ["replay"],
]  # fmt: skip
OPTIONS = [
    "--scale", "--data", "--protocol", "--metrics", "--weights", "--threads", "--seconds", "--lr-size", "--json",
    "--suite",
    "--budget", "--datasets", "--models", "--add", "--out", "--iterations", "--gt-size", "--recipe", "--scales",
    "--device",
    "--board", "--into", "--against", "--max-drop", "--metric", "--by", "--boards", "--csv", "--executor", "--expect",
    "--key", "--record", "--under",
    "--tile", "--tile-overlap", "--dtype", "-o", "--images", "--seed", "--lr", "--batch-size", "--val",
]  # fmt: skip


@cases(350)
@given(
    command=st.sampled_from(COMMANDS),
    words=st.lists(WORDS, max_size=2),
    options=st.lists(st.tuples(st.sampled_from(OPTIONS), WORDS), max_size=4),
)
def test_arguments(command: list[str], words: list[str], options: list[tuple[str, str]], place: Path) -> None:
    """350 cases: every command with words and options that do not belong together."""
    rest = [part for pair in options for part in pair]
    # What these would really do, if all fits by chance, takes longer than a case may.
    if command[0] in ("train", "export"):
        rest += ["--scale", "nonsense"]
    call([*command, *words, *rest], place)


PARTS = st.one_of(
    st.sampled_from(
        ["edsr_tiny", "bicubic", "ps", "recursive", "dense", "author", "+", ".", "(", ")", ",", "=", "ratio", "shape"]
    ),
    st.sampled_from(
        ["1/4", "1/16", "64x64x1x1", "CxCx1x1", "true", '"', "9" * 500, "-", "1e5", "0", "svd", "init", " "]
    ),
    st.text(max_size=4),
)


@cases(300)
@given(parts=st.lists(PARTS, max_size=12))
def test_model_names(parts: list[str], place: Path) -> None:
    """300 cases: names made of the grammar's parts in any order, read, and given to a command."""
    name = "".join(parts)
    try:
        canonical_name(name)
    except SRBenchError:
        call(["audit", "--scale", "2", "--", name], place)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.integers(), st.floats(), st.text(max_size=12),
    st.sampled_from(["bicubic", "edsr_tiny", "edsr_tiny+ps(ratio=1/4)", "images", "matlab-y", "psnr_y", "*a", "&a x"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
SUITE = {
    "name": "fuzzed", "title": "A suite", "scale": 2, "models": ["bicubic"], "datasets": ["images"],
    "protocol": "matlab-y",
    "metrics": ["psnr_y"], "train": {"data": "images", "iterations": 1}, "seeds": [0],
    "budgets": {"small": {"seeds": 0}},
    "inference": {"self_ensemble": True}, "multi_scale": False, "reported": [],
}  # fmt: skip


@cases(200)
@given(
    changed=st.dictionaries(st.sampled_from([*SUITE, "modells"]), VALUES, min_size=1, max_size=3),
    cut=st.integers(0, 400),
)
def test_suite_files(changed: dict[str, Any], cut: int, place: Path) -> None:
    """200 cases: a good suite with other values in it, a quarter of them cut off somewhere."""
    import yaml

    text = yaml.safe_dump({**SUITE, **changed}, allow_unicode=True)
    if cut < 100:
        text = text[: len(text) * cut // 100]
    (place / "suite.yaml").write_text(text, encoding="utf-8", errors="replace")
    call(["run", "--suite", "suite.yaml", "--dry-run"], place)


def _run_folder(place: Path) -> tuple[Path, Path]:
    """Make a run with one good cell, and return the run and the cell's folder."""
    import pandas as pd

    from srbench.results.records import Record, RunInfo
    from srbench.results.store import RunStore

    store = RunStore(place / "run")
    with store.lock():
        store.begin(RunInfo(suite="fuzzed", srbench="0", created="2026-01-01T00:00:00+00:00"))
        cell = store.write(
            Record(
                key="0" * 64, status="ok", model="bicubic", backbone="bicubic", scale=2, scales=[2], dataset="images",
                dataset_hash="0", images=2, protocol="matlab-y", protocol_digest="0", tier="reproduced",
                metrics={"psnr_y": 30.0}, created="2026-01-01T00:00:00+00:00",
            ),
            pd.DataFrame({"image": ["one", "two"], "psnr_y": [29.0, 31.0]}),
        )  # fmt: skip
    return place / "run", cell


RECORD_KEYS = [
    "scale", "scales", "params_unique", "params_deployed", "metrics", "cost", "model", "images", "created", "tier",
    "dataset", "protocol", "status", "files", "schema_version", "suite", "definition", "reported", "title",
]  # fmt: skip


@cases(130)
@given(
    file=st.sampled_from(["record.json", "DONE", "run.json"]),
    changes=st.dictionaries(st.sampled_from(RECORD_KEYS), VALUES, min_size=1, max_size=2),
    cut=st.integers(0, 400),
    rehash=st.booleans(),
)
def test_records(file: str, changes: dict[str, Any], cut: int, rehash: bool, place: Path) -> None:
    """130 cases: a run whose files say other things or are cut off, with and without their hashes made to fit."""
    import shutil

    run, cell = _run_folder(place)
    path = run / file if file == "run.json" else cell / file
    value = json.loads(path.read_text())
    text = json.dumps({**value, **changes})
    path.write_text(text[: len(text) * cut // 100] if cut < 100 else text)
    if rehash and file == "record.json":
        done = json.loads((cell / "DONE").read_text())
        done["files"]["record.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (cell / "DONE").write_text(json.dumps(done))
    call(["leaderboard", "show", "run"], place)
    call(["leaderboard", "build", "run", "--out", "page"], place)
    call(["leaderboard", "submit", "run", "--out", "page/submission"], place)
    call(["leaderboard", "gate", "run", "--against", "run", "--max-drop", "0"], place)
    shutil.rmtree(run)
    shutil.rmtree(place / "page", ignore_errors=True)


def broken(data: bytes, edits: list[tuple[float, int]], cut: float) -> bytes:
    changed = bytearray(data)
    for where, value in edits:
        changed[int(where * (len(changed) - 1))] = value
    return bytes(changed[: int(len(changed) * cut)])


EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6)
CUTS = st.one_of(st.just(1.0), st.floats(0, 1))


@cases(70)
@given(kind=st.sampled_from(["safetensors", "pth"]), edits=EDITS, header=EDITS, cut=CUTS)
def test_weight_files(
    kind: str, edits: list[tuple[float, int]], header: list[tuple[float, int]], cut: float, place: Path
) -> None:
    """70 cases: a checkpoint with changed bytes, in its header above all, or without its end."""
    import torch

    from srbench.models.factory import create_model
    from srbench.models.weight_files import save_state

    path = place / f"weights.{kind}"
    if kind == "safetensors":
        save_state(create_model("edsr_tiny", scale=2, seed=0), path)
    else:
        torch.save({"params": create_model("edsr_tiny", scale=2, seed=0).state_dict()}, path)
    data = path.read_bytes()
    path.write_bytes(broken(data, [*edits, *((where * 1000 / len(data), value) for where, value in header)], cut))
    call(
        ["eval", "edsr_tiny", "--scale", "2", "--data", "images", "--protocol", "matlab-y", "--weights", str(path)],
        place,
    )
    path.unlink()


@cases(100)
@given(kind=st.sampled_from(["png", "jpg", "bmp", "tiff", "webp", "ppm"]), edits=EDITS, cut=CUTS)
def test_image_files(kind: str, edits: list[tuple[float, int]], cut: float, place: Path) -> None:
    """100 cases: an image file with changed bytes, or without its end, measured with bicubic interpolation."""
    folder = place / "fuzzed"
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(1).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format={"jpg": "JPEG", "ppm": "PPM"}.get(kind, kind.upper()))
    path = folder / f"image.{kind}"
    path.write_bytes(broken(stream.getvalue(), edits, cut))
    call(["eval", "bicubic", "--scale", "2", "--data", "fuzzed", "--protocol", "matlab-y"], place)
    path.unlink()
