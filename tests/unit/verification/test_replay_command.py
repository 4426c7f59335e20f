"""`srbench replay` and `srbench leaderboard check` as commands: what they say, their JSON, their status."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.errors import SRBenchError
from srbench.results.replays import read_replays
from srbench.runs.agreement import TOLERANCE_DB

BICUBIC = ("--model", "bicubic", "--protocol", "matlab-y")
EDSR = ("--model", "edsr_tiny", "--protocol", "matlab-y", "--seed", "0")


def said(*arguments: str | Path) -> tuple[int, str]:
    """Run a command, and return its status and what it printed to standard output."""
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


@pytest.fixture
def forged(board: Path, forger_of: Callable[..., Any]) -> Any:
    return forger_of(board, consistent=True)


def test_rows_of_the_code_that_made_them_are_equal_in_all_bits(board: Path) -> None:
    status, text = said("replay", board, "--protocol", "matlab-y")
    assert status == 0
    lines = text.splitlines()
    # The order of the two seeds is that of their keys.
    assert [lines[0], *sorted(lines[1:3]), lines[3]] == [
        "bicubic x2 on embedded-test, matlab-y: equal, all bits",
        "edsr_tiny x2 on embedded-test, matlab-y, seed 0: equal, all bits",
        "edsr_tiny x2 on embedded-test, matlab-y, seed 1: equal, all bits",
        "3 of 3 rows agree with the stored results",
    ]


def test_images_that_differ_are_named_with_how_much(forged: Any) -> None:
    forged.edit_values(
        forged.cell("bicubic-x2-embedded-test-matlab-y"),
        lambda table: table.assign(psnr_y=table["psnr_y"] + [0.0, 0.25, 0.0, 0.0]),
    )
    status, text = said("replay", forged.board, *BICUBIC)
    assert status == 1
    assert "bicubic x2 on embedded-test, matlab-y: NOT equal" in text
    (line,) = (line for line in text.splitlines() if "psnr_y of" in line)
    assert "psnr_y of 'camera'" in line
    assert "(by 2.5e-01)" in line

    status, text = said("replay", forged.board, *BICUBIC, "--json", "-")
    assert status == 1
    (row,) = json.loads(text)["rows"]
    assert row["outcome"] == "differs"
    assert row["same_platform"] is True
    assert row["largest_difference"]["psnr_y"] == pytest.approx(0.25)
    assert [(one["metric"], one["image"]) for one in row["differences"]] == [("psnr_y", "camera")]


@pytest.mark.parametrize(("share", "outcome"), [(0.5, "within tolerance"), (5, "differs")])
def test_another_platform_has_a_tolerance(forged: Any, share: float, outcome: str) -> None:
    directory = forged.cell("bicubic-x2-embedded-test-matlab-y")
    speed = json.loads((directory / "speed.json").read_text())
    speed["hardware"]["device"] = "another processor"
    (directory / "speed.json").write_text(json.dumps(speed))
    forged.edit_values(directory, lambda table: table.assign(psnr_y=table["psnr_y"] + share * TOLERANCE_DB))
    status, text = said("replay", forged.board, *BICUBIC, "--json", "-")
    (row,) = json.loads(text)["rows"]
    assert row["outcome"] == outcome
    assert row["same_platform"] is False
    assert status == (0 if outcome == "within tolerance" else 1)


def test_weights_that_are_not_there_are_asked_for_or_trained_anew(board: Path) -> None:
    shutil.rmtree(board / "results" / "models")
    status, text = said("replay", board, *EDSR)
    assert status == 1
    assert "NOT measured" in text
    assert "retrain the model with --train" in text

    status, text = said("replay", board, *EDSR, "--train", "--record", "--by", "a test")
    assert status == 0, text
    assert "equal, all bits; retrained" in text
    (entry,) = json.loads((board / "results" / "replays.json").read_text())["replays"]
    assert (entry["training"], entry["by"], entry["code"], entry["outcome"]) == (
        "repeated", "a test", "the same", "equal"
    )  # fmt: skip


def test_a_check_records_what_it_replays_and_says_how_pages_show_it(board: Path) -> None:
    line = (
        "leaderboard",
        "check",
        board,
        "--no-networks",
        "--replay",
        "2",
        "--seed",
        "3",
        "--record",
        "--by",
        "a test",
    )
    done = CliRunner().invoke(app, [*map(str, line)])
    assert done.exit_code == 0, done.output
    assert f"srbench leaderboard build {board / 'results'} --out {board}" in done.stderr
    kept = read_replays(board / "results")
    assert [(entry.by, entry.state) for entry in kept.values()] == [("a test", "replayed here")] * 2
    assert said("leaderboard", "build", board / "results", "--out", board, "--check")[0] == 1
    assert said("leaderboard", "build", board / "results", "--out", board)[0] == 0
    assert (board / "leaderboard.csv").read_text().count("replayed here") >= 1
    assert "Replayed here: equal, a test, " in (board / "leaderboard.md").read_text()


def test_a_file_of_weights_may_be_given(board: Path, tmp_path: Path) -> None:
    def digest(path: Path) -> str:
        from srbench.storage import sha256_file

        return sha256_file(path)

    (directory,) = (path for path in (board / "results" / "cells").glob("edsr_tiny-*-matlab-y-*") if seed_of(path) == 0)
    wanted = json.loads((directory / "record.json").read_text())["weights_sha256"]
    files = (board / "results" / "models").rglob("*.safetensors")
    given = shutil.copy(next(path for path in files if digest(path) == wanted), tmp_path / "given.safetensors")
    shutil.rmtree(board / "results" / "models")
    status, text = said("replay", directory, "--weights", given)  # a cell's folder is a row
    assert (status, text.count("equal, all bits")) == (0, 1), text


def seed_of(directory: Path) -> int:
    return int(json.loads((directory / "record.json").read_text())["seed"])


def test_a_training_that_gives_other_weights_is_told(forged: Any) -> None:
    for directory in list((forged.results / "cells").glob("edsr_tiny-*")):
        forged.edit(directory, lambda record: record.update(weights_sha256="0" * 64))
    status, text = said("replay", forged.board, *EDSR, "--train")
    assert status == 1
    assert "its weights are 000000000000..., but after repeating the training" in text


def test_other_code_than_made_the_row_is_told_and_is_no_disagreement(forged: Any) -> None:
    forged.edit(forged.cell("bicubic-x2-embedded-test-matlab-y"), lambda record: record.update(code_digest="0" * 64))
    status, text = said("replay", forged.board, *BICUBIC)
    assert status == 0
    assert "the code has changed since: measuring" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("replay", "BOARD", "--model", "edsr_tinny"), "did you mean 'edsr_tiny'"),
        (("replay", "BOARD", "--protocol", "matlab"), "no row of"),
        (("replay", "BOARD", "--key", "zz"), "is all of what is asked for"),
        (("replay", "BOARD/nothing"), "there are no results in"),
        (("replay", "BOARD", "--device", "cuda:99"), "cuda"),
        (("leaderboard", "check", "BOARD/nothing"), "there are no results in"),
        (("leaderboard", "check", "BOARD", "--record"), "give --replay K too"),
        (("leaderboard", "check", "BOARD", "--suite", "no-such-suite"), "no-such-suite"),
    ],
)
def test_wrong_input_is_answered_by_a_sentence(board: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = CliRunner().invoke(app, [word.replace("BOARD", str(board)) for word in arguments])
    assert isinstance(done.exception, SRBenchError)
    assert sentence in str(done.exception)


def test_check_says_a_line_for_each_check_and_a_sentence_for_each_fault(forged: Any) -> None:
    directory = forged.cell("bicubic-x2-embedded-test-matlab-y")
    status, text = said("leaderboard", "check", forged.board, "--no-networks", "--replay", "1", "--seed", "3")
    assert status == 0, text
    assert text.splitlines()[-1] == "all 20 checks passed"
    forged.edit(directory, lambda record: record.update(images=5))
    status, text = said("leaderboard", "check", forged.board, "--no-networks", "--json", "-")
    assert status == 1
    value = json.loads(text)
    assert value["passed"] is False
    failed = {check["name"]: check for check in value["checks"] if not check["passed"]}
    assert failed["images"]["findings"] == [
        {"cell": directory.name, "sentence": "it states 5 images, but has values for 4"}
    ]
    status, text = said("leaderboard", "check", forged.board, "--no-networks")
    assert status == 1
    assert "FAIL  images      6 cells, 1 wrong" in text
    assert text.splitlines()[-1] == f"failed: {', '.join(failed)}"
