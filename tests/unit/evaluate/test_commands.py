"""The commands eval, explain, data and cache, most of them in a process of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.images.files import write_png
from srbench.images.resize import imresize
from srbench.protocols import get_protocol


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Return a function that runs `srbench` with an empty cache and no proxy to the world."""
    environment = {
        **os.environ,
        "SRBENCH_CACHE": str(tmp_path / "cache"),
        # A proxy where nothing listens: whatever a download tries, it ends here, at once.
        "https_proxy": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }

    def run(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from srbench.cli import main; main()", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def folder(tmp_path: Path, seed: int) -> Path:
    """Return a folder with HR images and true x2 LR images."""
    rng = np.random.default_rng(seed)
    for name in ("one", "two"):
        hr = imresize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), 4)
        write_png(hr, tmp_path / "images" / "HR" / f"{name}.png")
        write_png(get_protocol("matlab-y").lr_image(hr, 2), tmp_path / "images" / "LR_bicubic" / "X2" / f"{name}x2.png")
    return tmp_path / "images"


def test_eval_prints_a_table_and_writes_json(run: Any, folder: Path, tmp_path: Path) -> None:
    arguments = ["eval", "bicubic", "--scale", 2, "--data", folder, "--protocol", "matlab-y", "--threads", 1]
    done = run(*arguments, "--json", tmp_path / "out.json", "--save-images", tmp_path / "sr")
    assert "mean" in done.stdout
    result = json.loads((tmp_path / "out.json").read_text())
    assert [row["image"] for row in result["images"]] == ["one", "two"]
    assert result["metrics"]["psnr_y"] == pytest.approx(np.mean([row["psnr_y"] for row in result["images"]]))
    assert result["protocol_digest"] == get_protocol("matlab-y").digest
    assert result["threads"] == 1
    assert sorted(path.name for path in (tmp_path / "sr").iterdir()) == ["one.png", "two.png"]
    again = json.loads(run(*arguments, "--lr", "shipped", "--json", "-").stdout)
    assert again["metrics"] == result["metrics"]  # the shipped LR images are the same pixels
    assert again["lr"] == "shipped"


