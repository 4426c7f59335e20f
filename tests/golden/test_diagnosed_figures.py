"""Published figures that do not come out under `matlab-y`, and why: MODERN.md of the shared reference."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.runs.installed_figures import installed_published

pytestmark = pytest.mark.usefixtures("filled_cache")


def diagnosed(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["diagnose", *map(str, arguments), "--json", "-"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_etds_was_measured_on_images_cut_to_multiples_of_12() -> None:
    # MODERN, ETDS: published 30.87 / .8738, and 30.8711 / 0.87378 on GTmod12; 30.8873 / 0.87319 under matlab-y.
    found = diagnosed(
        "etds_t.author", "--scale", 4, "--expect", "psnr_y=30.87@Set5", "--expect", "ssim_y=.8738@Set5",
        "--changes", 1,
    )  # fmt: skip
    assert [figure["agrees"] for figure in found["default"]["figures"]] == [False, False]
    assert [match["changes"] for match in found["matches"]] == [{"hr_crop": 12}]


@pytest.mark.slow
def test_at_x2_its_lr_images_were_rounded_once_as_well() -> None:
    # MODERN, ETDS: "their LR images seem to come from a port of Matlab's imresize that rounds once".
    found = diagnosed("etds_m.author", "--scale", 2, "--expect", "psnr_y=37.54@Set5", "--expect", "ssim_y=.9593@Set5")
    assert found["matches"][0]["changes"] == {"hr_crop": 12, "lr_rounding": "once"}


@pytest.mark.slow
def test_rfdn_fed_the_wrong_range_gives_26_decibels() -> None:
    # MODERN, trap 3: RFDN works on 0..255; fed 0..1 it gives 26.0 dB.
    found = diagnosed("rfdn_aim.author", "--scale", 4, "--expect", "psnr_y=26.0@Set5", "--changes", 1)
    assert found["matches"][0]["changes"] == {"value_range": "0..1 given to 0..255"}


# MODERN: Set14 as the authors measured it, 32.7858 / 0.91050 (ECBSR) and 28.7915 / 0.78593 (LKDN).
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "scale", "psnr", "ssim"),
    [("ecbsr_m4c16.author", 2, 32.7858, 0.9105), ("lkdn.author", 4, 28.7915, 0.78593)],
)
def test_the_settings_in_the_table_give_the_published_figure(model: str, scale: int, psnr: float, ssim: float) -> None:
    figures = installed_published(strict=True).figures_of(model, scale)
    (figure,) = (figure for figure in figures if figure.dataset == "Set14")
    found = diagnosed(
        model, "--scale", scale, "--expect", f"psnr_y={figure.psnr}@Set14", "--expect", f"ssim_y={figure.ssim}@Set14",
        "--with", figure.settings, "--changes", 0,
    )  # fmt: skip
    assert [match["changes"] for match in found["matches"]] == [{}]
    assert found["default"]["figures"][0]["mean"] == pytest.approx(psnr, abs=0.001)
    assert found["default"]["figures"][1]["mean"] == pytest.approx(ssim, abs=0.00002)


@pytest.mark.slow
def test_of_lkdns_two_state_dicts_one_is_another_network() -> None:
    # MODERN, trap 2: `params` has an upsampler called upsampler.conv3; only `params_ema` loads strictly.
    found = diagnosed("lkdn.author", "--scale", 4, "--expect", "psnr_y=32.39@Set5", "--changes", 0)
    assert list(found["unusable"]) == ["weights params"]
    assert "conv3" in found["unusable"]["weights params"]
    assert found["matches"][0]["changes"] == {}
