"""Rows that were measured on some of a data set's images: replayed on those, and checked against them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.results.store import RunStore
from srbench.verification import check_board

NAME = "embedded-test (2 of 4 images)"


def said(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a board of bicubic on two of four images."""
    folder = tmp_path_factory.mktemp("subset")
    (folder / "parts.yaml").write_text(
        "{name: parts, scale: 2, models: [bicubic], datasets: [embedded-test], protocol: [matlab-y, truncate-y]}\n"
    )
    results = folder / "board" / "results"
    line = ("run", "--suite", folder / "parts.yaml", "--images", "camera,c*", "--no-page", "--out", results)
    status, text = said(*line)
    assert status == 0, text
    return folder / "board"


@pytest.fixture
def part(measured: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(measured, tmp_path / "board"))


def failed(board: Path) -> set[str]:
    return set(check_board(board, networks=False).failed)


def test_rows_of_a_part_are_measured_again_on_it(part: Path) -> None:
    assert {cell.record.dataset for cell in RunStore(part / "results").cells()} == {NAME}
    status, text = said("replay", part)
    assert status == 0, text
    assert text.splitlines()[0] == f"bicubic x2 on {NAME}, matlab-y: equal, all bits"
    assert text.splitlines()[-1] == "2 of 2 rows agree with the stored results"


def test_the_board_of_a_part_is_checked_against_it(part: Path) -> None:
    report = check_board(part, networks=False, replays=2, seed=1)
    assert report.failed == []
    notes = [note for check in report.checks for note in check.notes]
    assert not any("not available" in note for note in notes), "the whole data set is here"
    assert len(report.replayed) == 2


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"pattern": "gravel"}, "data"),
        ({"sha256": "0" * 64}, "data"),
        ({"images": ["camera", "gravel"]}, "data"),
        ({"of_images": 2}, "data"),
        ({"pattern": "*"}, "images"),
    ],
)
def test_a_part_that_is_told_otherwise_is_found_and_not_replayed(
    part: Path, forger_of: Any, change: dict[str, Any], check: str
) -> None:
    forger = forger_of(part, consistent=True)
    forger.edit(forger.cell("bicubic"), lambda record: record["subset"].update(change))
    assert check in failed(part)
    status, text = said("replay", part)
    assert status == 1
    assert "1 of 2 rows agree with the stored results" in text


def test_a_run_on_a_part_that_passes_for_one_on_all_images_is_found(part: Path, forger_of: Any) -> None:
    forger = forger_of(part, consistent=True)

    def forget(info: dict[str, Any]) -> None:
        info["images"] = ""
        del info["definition"]["images"]

    forger.edit_run(forget)
    assert "coverage" in failed(part)


def test_a_part_that_passes_for_the_whole_is_found(part: Path, forger_of: Any) -> None:
    forger = forger_of(part, consistent=True)
    forger.edit(forger.cell("bicubic"), lambda record: record.update(subset=None, dataset="embedded-test"))
    assert {"images", "data"} <= failed(part)
