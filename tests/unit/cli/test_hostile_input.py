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
    (f"audit edsr_tiny+ps(ratio=1/{NINES}) --scale 2", "at most 60"),
    (f"audit edsr_tiny+ps(ratio={NINES}/1) --scale 2", "at most 60"),
    (f"audit edsr_tiny+ps(shape={NINES}x1x1x1) --scale 2", "partial filters"),
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
    (f"models: ['edsr_tiny+ps(ratio=1/{NINES})']", "at most 60"),
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


def test_bytes_that_are_no_text_as_a_model_to_add(call: Call) -> None:
    refused(call(["run", "--suite", "suite.yaml", "--add", os.fsdecode(b"edsr_tiny=caf\xe9.pth")]), "UTF-8")


def test_a_working_directory_that_was_deleted(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in (BICUBIC, "run --suite suite.yaml", TRAIN, "leaderboard show run", "cache add images"):
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        refused(call(line))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("line", [BICUBIC, "cache add images", "data verify images", "leaderboard show images"])
def test_folders_that_may_not_be_read(line: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "images").chmod(0)
    try:
        refused(call(line), "images")
    finally:
        (tmp_path / "images").chmod(0o755)


@pytest.mark.parametrize("line", [BICUBIC, "cache add images", "data verify images", "run --suite suite.yaml"])
def test_a_folder_whose_listing_is_refused(
    line: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `test_folders_that_may_not_be_read`, for root too: the system call is made to fail."""
    real = os.scandir, os.listdir

    def denied(kind: int) -> Callable[..., Any]:
        def listing(path: Any = ".") -> Any:
            if Path(os.fsdecode(path) if isinstance(path, bytes) else str(path)).name == "images":
                raise PermissionError(13, "Permission denied", str(path))
            return real[kind](path)

        return listing

    monkeypatch.setattr(os, "scandir", denied(0))
    monkeypatch.setattr(os, "listdir", denied(1))
    refused(call(line), "Permission denied")


def test_a_cache_that_is_a_file_or_a_device(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("images/one.png", "/dev/null", "~nouser/cache", LONG):
        monkeypatch.setenv("SRBENCH_CACHE", place)
        status, _, error = call("cache list")
        assert "Traceback" not in error
        if status:
            refused((status, "", error))
        status, _, error = call("cache add images")
        refused((status, "", error))


JSON_ONTO = [
    (BICUBIC + " --json images/one.png", "images/one.png"),
    ("run --suite suite.yaml --json suite.yaml", "suite.yaml"),
    ("run --suite suite.yaml --out run --json run", None),
    ("run --suite suite.yaml --out run --json run/run.json", None),
    (BICUBIC + " --save-images out --json out/one.png", None),
    (BICUBIC + " --save-images out --json out", None),
    (TRAIN + " --json out/training.json", None),
    (TRAIN + " --json images/two.png", "images/two.png"),
    ("export edsr_tiny --scale 2 -o out.onnx --json out.onnx", None),
    ("train edsr_tiny --data images --scale 2 --recipe recipe.yaml --json recipe.yaml", "recipe.yaml"),
    (BICUBIC + " --json link.json", "images/one.png"),
]


@pytest.mark.parametrize(("line", "kept"), JSON_ONTO, ids=[line[-45:] for line, _ in JSON_ONTO])
def test_json_onto_another_file_of_the_command(line: str, kept: str | None, call: Call, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("{iterations: 1, gt_size: 8}\n")
    (tmp_path / "link.json").symlink_to("images/one.png")
    content = (tmp_path / kept).read_bytes() if kept is not None else b""
    before = listing(tmp_path)
    refused(call(line), "another file of this command")
    assert listing(tmp_path) == before
    assert kept is None or (tmp_path / kept).read_bytes() == content


def test_json_onto_files_of_the_run_that_is_read(call: Call, tmp_path: Path) -> None:
    run, cell = run_folder(tmp_path)
    for target in (run / "run.json", cell / "record.json", cell / "DONE"):
        content = target.read_bytes()
        for line in (f"leaderboard show {run}", f"leaderboard build {run}", f"compare bicubic bicubic --run {run}"):
            refused(call(f"{line} --json {target}"), "another file of this command")
        assert target.read_bytes() == content
    assert call(f"leaderboard show {run} --json {run}/ranking.json")[0] == 0
    assert call(f"leaderboard show {run} --json {run}/ranking.json")[0] == 0, "a result of ours may be written again"


# What is no regular file, or one of gigabytes

READ = [
    ("run --suite {path}.yaml", ".yaml"),
    ("train edsr_tiny --data images --scale 2 --recipe {path}", ""),
    (WEIGHTS + "{path}", ""),
    (WEIGHTS + "{path}.safetensors", ".safetensors"),
    ("eval {path}.pth --scale 2 --data images --protocol matlab-y", ".pth"),
    ("eval bicubic --scale 2 --data {path}.txt --protocol matlab-y", ".txt"),
    (TRAIN + " --weights {path}", ""),
    ("cache add {path}", ""),
    ("cache add {path}.png", ".png"),
]


@pytest.mark.parametrize("kind", ["pipe", "device", "17 GiB"])
@pytest.mark.parametrize(("line", "ending"), READ, ids=[line[:40] + ending for line, ending in READ])
def test_pipes_devices_and_files_of_gigabytes(line: str, ending: str, kind: str, call: Call, tmp_path: Path) -> None:
    path = tmp_path / f"odd{ending}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 17 * GIB)
    before = listing(tmp_path)
    refused(call(line.replace("{path}", "odd")), "odd")
    assert listing(tmp_path) == before


def test_pipes_and_devices_in_the_cache_are_no_entries(call: Call, tmp_path: Path) -> None:
    assert call(BICUBIC + " --json -")[0] == 0
    for kind in ("decoded", "lr"):
        entries = [path for path in (tmp_path / "cache" / kind).glob("*/*") if path.is_file()]
        assert entries, kind
        for number, path in enumerate(entries):
            path.unlink()
            if number % 2:
                path.symlink_to("/dev/zero")
            else:
                os.mkfifo(path)
    status, _, error = call(BICUBIC + " --json -")
    assert "Traceback" not in error
    assert status == 0 or error.startswith("srbench: ")


def test_pipes_and_devices_as_results_name_the_cell(call: Call, tmp_path: Path) -> None:
    for name in ("DONE", "record.json", "per_image.parquet", "speed.json"):
        for kind in ("pipe", "device"):
            run, cell = run_folder(tmp_path / f"{name}-{kind}")
            (cell / name).unlink(missing_ok=True)
            if kind == "pipe":
                os.mkfifo(cell / name)
            else:
                (cell / name).symlink_to("/dev/zero")
            status, _, error = call(f"leaderboard show {run}")
            assert status == 0, error
            if name != "speed.json":
                assert cell.name in error, error
                assert ("a pipe" if kind == "pipe" else "a device") in error
    run, _ = run_folder(tmp_path / "info")
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")
    refused(call(f"leaderboard show {run}"), "a pipe")


# Bombs

DEEP = "[" * 100_000 + "]" * 100_000
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize("text", [LAUGHS, f"models: {DEEP}", "a: &a [*a]\n"], ids=["laughs", "deep", "itself"])
@pytest.mark.parametrize("line", ["run --suite bomb.yaml", TRAIN + " --recipe bomb.yaml"])
def test_yaml_that_multiplies_or_is_nested_deeply(text: str, line: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "bomb.yaml").write_text(text)
    refused(call(line), "bomb.yaml")


def test_json_nested_deeply_in_a_safetensors_header(call: Call, tmp_path: Path) -> None:
    header = ('{"__metadata__": {"srbench": ' + json.dumps(DEEP) + '}, "x": ' + DEEP + "}").encode()
    (tmp_path / "deep.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    refused(call(WEIGHTS + "deep.safetensors"), "deep.safetensors")


@pytest.mark.parametrize("name", ["DONE", "record.json"])
def test_json_nested_deeply_in_a_cell(name: str, call: Call, tmp_path: Path) -> None:
    run, cell = run_folder(tmp_path)
    (cell / name).write_text(DEEP)
    if name == "record.json":
        sealed(cell)
    for line in (f"leaderboard show {run}", f"leaderboard build {run}"):
        status, _, error = call(line)
        assert status == 0, error
        assert cell.name in error, error


def test_json_nested_deeply_in_run_json(call: Call, tmp_path: Path) -> None:
    run, _ = run_folder(tmp_path)
    (run / "run.json").write_text(DEEP)
    refused(call(f"leaderboard show {run}"), "run.json")


def test_archives_that_unpack_to_more_than_memory(call: Call, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        with archive.open("archive/data/0", "w", force_zip64=True) as stream:
            for _ in range(64):
                stream.write(bytes(2**20))
    refused(call(WEIGHTS + "bomb.pth"), "would unpack to")
    (tmp_path / "out").mkdir()
    (tmp_path / "bomb.pth").rename(tmp_path / "out" / "checkpoint.pt")
    refused(call(TRAIN), "checkpoint.pt", "would unpack to")


def test_checkpoints_whose_tensors_claim_more_than_they_store(call: Call, tmp_path: Path) -> None:
    state = srbench.create_model("edsr_tiny", scale=2, seed=0).state_dict()
    first = next(iter(state))
    torch.save({**state, first: torch.zeros(1).expand(10**12)}, tmp_path / "claims.pth")
    refused(call(WEIGHTS + "claims.pth"), first, "stores fewer")


def test_tables_that_unpack_to_more_than_memory_name_the_cell(call: Call, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    run, cell = run_folder(tmp_path)
    many = pa.array(np.zeros(2_000_000))
    pyarrow.parquet.write_table(
        pa.table({"image": many, "psnr_y": many}), cell / "per_image.parquet", compression="zstd"
    )
    sealed(cell)
    status, _, error = call(f"leaderboard show {run}")
    assert status == 0
    assert "2,000,000 rows" in error


# Weights


def test_tensors_that_hold_no_plain_values(call: Call, tmp_path: Path) -> None:
    state = srbench.create_model("edsr_tiny", scale=2, seed=0).state_dict()
    first = next(name for name, value in state.items() if value.ndim == 4)
    odd = {
        "meta": torch.empty(state[first].shape, device="meta"),
        "quantised": torch.quantize_per_tensor(state[first], 0.1, 0, torch.qint8),
        "sparse": state[first].to_sparse(),
    }
    for word, tensor in odd.items():
        torch.save({**state, first: tensor}, tmp_path / "odd.pth")
        refused(call(WEIGHTS + "odd.pth"), first, word)
        refused(call("eval odd.pth --scale 2 --data images --protocol matlab-y"), "odd.pth")
        refused(call(TRAIN + " --weights odd.pth"), first, word)


DAMAGES = {
    "empty": b"",
    "text": b"no checkpoint",
    "pickle": pickle.dumps({"a": 1}),
    "binary": bytes(range(256)) * 9,
    "deep": DEEP.encode(),
    "list": b"[1, 2]",
    "other types": json.dumps({"identity": {"recipe": [1]}, "result": {"weights": 3}}).encode(),
    "elsewhere": json.dumps({"identity": {}, "result": {"weights": "../images/one.png"}}).encode(),
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("file", ["checkpoint.pt", "training.json"])
def test_damaged_files_in_a_training_folder(file: str, content: bytes, call: Call, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / file).write_bytes(content)
    refused(call(TRAIN), file, "--no-resume")
    assert (tmp_path / "out" / file).read_bytes() == content
    status, _, error = call(TRAIN + " --no-resume")
    assert status == 0, error


def test_a_training_json_with_other_values(call: Call, tmp_path: Path) -> None:
    assert call(TRAIN)[0] == 0
    path = tmp_path / "out" / "training.json"
    good = json.loads(path.read_text())
    for key, value in {"seconds": "x", "validations": [{"psnr": "x"}], "scales": 7, "recipe": 1}.items():
        path.write_text(json.dumps({**good, "result": {**good["result"], key: value}}))
        refused(call(TRAIN), "training.json", "--no-resume")
    path.write_text(json.dumps({**good, "identity": {**good["identity"], "recipe": "none"}}))
    refused(call(TRAIN), "training.json")


def test_a_checkpoint_with_other_state(call: Call, tmp_path: Path) -> None:
    from srbench.training.checkpoint import save_checkpoint

    assert call(TRAIN)[0] == 0
    identity = json.loads((tmp_path / "out" / "training.json").read_text())["identity"]
    (tmp_path / "out" / "training.json").unlink()
    for state in ({}, {"model": 3}, {"model": {"network": {"x": torch.zeros(1).to_sparse()}}, "iteration": -1}):
        save_checkpoint(tmp_path / "out" / "checkpoint.pt", identity, state)
        refused(call(TRAIN), "checkpoint.pt", "--no-resume")
    torch.save({"srbench_checkpoint": 1, "identity": {"recipe": 3}, "state": {}}, tmp_path / "out" / "checkpoint.pt")
    refused(call(TRAIN), "another training")


# Stores


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


FORGED = {
    "negative parameters": {"params_unique": -1},
    "huge parameters": {"params_deployed": 10**400},
    "huge numbers in the checkpoint": {"params_stored": 10**16},
    "scale 0": {"scale": 0},
    "huge scale": {"scale": 10**400},
    "huge scales": {"scales": [2, 10**9]},
    "negative work": {"cost": {"macs": -5}},
    "huge work": {"cost": {"macs": 10**400}},
    "images without end": {"images": 10**400},
    "a key that is none of ours": {"extra": 1},
    "a text as metric": {"metrics": {"psnr_y": "a"}},
}


@pytest.mark.parametrize("values", FORGED.values(), ids=FORGED)
def test_forged_records_are_named_and_left_out(values: dict[str, Any], call: Call, tmp_path: Path) -> None:
    run, cell = run_folder(tmp_path)
    record = json.loads((cell / "record.json").read_text())
    (cell / "record.json").write_text(json.dumps({**record, **values}))
    sealed(cell)
    for line in (f"leaderboard show {run}", f"leaderboard build {run}"):
        status, out, error = call(line)
        assert status == 0, error
        assert cell.name in error, error
        assert str(next(iter(values))) in error, error
        if " show " in line:
            assert "edsr_tiny" in out, "the other cell is shown"


def test_a_binary_run_json_is_refused(call: Call, tmp_path: Path) -> None:
    run, _ = run_folder(tmp_path)
    (run / "run.json").write_bytes(bytes(range(256)))
    for line in (f"leaderboard show {run}", f"leaderboard build {run}", f"compare edsr_tiny bicubic --run {run}"):
        refused(call(line), "run.json")


# Messages


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "\u202eabc", "\x07", "a\r\nb"])
def test_line_breaks_and_control_characters_are_escaped_in_messages(text: str, call: Call, tmp_path: Path) -> None:
    before = listing(tmp_path)
    for arguments in (
        ["audit", text, "--scale", "2"],
        ["eval", "bicubic", "--scale", "2", "--data", text, "--protocol", "matlab-y"],
        ["eval", "bicubic", "--scale", "2", "--data", "images", "--protocol", text],
        ["run", "--suite", text],
        ["explain", text],
        [text],
        ["leaderboard", "show", text],
        ["cache", "add", text],
    ):
        refused(call(arguments))
    assert listing(tmp_path) == before


def test_control_characters_of_names_reach_no_terminal(call: Call, tmp_path: Path) -> None:
    (tmp_path / "images" / "one.png").rename(tmp_path / "images" / "\x1b[31mone\x07.png")
    status, out, error = call(BICUBIC)
    assert status == 0, error
    assert "\x1b" not in out + error
    run, cell = run_folder(tmp_path)
    record = json.loads((cell / "record.json").read_text())
    record |= {"model": "a\x1b[2Jb", "dataset": "\x07images", "status": "failed", "error": "\x1b]0;title\x07"}
    (cell / "record.json").write_text(json.dumps(record))
    sealed(cell)
    status, out, error = call(f"leaderboard show {run}")
    assert status == 0, error
    assert "\x1b" not in out + error
    assert "\x07" not in out + error


@pytest.mark.parametrize("glob", ["[", "a[", "[!"])
def test_a_pattern_that_is_no_glob_says_so(glob: str, call: Call) -> None:
    refused(call(["list", "models", glob]), "pattern")


def test_no_command_shows_the_help(call: Call) -> None:
    status, out, _ = call([])
    assert status == 0
    assert "Usage" in out
