"""Damaged files, names and links given to the commands around boards, data sets, figures and trainings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hostile import NINES, TRAIN, Call, listing, refused, run_folder, sealed, unreadable

BAD_VALUES = [float("nan"), float("inf")]


# Links that lead to themselves


@pytest.mark.parametrize(
    "line",
    [
        "data info loop",
        "eval bicubic --scale 2 --data images --protocol matlab-y --json loop",
        "figure learning-curves loop -o curves.png",
        "leaderboard pack run --out loop",
        "leaderboard submit run --out loop",
        "new --update loop",
        "plugins --json loop",
        "replay loop",
        "run --suite loop",
        TRAIN + " --weights loop",
    ],
)
def test_links_that_lead_to_themselves(line: str, call: Call, tmp_path: Path) -> None:
    run_folder(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    before = listing(tmp_path)
    refused(call(line))
    assert listing(tmp_path) == before


# Numbers


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("leaderboard latency run --lr-size 20000x20000", "LR pixels"),
        ("leaderboard latency run --seconds nan", "--seconds"),
        ("leaderboard latency run --threads 100000", "1,024"),
        ("diagnose bicubic --scale 2 --data images --expect psnr_y=nan", "psnr_y"),
        (f"diagnose bicubic --scale 2 --data images --expect psnr_y={NINES}", "psnr_y"),
        ("diagnose bicubic --scale 2 --data images --expect psnr_y=30 --tolerance nan", "--tolerance"),
        (f"leaderboard gate run --against run --max-drop {NINES}", "--max-drop"),
        (f"leaderboard check run --replay {NINES}", "--replay"),
        (f"figure learning-curves run -o curves.png --start {NINES}", "--start"),
        ("plugins doctor --time-limit nan", "--time-limit"),
        ("data register mine images --scale 99", "--scale"),
        ("run --suite suite.yaml --executor ray(cpus=100000)", "1,024"),
    ],
)
def test_numbers_beyond_reason_of_other_commands(line: str, word: str, call: Call, tmp_path: Path) -> None:
    run_folder(tmp_path)
    before = listing(tmp_path)
    refused(call(line), word)
    assert listing(tmp_path) == before


# Files beside results


@pytest.mark.parametrize("value", BAD_VALUES)
def test_times_that_are_no_numbers_are_refused(value: float, call: Call, tmp_path: Path) -> None:
    run, _ = run_folder(tmp_path)
    texts = dict.fromkeys(("started", "finished", "governor", "clock_mhz"), "")
    session = {**texts, "load_before": value, "load_after": 1.0}
    times = {"scale": 3, "lr": [8, 8], "machine": "m", "cores": 1, "threads": 1, "torch": "", "srbench": ""}
    (run / "latency.json").write_text(json.dumps({"runs": [{**times, "sessions": [session]}]}))
    refused(call("leaderboard latency run --models bicubic --no-memory --seconds 0.1 --lr-size 8x8"), "latency.json")


@pytest.mark.parametrize("value", BAD_VALUES)
def test_leaks_whose_scores_are_no_numbers_are_refused(value: float, call: Call, tmp_path: Path) -> None:
    run, _ = run_folder(tmp_path)
    boxes = {"test_box": [0, 0, 1, 1], "train_box": [0, 0, 1, 1]}
    leak = {"test": "one", "train": "two", "kind": "exact", "score": value, **boxes}
    names = dict.fromkeys(("train", "train_hash", "test", "test_hash", "srbench", "date"), "")
    pair = {**names, "train_images": 1, "test_images": 1, "leaks": [leak]}
    (run / "leaks.json").write_text(json.dumps({"pairs": [pair]}))
    refused(call("data leaks images images --record run"), "leaks.json")


def test_cells_that_cannot_be_read_are_not_measured_again(call: Call, tmp_path: Path) -> None:
    run, _ = run_folder(tmp_path)
    before = listing(tmp_path)
    with unreadable(run / "cells"):
        status, _, error = call("run --suite suite.yaml --out run")
    assert status == 2
    assert error.splitlines()[-1].startswith("srbench: ")
    assert "evaluating" not in error
    assert listing(tmp_path) == before | {"run/.lock"}


# Registered data sets


@pytest.mark.parametrize(
    "changed",
    [
        {"folder": 3},
        {"folder": None},
        {"folder": "a\0b"},
        {"folder": "~nouser"},
        {"licence": 3},
        {"name": "other"},
        {"scales": ["a"]},
        {"images": []},
        {
            "images": [
                {"image": 1, "file": 2, "pixels_sha256": 3, "width": "a", "height": [], "size": {}, "modified": 0}
            ]
        },
    ],
    ids=str,
)
def test_a_damaged_manifest_is_named_and_can_be_removed(changed: dict[str, Any], call: Call, tmp_path: Path) -> None:
    assert call("data register mine images")[0] == 0
    path = tmp_path / "cache" / "registered" / "mine.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    status, out, error = call("data list")
    assert status == 0, error
    assert "mine: registered from a damaged manifest" in out
    refused(call("data info mine"), str(path))
    assert call("data unregister mine")[0] == 0
    assert not path.exists()


# Trainings


def training(**changes: Any) -> str:
    points = [{"iteration": at, "psnr_y x2": 30.0 + at} for at in (1, 2)]
    return json.dumps({"result": {"model": "edsr_tiny", "recipe": {"seed": 0}, "validations": points, **changes}})


@pytest.mark.parametrize(
    "points",
    [
        [{"iteration": float("inf"), "psnr_y x2": 1.0}],
        [{"iteration": 10**400, "psnr_y x2": 1.0}],
        [{"iteration": -1, "psnr_y x2": 1.0}],
        [{"iteration": 1, "psnr_y x2": 10**400}],
        [1],
    ],
    ids=lambda points: str(points)[:50],
)
def test_validations_that_no_training_has_are_refused(points: Any, call: Call, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text(training(validations=points))
    before = listing(tmp_path)
    refused(call("figure learning-curves . -o curves.png"), "training.json")
    assert listing(tmp_path) == before


def test_validations_that_no_images_have_are_refused(call: Call, tmp_path: Path) -> None:
    huge = {1: 1e308, 2: -1e308}
    (tmp_path / "files").mkdir()
    points = [{"iteration": at, "psnr_y x2": value} for at, value in huge.items()]
    (tmp_path / "files" / "training.json").write_text(training(validations=points))
    _, cell = run_folder(tmp_path / "records")
    record = json.loads((cell / "record.json").read_text())
    validation = {"data": "d", "data_hash": "", "images": 1, "protocol": "matlab-y", "iterations": list(huge)}
    record["training"] = {
        "recipe": {},
        "iterations": 2,
        "seeds": [0],
        "data": "",
        "data_hash": "",
        "seconds": 1.0,
        "validation": {**validation, "metrics": {"psnr_y x2": list(huge.values())}},
    }
    (cell / "record.json").write_text(json.dumps(record))
    sealed(cell)
    for folder in ("files", "records/run"):
        refused(call(f"figure learning-curves {folder} -o curves.png"), "after iteration 1")


def test_names_in_a_figure_are_no_mathematics_and_no_control_characters(call: Call, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text(training(model="$\\frac$ a\x1b[31m\nb"))
    status, _, error = call("figure learning-curves . -o curves.svg")
    assert status == 0, error
    assert "Glyph" not in error, "a letter is missing in the font"
    assert "\x1b" not in (tmp_path / "curves.svg").read_text()


OPTIONS = """
1: {2: 3}
a.b: {c.d: 1}
"\\e[31mkey": 0
name: x
model_type: SRModel
scale: 2
num_gpu: 0
network_g: {type: EDSR, num_in_ch: 3, num_out_ch: 3, num_feat: 16, num_block: 2, upscale: 2}
datasets: {train: {dataroot_gt: nowhere, gt_size: 8, batch_size_per_gpu: 1}}
train: {optim_g: {type: Adam, lr: 1.0e-4}, total_iter: 1, pixel_opt: {type: L1Loss}}
"""


def test_keys_of_an_option_file_that_are_no_names_are_listed(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("basicsr", reason="the extra `basicsr` is absent")
    (tmp_path / "options.yml").write_text(OPTIONS)
    outcome = call("train --basicsr-options options.yml --out out")
    refused(outcome, "nowhere")
    for shown in ("1.2: ", "a.b.c.d: ", "\\x1b[31mkey: "):
        assert f"not honoured: {shown}" in outcome[1]
    assert "\x1b" not in outcome[1]


# Names


@pytest.mark.parametrize("name", ["[red]x", "a\x1b[31mb"])
def test_brackets_and_control_characters_of_folders_reach_no_terminal(name: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "images").rename(tmp_path / name)
    suite = {"name": "s", "scale": 2, "models": ["bicubic"], "datasets": [name]}
    (tmp_path / "suite.yaml").write_text(json.dumps(suite))
    for line in (
        ["run", "--suite", "suite.yaml", "--dry-run"],
        ["data", "leaks", name, name],
        ["data", "register", "mine", name, "--licence", "\x1b[31mnone\x07"],
        ["data", "list"],
        ["data", "unregister", "mine"],
    ):
        status, out, error = call(line)
        assert status == 0, error
        assert not {"\x1b", "\x07"} & set(out + error), line
        if line[0] == "run":
            assert name.replace("\x1b", "\\x1b") in out, "the name is shown as it is"


def test_a_pipe_that_nothing_reads_is_refused(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srbench.cli.output._READER_SECONDS", 0.2)
    os.mkfifo(tmp_path / "pipe")
    refused(call("plugins --json pipe"), "'pipe'")


def test_a_pipe_that_is_read_gets_the_result(call: Call, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert call("cache path --json pipe")[0] == 0
        assert json.loads(os.read(reader, 2**16))["cache"] == str(tmp_path / "cache")
    finally:
        os.close(reader)