@pytest.mark.parametrize(
    ("protocol", "metrics"), [("ntire", ["psnr_rgb", "ssim_rgb"]), ("y-only", ["psnr_y", "ssim_y"])]
)
def test_eval_reports_the_protocols_own_metrics(run: Any, protocol: str, metrics: list[str]) -> None:
    arguments = ["eval", "bicubic", "--scale", 2, "--data", "embedded-test", "--protocol", protocol, "--json", "-"]
    assert list(json.loads(run(*arguments).stdout)["metrics"]) == metrics


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bicubic", "--data", "Set55", "--protocol", "matlab-y"], "did you mean 'Set5'"),
        (["bicubic", "--data", "embedded-test", "--protocol", "matlaby"], "did you mean 'matlab-y'"),
        (["bicubc", "--data", "embedded-test", "--protocol", "matlab-y"], "did you mean 'bicubic'"),
        (["bicubic", "--data", "embedded-test", "--protocol", "matlab-y", "--metrics", "psnr_x"], "psnr_y"),
        (["bicubic", "--data", "embedded-test", "--protocol", "matlab-y", "--lr", "none"], "--lr is"),
        (["bicubic", "--data", "embedded-test", "--protocol", "matlab-y", "--weights", "no.pth"], "no weights file"),
        (["bicubic", "--data", "embedded-test", "--protocol", "matlab-y", "--device", "gpu"], "--device"),
        (["bicubic", "--data", "embedded-test", "--protocol", "matlab-y", "--lr", "shipped"], "without LR images"),
        (["bicubic", "--data", "Set5", "--protocol", "matlab-y"], "srbench cache add"),
    ],
)
def test_eval_refuses_wrong_input_with_a_sentence(run: Any, tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run("eval", *arguments, "--scale", 2, "--json", "out.json", status=2)
    assert words in done.stderr
    assert done.stderr.startswith("srbench: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.json").exists()


def test_eval_refuses_a_network_without_weights(run: Any) -> None:
    if importlib.util.find_spec("basicsr") is None:
        pytest.skip("basicsr, whose network this is, is not installed")
    done = run("eval", "edsr_tiny", "--scale", 2, "--data", "embedded-test", "--protocol", "matlab-y", status=2)
    assert "--weights FILE" in done.stderr


def test_eval_names_a_truncated_image(run: Any, folder: Path) -> None:
    path = folder / "HR" / "two.png"
    path.write_bytes(path.read_bytes()[:-30])
    done = run("eval", "bicubic", "--scale", 2, "--data", folder, "--protocol", "matlab-y", status=2)
    assert "two.png' is damaged or truncated" in done.stderr


def test_eval_names_an_lr_image_without_hr(run: Any, folder: Path) -> None:
    (folder / "HR" / "two.png").unlink()
    done = run("eval", "bicubic", "--scale", 2, "--data", folder, "--protocol", "matlab-y", status=2)
    assert "LR_bicubic/X2/twox2.png" in done.stderr


def test_explain_says_words_and_numbers(run: Any) -> None:
    done = run("explain", "truncate-y", "--json", "out.json")
    assert "BT.601" in done.stdout
    assert "dB" in done.stdout
    result = json.loads(run("explain", "truncate-y", "--json", "-").stdout)
    assert result["digest"] == get_protocol("truncate-y").digest
    assert len(result["costs"]["choices"]) == 12
    assert "did you mean 'truncate-y'" in run("explain", "truncate", status=2).stderr


def test_verify_reports_differing_pixels_per_file(run: Any, folder: Path) -> None:
    result = json.loads(run("data", "verify", folder, "--scale", 2, "--json", "-").stdout)
    assert [row["differing"] for row in result["images"]] == [0, 0]
    once = run("data", "verify", folder, "--scale", 2, "--rounding", "once", "--json", "-", status=1)
    assert json.loads(once.stdout)["wrong"] >= 1
    assert "no LR images of scale 3" in run("data", "verify", folder, "--scale", 3, status=2).stderr
    assert "--rounding is per_pass or once" in run("data", "verify", folder, "--rounding", "twice", status=2).stderr


def test_info_and_list_describe_data_sets(run: Any, folder: Path) -> None:
    result = json.loads(run("data", "info", folder, "--json", "-").stdout)
    assert result["lr_scales"] == [2]
    assert [row["image"] for row in result["images"]] == ["one", "two"]
    embedded = json.loads(run("data", "info", "embedded-test", "--json", "-").stdout)
    assert all(row["licence"]["licence"] in ("CC0-1.0", "public domain") for row in embedded["images"])
    listed = {row["name"]: row for row in json.loads(run("data", "list", "--json", "-").stdout)["datasets"]}
    assert listed["Set5"] == {
        "name": "Set5",
        "images": 5,
        "available": 0,
        "redistributable": False,
        "folder": None,
        "licence": None,
    }


def test_set5_added_from_a_folder_is_usable_without_a_network(run: Any, shared: Path) -> None:
    done = run("data", "download", "Set5", status=2)
    assert "Set5/baby" in done.stderr
    assert "srbench cache add PATH" in done.stderr
    run("cache", "add", shared / "data" / "benchmark" / "Set5" / "HR")
    assert "Set5: 0 downloaded, 5 here" in run("data", "download", "Set5").stdout
    result = json.loads(
        run("eval", "bicubic", "--scale", 2, "--data", "Set5", "--protocol", "matlab-y", "--json", "-").stdout
    )
    assert result["metrics"]["psnr_y"] == pytest.approx(33.6734, abs=1e-4)  # reference/FACTS.md
    there = json.loads(run("cache", "list", "--json", "-").stdout)
    assert there["datasets"]["Set5"] == {"cached": 5, "images": 5}


def test_cache_add_refuses_what_it_does_not_know(run: Any, folder: Path, tmp_path: Path) -> None:
    done = run("cache", "add", folder, status=2)
    assert "nothing was added" in done.stderr
    assert not (tmp_path / "cache").exists()
    assert "does not exist" in run("cache", "add", "nowhere", status=2).stderr
    assert run("cache", "path").stdout.strip() == str(tmp_path / "cache")


@pytest.mark.parametrize(
    "command",
    [
        ["eval"],
        ["explain"],
        *(["data", name] for name in ("list", "download", "verify", "info")),
        *(["cache", name] for name in ("add", "list", "path")),
    ],
)
def test_every_command_helps_with_an_example(run: Any, command: list[str]) -> None:
    assert f"srbench {' '.join(command)}" in run(*command, "--help").stdout.replace("\n", " ").split("Example", 1)[1]


def test_eval_of_some_images_measures_these_and_says_so(folder: Path, tmp_path: Path) -> None:
    def evaluated(*options: str) -> tuple[dict[str, Any], str]:
        line = ["eval", "bicubic", "--scale", "2", "--data", str(folder), "--protocol", "matlab-y", "--threads", "1"]
        done = CliRunner().invoke(app, [*line, "--json", str(tmp_path / "out.json"), *options])
        assert done.exit_code == 0, done.output
        return json.loads((tmp_path / "out.json").read_text()), done.stdout

    whole, _ = evaluated()
    part, shown = evaluated("--images", "tw*")
    assert whole["subset"] is None
    assert [row["image"] for row in part["images"]] == ["two"]
    assert part["images"][0]["psnr_y"] == whole["images"][1]["psnr_y"]
    assert part["metrics"]["psnr_y"] == part["images"][0]["psnr_y"] != whole["metrics"]["psnr_y"]
    assert part["dataset"] == f"{whole['dataset']} (1 of 2 images)"
    assert "(1 of 2 images)" in shown
    assert part["dataset_hash"] != whole["dataset_hash"], "it is another data set"
    subset = part["subset"]
    assert (subset["of"], subset["of_images"], subset["pattern"]) == (whole["dataset"], 2, "tw*")
    assert subset["images"] == ["two"]
    assert re.fullmatch("[0-9a-f]{64}", subset["sha256"])
    every, _ = evaluated("--images", "one,tw*")
    assert (every["subset"], every["dataset"]) == (None, whole["dataset"]), "all images are no part"
