"""`srbench leaderboard gate`: what fell, against a commit or a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbench.cli import main
from srbench.results.records import MetricKind
from srbench.results.store import RunStore

VALUES = [20.0, 24, 28, 32, 36, 30]
AddCell = Callable[..., Path]


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def board(make_store: Callable[..., RunStore], add_cell: AddCell, tmp_path: Path) -> RunStore:
    """Return the results of a board of two models and bicubic, in the first commit of a repository."""
    store = make_store("repo/leaderboards/demo/results")
    add_cell(store, "net+a", VALUES)
    add_cell(store, "net+b", [value + 1 for value in VALUES])
    add_cell(store, "bicubic", [value - 2 for value in VALUES], params_unique=0, tier="reproduced", checks={})
    repo = tmp_path / "repo"
    git(repo, "init", "-q", "-b", "main")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "first")
    return store


def gate(*words: str | Path) -> int:
    try:
        main(["leaderboard", "gate", *map(str, words)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def moved(add_cell: AddCell, store: RunStore, model: str, by: float, **changes: Any) -> None:
    add_cell(store, model, [value + by for value in VALUES], key=(model[-1] + "0" * 63), **changes)


@pytest.fixture
def checked(board: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Return a function that calls the gate on the checkout, and returns what it says as JSON, with its status."""

    def call(*words: str, against: str | Path = "HEAD", drop: float | str = 0.02) -> dict[str, Any]:
        status = gate(
            tmp_path / "repo" / "leaderboards", "--against", against, "--max-drop", drop, "--json", "-", *words
        )
        said = capsys.readouterr()
        assert status in (0, 1), said.err
        return {"status": status, "stderr": said.err, **json.loads(said.out)}

    return call


def verdicts(said: dict[str, Any]) -> dict[str, str]:
    return {row["model"]: row["verdict"] for row in said["rows"]}


