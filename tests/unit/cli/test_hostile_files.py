"""Files that are no regular files, too large, or expand: status 2, one sentence, and nothing written."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile import BICUBIC, DEEP, LAUGHS, TRAIN, WEIGHTS, Call, listing, refused, run_folder, sealed

import srbench
from srbench.errors import DataError
from srbench.untrusted import read_bytes

GIB = 2**30


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


ALIASES = "".join(f"{new}: &{new} [[[[[[[[*{old}]]]]]]]]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True))
YAML = {
    "laughs": (LAUGHS, "expands to"),
    "deep": (f"models: {DEEP}", "nested too deeply"),
    "65 levels": (f"models: {'[' * 64}{']' * 64}\n", "65 levels"),
    "65 levels by aliases": (f"a: &a [[[[[[[[x]]]]]]]]\n{ALIASES}", "65 levels"),
    "itself": ("a: &a [*a]\n", "contains itself"),
}


@pytest.mark.parametrize(("text", "words"), YAML.values(), ids=YAML)
@pytest.mark.parametrize("line", ["run --suite bomb.yaml", TRAIN + " --recipe bomb.yaml"])
def test_yaml_that_multiplies_or_is_nested_deeply(text: str, words: str, line: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "bomb.yaml").write_text(text)
    refused(call(line), "bomb.yaml", words)


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


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_a_file_that_claims_to_be_empty_is_read_whole_and_to_the_limit() -> None:
    path = Path("/proc/self/environ")
    assert path.stat().st_size == 0
    whole = path.read_bytes()
    assert len(whole) > 1
    assert read_bytes(path, limit=len(whole)) == whole
    with pytest.raises(DataError, match="at most"):
        read_bytes(path, limit=len(whole) - 1)
