"""`srbench figure learning-curves`: read from the trainings' own files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.cli.learning_curves import read_curves
from srbench.errors import ConfigError, StoreError


def training(folder: Path, model: str, seed: int, values: dict[int, float]) -> None:
    folder.mkdir(parents=True)
    points = [{"iteration": at, "psnr_y x2": value} for at, value in values.items()]
    result = {"model": model, "recipe": {"seed": seed}, "validations": points}
    (folder / "training.json").write_text(json.dumps({"identity": {}, "result": result}))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    training(tmp_path / "run" / "a0", "edsr_tiny", 0, {10: 30.0, 20: 31.0, 30: 32.0})
    training(tmp_path / "run" / "a1", "edsr_tiny", 1, {20: 33.0, 30: 34.0})
    training(tmp_path / "run" / "b0", "edsr_tiny+recursive", 0, {10: 35.0})
    return tmp_path / "run"


def test_seeds_of_a_model_are_one_curve_where_all_were_validated(run: Path) -> None:
    best, other = read_curves([run], "psnr_y x2")
    assert (best.model, best.iterations, best.last) == ("edsr_tiny+recursive", [10], 35.0)
    assert (other.model, other.iterations, other.values) == ("edsr_tiny", [20, 30], [[31.0, 32.0], [33.0, 34.0]])
    assert [curve.model for curve in read_curves([run], "psnr_y x2", "*recursive")] == ["edsr_tiny+recursive"]


def test_the_figure_is_drawn_and_the_same_each_time(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = [tmp_path / "one.png", tmp_path / "two.png"]
    for file in files:
        done = CliRunner().invoke(app, ["figure", "learning-curves", str(run), "-o", str(file)])
        assert done.exit_code == 0, done.output
    assert files[0].read_bytes() == files[1].read_bytes()
    with Image.open(files[0]) as picture:
        assert picture.width > 800


def test_what_cannot_be_drawn_is_said(run: Path) -> None:
    with pytest.raises(ConfigError, match="was validated by 'ssim_y x2'"):
        read_curves([run], "ssim_y x2")
    (run / "a0" / "training.json").write_text("{}")
    with pytest.raises(StoreError, match="not the description of a training"):
        read_curves([run], "psnr_y x2")