class TestVerdicts:
    def test_nothing_changed(self, checked: Any) -> None:
        said = checked()
        assert said["status"] == 0
        assert said["passed"]
        assert set(verdicts(said).values()) == {"unchanged"}

    @pytest.mark.parametrize(
        ("by", "verdict"), [(-0.021, "regression"), (-0.02, "unchanged"), (0.0, "unchanged"), (0.5, "improvement")]
    )
    def test_the_largest_drop_is_allowed_and_no_more(
        self, by: float, verdict: str, checked: Any, board: RunStore, add_cell: AddCell
    ) -> None:
        moved(add_cell, board, "net+a", by)
        said = checked()
        assert verdicts(said) == {"net+a": verdict, "net+b": "unchanged", "bicubic": "unchanged"}
        assert said["status"] == (verdict == "regression")
        (row,) = (row for row in said["rows"] if row["model"] == "net+a")
        assert row["gain"] == pytest.approx(by, abs=1e-8)
        assert row["board"] == "demo"

    def test_lower_is_better_where_the_metric_says_so(
        self, checked: Any, board: RunStore, add_cell: AddCell, tmp_path: Path
    ) -> None:
        """The kind is that of the record: `my_error` is no metric of ours."""
        old = tmp_path / "old" / "demo" / "results"
        kinds = {"my_error": MetricKind(higher_is_better=False)}
        for store, value in ((RunStore(old), 1.0), (board, 1.5)):
            add_cell(store, "net+e", VALUES, metrics={"my_error": value}, metric_kinds=kinds, key="e" * 64)
        said = checked("--metric", "my_error", against=tmp_path / "old")
        assert verdicts(said) == {"net+e": "regression"}
        assert checked("--metric", "my_error", against=tmp_path / "old", drop=0.5)["status"] == 0

    def test_a_row_that_is_gone_fails_unless_it_may_go(self, checked: Any, board: RunStore) -> None:
        (cell,) = (cell for cell in board.cells() if cell.record.model == "net+b")
        shutil.rmtree(cell.directory)
        said = checked()
        assert (said["status"], verdicts(said)["net+b"]) == (1, "missing")
        assert checked("--allow-missing")["status"] == 0

    def test_a_row_that_failed_or_is_damaged_is_missing(self, checked: Any, board: RunStore, add_cell: AddCell) -> None:
        for cell in board.cells():
            if cell.record.model != "bicubic":
                shutil.rmtree(cell.directory)
        add_cell(board, "net+a", None, error="ValueError: no", key="a" * 64)
        (board.cells_path / "net-b-x2-A-matlab-y-000000000000").mkdir()
        said = checked()
        reasons = {row["model"]: row["reason"] for row in said["rows"]}
        assert (said["status"], reasons["net+a"]) == (1, "it failed: ValueError: no")
        assert reasons["net+b"] == "it is gone"
        assert "damaged now" in said["stderr"]

    @pytest.mark.parametrize(
        ("field", "words"), [("dataset_hash", "other images"), ("protocol_digest", "protocol of this name")]
    )
    def test_figures_of_other_content_are_not_compared(
        self, field: str, words: str, checked: Any, board: RunStore, add_cell: AddCell
    ) -> None:
        moved(add_cell, board, "net+a", 5.0, **{field: "0" * 64})
        said = checked()
        (row,) = (row for row in said["rows"] if row["model"] == "net+a")
        assert said["status"] == 1
        assert words in row["reason"]

    def test_another_tier_is_another_row(self, checked: Any, board: RunStore, add_cell: AddCell) -> None:
        (cell,) = (cell for cell in board.cells() if cell.record.model == "net+a")
        shutil.rmtree(cell.directory)
        moved(add_cell, board, "net+a", 0.0, tier="reproduced", weights_sha256="0" * 64)
        said = checked()
        assert sorted(row["verdict"] for row in said["rows"] if row["model"] == "net+a") == ["missing", "new"]

    def test_infinite_and_undefined_figures(
        self, checked: Any, board: RunStore, add_cell: AddCell, tmp_path: Path
    ) -> None:
        cases = {"ii": (float("inf"),) * 2, "if": (float("inf"), 40.0), "fn": (40.0, float("nan")),
                 "nn": (float("nan"),) * 2, "nf": (float("nan"), 40.0)}  # fmt: skip
        for number, (name, figures) in enumerate(cases.items()):
            for store, figure in zip((RunStore(tmp_path / "old" / "demo" / "results"), board), figures, strict=True):
                add_cell(store, f"net+{name}", VALUES, metrics={"psnr_y": figure}, key=str(number) * 64)
        found = verdicts(checked(against=tmp_path / "old"))
        assert {name: found[f"net+{name}"] for name in cases} == {
            "ii": "unchanged", "if": "regression", "fn": "regression", "nn": "unchanged", "nf": "improvement",
        }  # fmt: skip

    def test_seeds_are_one_row_with_their_mean(
        self, checked: Any, board: RunStore, add_cell: AddCell, tmp_path: Path
    ) -> None:
        old = RunStore(tmp_path / "old" / "demo" / "results")
        for seed, (before, after) in enumerate([(0.0, 0.2), (1.0, 0.7)]):
            add_cell(old, "net+s", [value + before for value in VALUES], seed=seed, key=str(seed) * 64)
            add_cell(board, "net+s", [value + after for value in VALUES], seed=seed, key=str(seed) * 64)
        (row,) = (row for row in checked(against=tmp_path / "old", drop=0.1)["rows"] if row["model"] == "net+s")
        assert row["gain"] == pytest.approx(-0.05)
        assert row["verdict"] == "unchanged"


