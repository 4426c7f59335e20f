"""`srbench diagnose` finds planted causes, and says so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.errors import ConfigError, UnknownNameError, WeightsError
from srbench.images.resize import imresize

from .conftest import SCALE, figure

Image = npt.NDArray[np.uint8]
State = dict[str, Tensor]


def pillow(hr: Image) -> Image:
    return np.array(
        Pillow.fromarray(hr).resize((hr.shape[1] // SCALE, hr.shape[0] // SCALE), Pillow.Resampling.BICUBIC)
    )


def rounded_once(hr: Image) -> Image:
    return imresize(hr, 1 / SCALE, rounding="once")


PLANTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "BGR": ({"bgr": True}, {"channels": "bgr"}),
    "0..255": ({"peak": 255.0}, {"value_range": "0..255"}),
    "Pillow": ({"lr_of": pillow}, {"lr_kernel": "pillow-bicubic"}),
    "truncated": ({"truncate": True}, {"quantisation": "truncate"}),
    "multiples of 12": ({"multiple": 12}, {"hr_crop": 12}),
    "border": ({"border": SCALE + 6}, {"crop_border": SCALE + 6}),
}


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["diagnose", *map(str, arguments)])


def diagnosed(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json", "-")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if found["matches"] else 1)
    return found


@pytest.fixture
def weights(tmp_path: Path, make_state: Callable[..., State]) -> State:
    state = make_state()
    torch.save(state, tmp_path / "net.pth")
    return state


@pytest.fixture
def arguments(tmp_path: Path, small_name: str) -> list[object]:
    return [tmp_path / "net.pth", "--model", small_name, "--scale", SCALE, "--data", tmp_path / "pictures"]


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_cause_is_found(
    planted: str,
    tmp_path: Path,
    images: dict[str, Image],
    make_state: Callable[..., State],
    arguments: list[object],
) -> None:
    how, changes = PLANTED[planted]
    state = make_state(peak=how.get("peak", 1.0))
    torch.save(state, tmp_path / "net.pth")
    expected = figure(state, images, **how)
    assert abs(expected - figure(state, images)) > 0.005  # else there would be nothing to find
    found = diagnosed(*arguments, "--expect", f"psnr_y={expected:.6f}", "--tolerance", 0.001)
    assert changes in [match["changes"] for match in found["matches"]]
    assert found["matches"][0]["changes"] == changes, found["conclusion"]
    assert found["default"]["figures"][0]["mean"] == pytest.approx(figure(state, images), abs=1e-4)
    assert found["matches"][0]["figures"][0]["mean"] == pytest.approx(expected, abs=1e-4)


def test_the_other_state_dict_of_a_file_is_found(
    tmp_path: Path, images: dict[str, Image], make_state: Callable[..., State], arguments: list[object]
) -> None:
    states = {"params": make_state(), "params_ema": make_state()}
    torch.save({**states, "step": 3, "optimizer": {"lr": 1.0}}, tmp_path / "net.pth")
    found = diagnosed(*arguments, "--expect", f"psnr_y={figure(states['params'], images):.6f}")
    assert found["default"]["choices"]["weights"] == "params_ema"
    assert [match["changes"] for match in found["matches"]] == [{"weights": "params"}]
    assert "weights: params instead of params_ema" in found["conclusion"]


def test_a_state_dict_that_does_not_fit_is_named(
    tmp_path: Path, images: dict[str, Image], make_state: Callable[..., State], arguments: list[object]
) -> None:
    other = {f"net.{key}": tensor for key, tensor in make_state().items()}
    state = make_state()
    torch.save({"params": state, "params_ema": other}, tmp_path / "net.pth")
    found = diagnosed(*arguments, "--expect", f"psnr_y={figure(state, images):.6f}")
    assert found["matches"][0]["changes"] == {}
    assert "missing: first.weight" in found["unusable"]["weights params_ema"]


def test_two_changes_at_once_are_found(images: dict[str, Image], weights: State, arguments: list[object]) -> None:
    expected = figure(weights, images, multiple=12, bgr=True)
    expect = ("--expect", f"psnr_y={expected:.6f}", "--tolerance", 0.0005)
    found = diagnosed(*arguments, *expect)
    assert {"hr_crop": 12, "channels": "bgr"} in [match["changes"] for match in found["matches"]]
    nothing = diagnosed(*arguments, *expect, "--changes", 1)
    assert nothing["matches"] == []
    assert "None of" in nothing["conclusion"]


def test_two_data_sets_with_causes_of_their_own_are_told_apart(
    tmp_path: Path, images: dict[str, Image], weights: State, arguments: list[object]
) -> None:
    (tmp_path / "more").mkdir()
    for name in "cd":
        (tmp_path / "more" / f"{name}.png").write_bytes((tmp_path / "pictures" / f"{name}.png").read_bytes())
    plain = figure(weights, images)
    cropped = figure(weights, {name: images[name] for name in "cd"}, multiple=12)
    found = diagnosed(
        *arguments, "--expect", f"psnr_y={plain:.6f}", "--expect", f"psnr_y={cropped:.6f}@{tmp_path / 'more'}",
        "--tolerance", 0.0005, "--changes", 1,
    )  # fmt: skip
    assert found["matches"] == []
    assert "more alone comes out with HR cropped to multiples of: 12 instead of 2" in found["conclusion"]


def test_a_few_images_lead_to_what_all_confirm(
    images: dict[str, Image], weights: State, arguments: list[object]
) -> None:
    expected = figure(weights, images, bgr=True)
    found = diagnosed(*arguments, "--expect", f"psnr_y={expected:.6f}", "--minutes", 0)
    assert list(found["screened"].values()) == [3]
    assert found["matches"][0]["changes"] == {"channels": "bgr"}
    assert found["matches"][0]["figures"][0]["mean"] == pytest.approx(expected, abs=1e-4)


def test_lr_files_of_the_folder_are_tried(
    tmp_path: Path, images: dict[str, Image], weights: State, arguments: list[object]
) -> None:
    def odd(hr: Image) -> Image:
        return np.roll(imresize(hr, 1 / SCALE), 1, axis=1)

    (tmp_path / "pictures").rename(tmp_path / "HR")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "HR").rename(tmp_path / "pictures" / "HR")
    for name, hr in images.items():
        path = tmp_path / "pictures" / "LR" / "x2" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(odd(hr)).save(path)
    found = diagnosed(*arguments, "--expect", f"psnr_y={figure(weights, images, lr_of=odd):.6f}")
    assert found["matches"][0]["changes"] == {"lr_kernel": "shipped"}


def test_the_default_can_be_changed(images: dict[str, Image], weights: State, arguments: list[object]) -> None:
    expect = ("--expect", f"psnr_y={figure(weights, images, multiple=12, truncate=True):.6f}", "--tolerance", 0.0005)
    found = diagnosed(*arguments, *expect, "--with", "hr_crop=12, quantisation=truncate", "--changes", 0)
    assert (found["matches"][0]["changes"], found["tried"]) == ({}, 1)
    assert found["default"]["choices"]["hr_crop"] == 12
    assert found["conclusion"].endswith("protocol matlab-y with hr_crop=12, quantisation=truncate.")
    back = diagnosed(*arguments, *expect, "--with", "hr_crop=12,value_range=0..255 in, 0..1 out", "--changes", 0)
    assert back["default"]["choices"]["value_range"] == "0..255 in, 0..1 out"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("crop=12", "a choice of weights, value_range, .*; got 'crop=12'"),
        ("hr_crop=13", "hr_crop is one of 2, 12, 16; got '13'"),
        ("", "got ''"),
    ],
)
def test_wrong_settings_are_refused(
    settings: str, said: str, images: dict[str, Image], weights: State, arguments: list[object]
) -> None:
    result = run(*arguments, "--expect", "psnr_y=30", "--with", settings)
    assert isinstance(result.exception, ConfigError)
    assert re.search(said, str(result.exception))


def test_the_table_shows_choices_and_figures(images: dict[str, Image], weights: State, arguments: list[object]) -> None:
    expected = figure(weights, images, truncate=True)
    result = run(*arguments, "--expect", f"psnr_y={expected:.6f}")
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if "SR rounding" in line)
    assert "to the nearest level" in line
    assert "truncated" in line
    assert "SR rounding: truncated instead of to the nearest level." in result.stdout


def test_rounding_of_the_lr_image_is_found_by_ssim_and_psnr(
    images: dict[str, Image], weights: State, arguments: list[object]
) -> None:
    expected = figure(weights, images, lr_of=rounded_once)
    found = diagnosed(*arguments, "--expect", f"psnr_y={expected:.6f}", "--tolerance", 0.0001)
    assert {"lr_rounding": "once"} in [match["changes"] for match in found["matches"]]


@pytest.mark.parametrize(
    ("expect", "error", "said"),
    [
        ("32.25", ConfigError, "METRIC=VALUE@DATA"),
        ("psnr=x", ConfigError, "dB above 0, at most 100; got 'x'"),
        ("psnr_y=-3", ConfigError, "dB above 0"),
        ("ssim=1.2", ConfigError, "above 0, at most 1"),
        ("psnr_x=32", UnknownNameError, "did you mean 'psnr_y'"),
        ("psnr=nan", ConfigError, "dB above 0"),
        ("psnr_y=30@nowhere", UnknownNameError, "unknown data set 'nowhere'"),
    ],
)
def test_wrong_expectations_are_refused(
    expect: str, error: type[Exception], said: str, weights: State, images: dict[str, Image], arguments: list[object]
) -> None:
    result = run(*arguments, "--expect", expect)
    assert isinstance(result.exception, error)
    assert said in str(result.exception)


def test_what_cannot_be_diagnosed_is_refused(
    tmp_path: Path, weights: State, images: dict[str, Image], small_name: str
) -> None:
    data = ("--scale", SCALE, "--data", tmp_path / "pictures")
    unnamed = run(tmp_path / "net.pth", "--model", small_name, "--scale", SCALE, "--expect", "psnr_y=30")
    assert "names no data set" in str(unnamed.exception)
    unweighted = run("edsr_tiny", *data, "--expect", "psnr_y=30")
    assert "names no weights" in str(unweighted.exception)
    both = run("bicubic", "--model", "edsr_tiny", *data, "--expect", "psnr_y=30")
    assert "is no file" in str(both.exception)
    torch.save({"other": weights["first.weight"]}, tmp_path / "foreign.pth")
    foreign = run(tmp_path / "foreign.pth", "--model", small_name, *data, "--expect", "psnr_y=30")
    assert isinstance(foreign.exception, WeightsError)
    assert "no state dict" in str(foreign.exception)
    luma = run("bicubic", *data, "--expect", "psnr_y=30", "--protocol", "y-only")
    assert "luma alone" in str(luma.exception)


def test_a_figure_with_few_decimals_is_met_by_what_rounds_to_it(
    images: dict[str, Image], weights: State, arguments: list[object]
) -> None:
    found = diagnosed(*arguments, "--expect", f"psnr_y={figure(weights, images):.1f}")
    assert found["matches"][0]["changes"] == {}
