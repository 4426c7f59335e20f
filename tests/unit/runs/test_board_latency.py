"""Times and peak memory of a board's networks: measured in turns, continued, shown, and checked for form."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.cost.latency_rounds import MOST_PASSES, planned_passes, rounds_of
from srbench.errors import ConfigError, StoreError
from srbench.leaderboard.boards import read_results
from srbench.leaderboard.ntire_score import ntire_score, score_text
from srbench.leaderboard.page import html_text
from srbench.leaderboard.site import build_site
from srbench.leaderboard.tables import csv_text, markdown_text
from srbench.results.latency_records import LATENCY_FILE, LatencyRun, Session, TimedNetwork, read_latency, write_latency
from srbench.runs.board_latency import BoardTiming, lr_size_of, measure_board
from srbench.verification import check_board

ROOT = Path(__file__).resolve().parents[3]
DEMO = BoardTiming(seconds=0.5, memory=False, lr_size=(16, 16))


def quiet(what: str, share: float, words: str) -> None:
    assert 0 <= share <= 1, (what, words)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """Return a copy of the committed board `quickstart`: edsr_tiny in four variants, and bicubic."""
    return Path(shutil.copytree(ROOT / "leaderboards" / "quickstart", tmp_path / "boards" / "quickstart"))


def run_of(scale: int, times: dict[str, list[float]], **changes: Any) -> LatencyRun:
    session = Session(
        started="2026-01-01T10:00:00+00:00", finished="2026-01-01T10:10:00+00:00", load_before=0.1, load_after=1.0,
        governor="performance", clock_mhz="3000",
    )  # fmt: skip
    fields: dict[str, Any] = {
        "scale": scale, "lr": lr_size_of(scale), "machine": "Some CPU", "cores": 4, "threads": 1, "torch": "2.13.0",
        "srbench": "0.1.0", "sessions": [session],
        "networks": {name: TimedNetwork(seconds=several, peak_bytes=3 * 2**20) for name, several in times.items()},
    }  # fmt: skip
    return LatencyRun(**(fields | changes))


def test_passes_fit_into_the_time_and_slow_networks_get_the_least() -> None:
    plan = planned_passes({"slow": 60.0, "middle": 1.0, "quick": 0.01}, 200.0, least=3)
    assert plan["slow"] == 3
    assert plan["quick"] == MOST_PASSES
    assert 15 <= plan["middle"] <= 19, "what the other two leave of 200 s"
    assert planned_passes({"slow": 60.0}, 1.0, least=3) == {"slow": 3}, "the least passes exceed the time"


def test_each_network_has_its_passes_spread_over_all_rounds() -> None:
    passes = {"a": 12, "b": 3, "c": 0, "d": 7}
    rounds = rounds_of(passes)
    assert len(rounds) == 12
    assert {name: sum(name in names for names in rounds) for name in passes} == passes
    thirds = [sum("b" in names for names in rounds[start : start + 4]) for start in (0, 4, 8)]
    assert thirds == [1, 1, 1]


def test_a_board_is_measured_and_a_second_call_adds_to_it(board: Path) -> None:
    (first,) = measure_board(board, DEMO, quiet)
    assert set(first.networks) > {"bicubic", "edsr_tiny"}
    assert all(of.complete and not of.reason for of in first.networks.values())
    assert (first.lr, first.output, first.threads, first.dtype) == ((16, 16), (32, 32), 1, "float32")
    assert first.tf32 is False
    assert read_latency(board / "results") == [first]
    (second,) = measure_board(board, DEMO, quiet)
    name = "edsr_tiny"
    assert second.networks[name].seconds[: len(first.networks[name].seconds)] == first.networks[name].seconds
    assert len(second.sessions) == 2
    (anew,) = measure_board(board, BoardTiming(seconds=0.5, memory=False, lr_size=(16, 16), again=True), quiet)
    assert len(anew.sessions) == 1


def test_times_with_and_without_tf32_are_not_mixed() -> None:
    off, on, unknown = (run_of(2, {}, device="cuda", machine="Some GPU", tf32=tf32) for tf32 in (False, True, None))
    assert len({run.identity for run in (off, on, unknown)}) == 3
    assert [run.where for run in (off, on, unknown)] == [
        "Some GPU, float32, torch 2.13.0",
        "Some GPU, float32 with TF32, torch 2.13.0",
        "Some GPU, float32 (TF32 not recorded), torch 2.13.0",
    ]
    assert run_of(2, {}).identity == run_of(2, {}, tf32=False).identity, "a CPU has no TF32"
    assert "TF32" not in run_of(2, {}).where


def test_an_interrupted_measurement_keeps_what_it_has(board: Path) -> None:
    seen: list[str] = []

    def stop(what: str, share: float, words: str) -> None:
        seen.append(words)
        if words.startswith("round 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_board(board, BoardTiming(seconds=30, memory=False, lr_size=(16, 16)), stop)
    (kept,) = read_latency(board / "results")
    assert any(of.seconds for of in kept.networks.values())
    (done,) = measure_board(board, DEMO, quiet)
    assert all(of.complete for of in done.networks.values())


def test_peak_memory_is_measured_in_processes_of_their_own(board: Path) -> None:
    how = BoardTiming(seconds=0.2, memory=True, models="edsr_tiny", lr_size=(64, 64))
    (run,) = measure_board(board, how, quiet)
    peak = run.networks["edsr_tiny"].peak_bytes
    assert peak is not None
    # Features of 16 channels of float32 at 64x64, in and out of a layer: at least these.
    assert peak >= 2 * 16 * 64 * 64 * 4


def test_the_default_output_is_1280x720_or_the_next_larger() -> None:
    assert [lr_size_of(scale) for scale in (2, 3, 4)] == [(640, 360), (427, 240), (320, 180)]


def test_times_are_shown_with_the_machine(board: Path, tmp_path: Path) -> None:
    write_latency(board / "results", [run_of(2, {"edsr_tiny": [0.100, 0.120, 0.110], "bicubic": [0.002] * 3})])
    results = read_results(board / "results")
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(csv_text(results)))}
    assert float(rows["edsr_tiny"]["latency_ms"]) == pytest.approx(110)
    assert float(rows["edsr_tiny"]["latency_low_ms"]) == pytest.approx(105)
    assert rows["edsr_tiny"]["peak_memory_mib"] == "3"
    assert rows["edsr_tiny"]["latency_on"] == "Some CPU, 1 thread, float32, torch 2.13.0"
    assert rows["edsr_tiny+recursive"]["latency_ms"] == ""
    assert "ntire_2025_score" not in rows["edsr_tiny"], "the score is of x4"
    assert "Some CPU, 1 thread" in markdown_text(results)
    assert "Some CPU, 1 thread" in html_text(results)
    build_site(tmp_path / "boards", tmp_path / "site")
    (page,) = (tmp_path / "site" / "boards").glob("*.html")
    text = page.read_text()
    assert "Some CPU, 1 thread" in text
    assert ">110<" in text
    assert "105 to 115" in text


def test_the_picture_of_time_uses_the_file(board: Path, tmp_path: Path) -> None:
    times = {name: [0.1 + 0.01 * index] * 3 for index, name in enumerate(("edsr_tiny", "edsr_tiny+recursive"))}
    write_latency(board / "results", [run_of(2, times)])
    build_site(tmp_path / "boards", tmp_path / "site")
    (page,) = (tmp_path / "site" / "boards").glob("*.html")
    assert "ms for a 1280x720 image on Some CPU, 1 thread" in page.read_text()


# Table of the NTIRE 2025 challenge's rules: the baseline's score is 7.3891 whatever its figures are.
def test_the_baseline_has_the_score_that_the_rules_state() -> None:
    assert ntire_score(1, 1, 1) == pytest.approx(7.3891, abs=5e-5)
    assert ntire_score(0.5, 0.5, 0.5) == pytest.approx(math.e)
    # 0.7 exp(2 * 2) + 0.15 exp(2 * 1) + 0.15 exp(2 * 0.5), computed by hand.
    assert ntire_score(2, 1, 0.5) == pytest.approx(38.2187 + 1.1084 + 0.4077, abs=1e-3)
    assert ntire_score(1000, 1, 1) == math.inf
    assert score_text(math.inf) == "> 10,000"


def test_the_score_needs_the_baseline_on_the_same_machine(tmp_path: Path) -> None:
    results = Path(shutil.copytree(ROOT / "leaderboards" / "efficient-x4" / "results", tmp_path / "results"))
    models = {entry.record.model for board in read_results(results).boards for entry in board.entries}
    write_latency(results, [run_of(4, {name: [0.1] * 3 for name in models})])
    found = read_results(results).boards[0]
    scores = {entry.record.model: entry.timings[0].score for entry in found.entries if 0 in entry.timings}
    if "efdn.author" in models:
        assert scores["efdn.author"] == pytest.approx(7.3891, abs=5e-5)
        assert scores["imdn.author"] is not None
    else:
        assert set(scores.values()) == {None}


def test_check_looks_at_the_form_of_times(board: Path) -> None:
    def findings() -> list[str]:
        report = check_board(board, networks=False)
        (check,) = [one for one in report.checks if one.name == "latency"]
        return [finding.sentence for finding in check.findings]

    assert findings() == []
    write_latency(board / "results", [run_of(2, {"edsr_tiny": [0.1] * 3})])
    assert findings() == []
    write_latency(board / "results", [run_of(2, {"edsr_tiny": [0.1] * 2, "elsewhere": [0.1] * 3})])
    assert sorted(map(len, map(str.split, findings()))) != []
    assert any("2 passes; 3 are the least" in one for one in findings())
    assert any("a model that the board does not have" in one for one in findings())
    write_latency(board / "results", [run_of(2, {}, lr=(10, 10))])
    assert any("does not give an output" in one for one in findings())
    (board / "results" / LATENCY_FILE).write_text(json.dumps({"schema_version": 1, "runs": [{"scale": 2}]}))
    assert any("is not a file of times" in one for one in findings())


def test_a_damaged_file_is_a_sentence(board: Path) -> None:
    (board / "results" / LATENCY_FILE).write_text('{"runs": [')
    with pytest.raises(StoreError, match="is not a file of times that this version reads"):
        read_latency(board / "results")


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("{board} --dtype float16", ConfigError, "float16 is measured on a GPU only"),
        ("{board} --dtype int8 ", ConfigError, "--dtype takes float32 or float16"),
        ("{board} --models nothing", ConfigError, "no model of"),
        ("{board} --lr-size wide", ConfigError, "--lr-size is width x height"),
        ("nowhere", StoreError, "there are no results in 'nowhere'"),
    ],
)
def test_wrong_use_is_a_sentence(board: Path, line: str, error: type[Exception], words: str) -> None:
    outcome = CliRunner().invoke(app, ["leaderboard", "latency", *line.format(board=board).split()])
    assert isinstance(outcome.exception, error)
    assert words in str(outcome.exception)
    assert not (board / "results" / LATENCY_FILE).exists()


def test_the_command_prints_and_writes_what_it_measured(board: Path) -> None:
    line = ["leaderboard", "latency", str(board), "--seconds", "0.3", "--no-memory", "--lr-size", "16x16"]
    outcome = CliRunner().invoke(app, [*line, "--models", "edsr_tiny*", "--json", "-"])
    assert outcome.exit_code == 0, outcome.output
    (run,) = json.loads(outcome.stdout)["runs"]
    assert run["networks"]["edsr_tiny"]["median_seconds"] > 0
    assert "bicubic" not in run["networks"]
