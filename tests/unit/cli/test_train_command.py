"""`srbench train` as it is called: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srbench.cli import main

SMALL = ["--iterations", "3", "--batch-size", "1", "--gt-size", "8"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "one.png")
    return folder


def _srbench(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def test_training_writes_weights_and_json(data: Path, tmp_path: Path, capsys) -> None:
    command = ["train", "edsr_tiny", "--data", data, "--scale", "2", *SMALL, "--out", tmp_path / "out"]
    assert _srbench(*command, "--ema", "0.5", "--seed", "9", "--json", tmp_path / "result.json") == 0
    printed = capsys.readouterr().out
    assert "edsr_tiny x2: 3 iterations, 1 patches of 8x8, on cpu with 1 CPU thread" in printed
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["weights"] == str(tmp_path / "out" / "weights.safetensors")
    assert Path(result["weights"]).exists()
    assert (result["recipe"]["ema_decay"], result["recipe"]["seed"], result["scales"]) == (0.5, 9, [2])


def test_the_same_command_again_does_nothing_and_says_so(data: Path, tmp_path: Path, capsys) -> None:
    command = ["train", "edsr_tiny", "--data", data, "--scale", "2", *SMALL, "--out", tmp_path / "out"]
    assert _srbench(*command) == 0
    capsys.readouterr()
    assert _srbench(*command, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["complete_before"] is True
    assert _srbench(*command) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_options_override_the_recipe_file(data: Path, tmp_path: Path, capsys) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("iterations: 5\nbatch_size: 1\ngt_size: 8\nlr: 0.01\n")
    command = ["train", "edsr_tiny", "--data", data, "--scale", "2", "--recipe", recipe, "--out", tmp_path / "out"]
    assert _srbench(*command, "--iterations", "2", "--json", "-") == 0
    values = json.loads(capsys.readouterr().out)["recipe"]
    assert (values["iterations"], values["lr"]) == (2, 0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "2"], "say how long to train: --iterations N"),
        (["--iterations", "3"], "either --scale 2, or --scales 2,3,4"),
        (["--iterations", "3", "--scale", "2", "--scales", "2,3"], "either --scale 2, or --scales 2,3,4"),
        (["--iterations", "3", "--scales", "2;3"], "whole numbers separated by commas, such as 2,3,4; got '2;3'"),
        (["--iterations", "-1", "--scale", "2"], "options: 'iterations' is -1"),
        (["--iterations", "3", "--scale", "2", "--recipe", "none.yaml"], "the recipe 'none.yaml' cannot be read"),
        (["--iterations", "3", "--scale", "2", "--gt-size", "400"], "smaller than gt_size 400: one"),
        (["--iterations", "3", "--scale", "5", "--gt-size", "10"], "scale of 2, 3, 4"),
    ],
)
def test_wrong_options_are_one_sentence_with_status_2(
    data: Path, tmp_path: Path, capsys, arguments: list[str], message: str
) -> None:
    assert _srbench("train", "edsr_tiny", "--data", data, "--out", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("srbench: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_help_has_an_example(capsys) -> None:
    assert _srbench("train", "--help") == 0
    assert "srbench train edsr_tiny --data embedded-train --scale 2" in " ".join(capsys.readouterr().out.split())
