"""`srbench list weights`: files of published weights, and what is published of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.errors import ConfigError, StoreError
from srbench.results.published_figures import Published, PublishedFigure
from srbench.verification.published_check import check_published

ROOT = Path(__file__).resolve().parents[3]
BOARD = ROOT / "leaderboards" / "efficient-x4"


def test_each_file_has_a_line_with_scale_licence_size_and_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path))  # that of all tests may hold the file by now
    listed = CliRunner().invoke(app, ["list", "weights", "imdn*", "--json", "-"])
    assert listed.exit_code == 0, listed.output
    rows = json.loads(listed.stdout)["weights"]
    assert [row["scales"] for row in rows] == [[2], [3], [4]]
    first = rows[0]
    assert (first["model"], first["bytes"], first["licence"]) == ("imdn.author", 2_796_052, "none stated")
    assert first["url"].endswith("/checkpoints/IMDN_x2.pth")
    assert (first["cached"], first["trained_on"]) == (False, "DIV2K")
    assert {figure["dataset"] for figure in first["published"]} >= {"Set5", "Set14"}
    printed = CliRunner().invoke(app, ["list", "weights", "plainusr_t*"])
    assert "not known here" in printed.stdout, "no figure of PlainUSR-T is known"
    assert printed.stdout.count("plainusr_t.author") == 2


def test_a_pattern_that_matches_nothing_says_so() -> None:
    listed = CliRunner().invoke(app, ["list", "weights", "nothing*"])
    assert listed.exit_code == 0
    assert "no weights match 'nothing*'" in listed.stderr


def test_listing_weights_imports_no_torch() -> None:
    code = (
        "import sys; from srbench.cli.app import app; app(['list', 'weights', 'imdn*'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_a_board_is_compared_with_what_is_published() -> None:
    checked = CliRunner().invoke(app, ["list", "weights", "--check", "--boards", str(BOARD), "--json", "-"])
    assert checked.exit_code == 0, checked.output
    result = json.loads(checked.stdout)
    rows = {(row["model"], row["dataset"], row["metric"]): row for row in result["compared"]}
    # FACTS.md: IMDN x4 gives 32.210 dB on Set5; the paper prints 32.21.
    imdn = rows["imdn.author", "Set5", "psnr"]
    assert (imdn["published"], imdn["agrees"], imdn["cause"]) == ("32.21", True, None)
    assert abs(imdn["measured"] - 32.210) < 0.001
    assert rows["fsrcnn.author", "Set5", "psnr"]["cause"].startswith("the repository's program rounds luma")
    assert result["silent"] == 0
    assert {row["protocol"] for row in result["compared"]} == {"matlab-y"}
    printed = CliRunner().invoke(app, ["list", "weights", "imdn*", "--check", "--boards", str(BOARD)])
    assert "bsrn" not in printed.stdout
    assert "6 agree" in printed.stdout  # PSNR and SSIM on three data sets


def test_a_difference_without_a_cause_is_silent() -> None:
    figure = PublishedFigure(
        paper="P", table="T", row="IMDN", model="imdn.author", scale=4, dataset="Set5", protocol="luma", psnr="31.00"
    )
    check = check_published(BOARD, Published((figure,)), ["imdn.author"])
    assert [round(one.value, 2) for one in check.silent] == [1.21]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["list", "models", "--check"], ConfigError, "srbench list weights --check"),
        (["list", "weights", "--boards", "x"], ConfigError, "srbench list weights --check"),
        (["list", "weights", "--check", "--boards", "nowhere"], StoreError, "there is no directory 'nowhere'"),
        (["list", "weights", "--check"], ConfigError, "there is no folder 'leaderboards'"),
    ],
)
def test_wrong_use_is_a_sentence(
    arguments: list[str], error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(app, arguments)
    assert isinstance(outcome.exception, error)
    assert words in str(outcome.exception)