class TestAgainst:
    def test_a_branch_a_tag_and_a_commit(
        self, checked: Any, board: RunStore, add_cell: AddCell, tmp_path: Path
    ) -> None:
        repo = tmp_path / "repo"
        git(repo, "tag", "v1")
        moved(add_cell, board, "net+a", -1.0)
        git(repo, "add", "-A")
        git(repo, "commit", "-q", "-m", "second")
        assert checked(against="HEAD")["status"] == 0
        for reference in ("v1", "HEAD~1", "main~1"):
            assert checked(against=reference)["status"] == 1

    def test_neither_checkout_nor_index_is_touched(self, checked: Any, board: RunStore, tmp_path: Path) -> None:
        repo = tmp_path / "repo"
        before = (repo / ".git" / "index").read_bytes()
        status = subprocess.run(["git", "status", "--porcelain"], cwd=repo, capture_output=True, check=True).stdout
        checked()
        assert (repo / ".git" / "index").read_bytes() == before
        after = subprocess.run(["git", "status", "--porcelain"], cwd=repo, capture_output=True, check=True).stdout
        assert after == status

    def test_a_folder(self, checked: Any, board: RunStore, add_cell: AddCell, tmp_path: Path) -> None:
        shutil.copytree(tmp_path / "repo" / "leaderboards", tmp_path / "before")
        moved(add_cell, board, "net+a", -1.0)
        assert checked(against=tmp_path / "before")["status"] == 1

    def test_a_commit_without_the_folder_has_nothing_to_compare_with(
        self, make_store: Callable[..., RunStore], add_cell: AddCell, board: RunStore, tmp_path: Path, capsys: Any
    ) -> None:
        store = make_store("repo/more/demo/results")
        add_cell(store, "net+a", VALUES)
        assert gate(tmp_path / "repo" / "more", "--against", "main", "--max-drop", "0") == 0
        assert "nothing to compare with" in capsys.readouterr().out

    def test_a_run_a_board_and_a_folder_of_boards(self, board: RunStore, tmp_path: Path) -> None:
        boards = tmp_path / "repo" / "leaderboards"
        for folder in (boards, boards / "demo", boards / "demo" / "results"):
            assert gate(folder, "--against", "main", "--max-drop", "0") == 0

    def test_links_of_a_commit_are_not_followed(self, board: RunStore, checked: Any, tmp_path: Path) -> None:
        """A cell whose folder is a link to a good one elsewhere is no cell of that commit."""
        repo = tmp_path / "repo"
        (cell,) = (cell for cell in board.cells() if cell.record.model == "net+a")
        shutil.move(cell.directory, tmp_path / "elsewhere")
        cell.directory.symlink_to(tmp_path / "elsewhere")
        git(repo, "add", "-A")
        git(repo, "commit", "-q", "-m", "a link")
        assert verdicts(checked())["net+a"] == "new"


class TestBadInput:
    @pytest.mark.parametrize(
        "case",
        ["drop-nan", "drop-inf", "drop-negative", "drop-text", "ref", "ref-option", "ref-empty", "missing", "pipe",
         "closed", "empty", "metric"],
    )  # fmt: skip
    def test_one_sentence_and_status_2(
        self, case: str, board: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        boards, place = tmp_path / "repo" / "leaderboards", tmp_path / "place"
        place.mkdir()
        os.mkfifo(place / "pipe")
        (place / "closed").mkdir(mode=0)
        good = ["--against", "main", "--max-drop", "0.02"]
        words: dict[str, list[str | Path]] = {
            "drop-nan": [boards, "--against", "main", "--max-drop", "nan"],
            "drop-inf": [boards, "--against", "main", "--max-drop", "inf"],
            "drop-negative": [boards, "--against", "main", "--max-drop=-1"],
            "drop-text": [boards, "--against", "main", "--max-drop", "some"],
            "ref": [boards, "--against", "no-such-branch", "--max-drop", "0"],
            "ref-option": [boards, "--against=--all", "--max-drop", "0"],
            "ref-empty": [boards, "--against", "", "--max-drop", "0"],
            "missing": [place / "none", *good],
            "pipe": [place / "pipe", *good],
            "closed": [place / "closed", *good],
            "empty": [place, *good],
            "metric": [boards, *good, "--metric", "psnr"],
        }
        assert gate(*words[case]) == 2
        said = capsys.readouterr()
        assert not said.out
        assert said.err.startswith("srbench: ")
        assert said.err.count("\n") == 1
