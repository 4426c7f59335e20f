"""Forged boards: each forgery is found by the check that is named for it, with hashes left alone or brought up to date.

The board is real: two seeds of a tiny network, trained for four iterations, and bicubic, measured on embedded images.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from srbench.results.store import RunStore
from srbench.verification import BoardReport, check_board

Forger = Any  # of conftest.py, which tests cannot import

EDSR = "edsr_tiny-x2-embedded-test-matlab-y"
BICUBIC = "bicubic-x2-embedded-test-matlab-y"


def aggregate_edited(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record["metrics"].update(psnr_y=record["metrics"]["psnr_y"] + 0.1))


def row_deleted(forger: Forger) -> None:
    for directory in (forger.results / "cells").glob("bicubic-*"):
        shutil.rmtree(directory)


def one_protocol_deleted(forger: Forger) -> None:
    shutil.rmtree(forger.cell(BICUBIC))


def weights_hash_changed(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record.update(weights_sha256="0" * 64))


def image_left_out(forger: Forger) -> None:
    forger.edit_values(forger.cell(EDSR), lambda table: table.sort_values("psnr_y").iloc[1:])


def protocol_renamed(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record.update(protocol="ntire"))


def copied_to_another_model(forger: Forger) -> None:
    """Give the figures of one model to another that is smaller: the copied BSRN with 9,999 parameters."""
    source = forger.cell(EDSR)
    copy = source.with_name(source.name.replace("edsr_tiny", "bsrn.author"))
    shutil.copytree(source, copy)

    def change(record: dict[str, Any]) -> None:
        record.update(model="bsrn.author", backbone="bsrn", tag="author", tier="reproduced", training=None, seed=None)
        record.update(params_unique=9_999, params_deployed=9_999, params_stored=9_999)

    forger.edit(copy, change)


def reported_as_measured(forger: Forger) -> None:
    """Pass a paper's figure as one of the authors' weights."""
    source = forger.cell(EDSR)
    copy = source.with_name(source.name.replace("edsr_tiny", "edsr_baseline"))
    shutil.copytree(source, copy)

    def change(record: dict[str, Any]) -> None:
        record.update(model="edsr_baseline", backbone="edsr_baseline", tier="reproduced", training=None, seed=None)
        record.update(weights_sha256=None)

    forger.edit_values(forger.edit(copy, change), lambda table: table.assign(psnr_y=34.69))


def tier_reported(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record.update(tier="reported"))


def seed_dropped(forger: Forger) -> None:
    for directory in list((forger.results / "cells").glob("edsr_tiny-*")):
        if json.loads((directory / "record.json").read_text())["seed"] == 1:
            shutil.rmtree(directory)


def cost_edited(forger: Forger) -> None:
    for directory in list((forger.results / "cells").glob("edsr_tiny-*")):
        forger.edit(directory, lambda record: record["cost"].update(macs=record["cost"]["macs"] // 2))


def folding_claimed(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record.update(folded=True))


def parameters_edited(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record.update(params_unique=9_999))


def key_forged(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record.update(key="f" * 64))


def date_in_the_future(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record.update(created="2999-01-01T00:00:00+00:00"))


def date_before_the_run(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record.update(created="2026-11-22T00:00:00+00:00"))


def date_before_sr_bench(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record.update(created="2020-01-01T00:00:00+00:00"))


def direction_turned(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record["metric_kinds"]["psnr_y"].update(higher_is_better=False))


def data_renamed(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record.update(dataset="Set5"))


def training_shortened(forger: Forger) -> None:
    forger.edit(forger.cell(EDSR), lambda record: record["training"].update(iterations=2))


FORGERIES: list[tuple[Callable[[Forger], None], str]] = [
    (aggregate_edited, "means"),
    (row_deleted, "coverage"),
    (one_protocol_deleted, "coverage"),
    (weights_hash_changed, "weights"),
    (image_left_out, "images"),
    (protocol_renamed, "protocol"),
    (copied_to_another_model, "parameters"),
    (copied_to_another_model, "key"),
    (copied_to_another_model, "weights"),
    (reported_as_measured, "tier"),
    (tier_reported, "tier"),
    (seed_dropped, "seeds"),
    (cost_edited, "cost"),
    (parameters_edited, "parameters"),
    (folding_claimed, "parameters"),
    (key_forged, "key"),
    (date_in_the_future, "dates"),
    (date_before_the_run, "dates"),
    (date_before_sr_bench, "dates"),
    (direction_turned, "metrics"),
    (data_renamed, "data"),
    (training_shortened, "training"),
]


def checked(forger: Forger, suite: Path, **options: Any) -> BoardReport:
    return check_board(forger.board, suite=suite, **options)


@pytest.mark.parametrize(("forge", "check"), FORGERIES, ids=[f"{forge.__name__}-{name}" for forge, name in FORGERIES])
def test_forgery_is_found_by_the_check_named_for_it(
    forger: Forger, suite: Path, forge: Callable[[Forger], None], check: str
) -> None:
    forge(forger)
    forger.finish()
    report = checked(forger, suite, networks=check in ("parameters", "cost"))
    assert check in report.failed, report.failed
    if forger.consistent:
        assert not {"files", "pages"} & set(report.failed), "the forgery is not the consistent one that it should be"


def test_untouched_board_passes_and_each_of_its_rows_is_equal_to_the_last_bit(board: Path, suite: Path) -> None:
    report = check_board(board, suite=suite, replays=100)
    assert report.failed == []
    assert {one.outcome for one in report.replayed} == {"equal"}
    assert len(report.replayed) == 6


def test_values_edited_together_with_their_means_are_found_by_the_replay(forger: Forger, suite: Path) -> None:
    def better(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(psnr_y=table["psnr_y"] + [0.0, 0.01, 0.0, 0.0])

    edited = forger.cell(BICUBIC)
    forger.edit_values(edited, better)
    for other in list((forger.results / "cells").glob("edsr_tiny-*")):
        shutil.rmtree(other)  # what is measured again is bicubic
    forger.finish()
    report = checked(forger, suite, networks=False, replays=100)
    assert "replay" in report.failed
    (finding,) = next(check for check in report.checks if check.name == "replay").findings
    assert finding.cell == edited.name
    assert "psnr_y of 'camera'" in finding.sentence
    if forger.consistent:
        assert not {"files", "means", "pages"} & set(report.failed)


def test_suite_edited_to_hide_a_deleted_row_is_found_against_the_real_suite(forger: Forger, suite: Path) -> None:
    row_deleted(forger)
    forger.edit_run(lambda run: run["definition"]["models"].pop(0))
    forger.finish()
    report = checked(forger, suite, networks=False)
    assert "suite" in report.failed
    assert "coverage" not in report.failed


def test_suite_edited_to_hide_a_dropped_seed_is_found_against_the_real_suite(forger: Forger, suite: Path) -> None:
    seed_dropped(forger)
    forger.edit_run(lambda run: run["definition"].update(seeds=[0]))
    forger.finish()
    assert "suite" in checked(forger, suite, networks=False).failed


@pytest.mark.parametrize("name", ["index.html", "leaderboard.csv", "leaderboard.md"])
def test_page_edited_by_hand_is_found(board: Path, suite: Path, name: str) -> None:
    text = (board / name).read_text()
    (board / name).write_text(text.replace("edsr_tiny", "edsr_tlny", 1))
    assert check_board(board, suite=suite, networks=False).failed == ["pages"]


def test_page_edited_by_hand_in_all_its_files_is_found(board: Path, suite: Path) -> None:
    """The consistent form: page, CSV and Markdown show the same wrong figure of the same model."""
    (mean,) = {
        cell.record.metrics["psnr_y"]
        for cell in RunStore(board / "results").cells()
        if (cell.record.model, cell.record.protocol) == ("bicubic", "matlab-y")
    }
    for name in ("index.html", "leaderboard.csv", "leaderboard.md"):
        text = (board / name).read_text()
        printed = f"{mean:.10g}" if name.endswith("csv") else f"{mean:.2f}"
        edited = text.replace(printed, f"{float(printed) + 1:.10g}")
        assert edited != text, f"{name} has no {printed}"
        (board / name).write_text(edited)
    report = check_board(board, suite=suite, networks=False)
    assert report.failed == ["pages"]
    (pages,) = (check for check in report.checks if check.name == "pages")
    assert len(pages.findings) == 3


@pytest.mark.parametrize(("minutes", "passes"), [(5, True), (60, False)])
@pytest.mark.parametrize("what", ["created", "adopted"])
def test_clock_that_was_set_back_a_little_is_no_forgery(
    board: Path, suite: Path, forger_of: Callable[..., Forger], minutes: int, passes: bool, what: str
) -> None:
    forger = forger_of(board, consistent=True)
    began = datetime.fromisoformat(json.loads((board / "results" / "run.json").read_text())["created"])
    earlier = (began - timedelta(minutes=minutes)).isoformat()

    def change(record: dict[str, Any]) -> None:
        if what == "created":
            record.update(created=earlier)
        else:
            record.update(created=began.isoformat())
            record["adopted"] = {
                "from_code": "0" * 64, "from_key": "0" * 64, "training": "", "evaluation": "equal",
                "largest_difference": {}, "platform": "", "date": earlier,
            }  # fmt: skip

    forger.edit(forger.cell(BICUBIC), change)
    forger.finish()
    assert ("dates" not in checked(forger, suite, networks=False).failed) is passes


def test_published_weights_of_another_hash_are_found(
    committed: Path, tmp_path: Path, forger_of: Callable[..., Forger]
) -> None:
    for consistent in (False, True):
        forger = forger_of(Path(shutil.copytree(committed, tmp_path / str(consistent))), consistent=consistent)
        forger.edit(forger.cell("fsrcnn.author-x3-Set5-ntire"), lambda record: record.update(weights_sha256="0" * 64))
        forger.finish()
        assert "weights" in check_board(forger.board, networks=False).failed


def test_committed_rows_pass_and_are_measured_again_to_the_same_values(committed: Path, filled_cache: Path) -> None:
    report = check_board(committed, load=True, replays=6)
    assert report.failed == []
    assert len(report.replayed) == 6
    assert {one.agrees for one in report.replayed} == {True}
