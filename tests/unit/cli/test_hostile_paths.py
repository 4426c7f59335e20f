"""Paths that cannot be used: status 2, one sentence, and nothing written."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from hostile import BICUBIC, LONG, TRAIN, WEIGHTS, Call, listing, refused, run_folder, unreadable

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


DATA = [
    BICUBIC,
    TRAIN,
    "cache add images",
    "data info images",
    "data leaks images images",
    "data register mine images",
    "data verify images",
    "leaderboard show images",
    "run --suite suite.yaml",
]


@pytest.mark.parametrize("line", DATA)
def test_a_data_folder_that_cannot_be_read(line: str, call: Call, tmp_path: Path) -> None:
    with unreadable(tmp_path / "images"):
        refused(call(line), "images")
    assert listing(tmp_path) == {"images", "images/one.png", "images/two.png", "suite.yaml"}


@pytest.mark.parametrize("line", [BICUBIC, f"{BICUBIC} --json eval.json"])
def test_an_image_whose_name_is_not_utf_8(line: str, call: Call, tmp_path: Path) -> None:
    try:
        (tmp_path / "images" / "one.png").rename(tmp_path / "images" / os.fsdecode(b"one\xff.png"))
    except OSError:
        pytest.skip("this file system takes no such name")
    before = listing(tmp_path)
    refused(call(line), r"'one\udcff' is not UTF-8")
    assert listing(tmp_path) == before


CACHED = [
    "cache list",
    "cache add images",
    "data list",
    "data register mine images",
    BICUBIC,
    "run --suite suite.yaml --dry-run",
]


@pytest.mark.parametrize("line", CACHED)
def test_a_cache_that_cannot_be_read(line: str, call: Call, tmp_path: Path) -> None:
    """A command that needs nothing from the cache may go on without it."""
    assert call("data register other images")[0] == 0
    before = listing(tmp_path)
    with unreadable(tmp_path / "cache"):
        status, _, error = call(line)
    if status:
        refused((status, "", error))
    else:
        assert "Traceback" not in error
    assert listing(tmp_path) == before


RESULTS = [
    "compare edsr_tiny bicubic --run run",
    "data leaks images images --record run",
    "figure learning-curves run -o curves.png",
    "leaderboard build run --out page",
    "leaderboard check run --no-networks",
    "leaderboard gate run --against run --max-drop 0",
    "leaderboard latency run --models bicubic",
    "leaderboard pack run --out packed",
    "leaderboard protocols run",
    "leaderboard show run",
    "leaderboard submit run --out submission",
    "replay run",
    "run --suite suite.yaml --out run",
]


@pytest.mark.parametrize("line", RESULTS)
def test_a_results_folder_that_cannot_be_read(line: str, call: Call, tmp_path: Path) -> None:
    run, _ = run_folder(tmp_path)
    before = listing(tmp_path)
    with unreadable(run):
        refused(call(line), "run")
    assert listing(tmp_path) == before


@pytest.mark.parametrize("line", ["leaderboard show run", "leaderboard build run --out page"])
def test_a_cell_that_cannot_be_read_is_named_and_left_out(line: str, call: Call, tmp_path: Path) -> None:
    _, cell = run_folder(tmp_path)
    for path in (cell, cell / "record.json"):
        with unreadable(path):
            status, _, error = call(line)
        assert status == 0, error
        assert cell.name in error
        assert "Traceback" not in error


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
