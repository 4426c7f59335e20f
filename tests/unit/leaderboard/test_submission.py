"""What `srbench leaderboard submit` writes, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srbench.cli import main
from srbench.errors import StoreError
from srbench.leaderboard import publish, submission
from srbench.results.packing import pack, unpack
from srbench.results.store import RunStore
from srbench.storage import exclusive, restore_swapped, swap_folders

AddCell = Callable[..., Path]
DEFINITION = {
    "name": "demo", "scale": [2], "datasets": ["A"], "protocol": ["matlab-y"], "metrics": ["psnr_y", "ssim_y"],
    "models": [{"model": "net+a"}, {"model": "bicubic"}],
}  # fmt: skip
VALUES = [20.0, 24, 28, 32, 36, 30, 26, 22]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def other(make_store: Callable[..., RunStore], add_cell: AddCell) -> RunStore:
    """Return a run of the same suite that has one more model, and one that the first has too."""
    store = make_store("other")
    add_cell(store, "net+new", [value + 2 for value in VALUES], params_unique=5000)
    add_cell(store, "bicubic", [value - 2 for value in VALUES], params_unique=0, tier="reproduced", checks={})
    return store


class TestWhatIsWritten:
    def test_a_new_board_has_the_committed_layout_and_nothing_else(
        self, demo: RunStore, add_cell: AddCell, tmp_path: Path
    ) -> None:
        (demo.path / "models" / "net").mkdir(parents=True)
        (demo.path / "models" / "net" / "weights.safetensors").write_bytes(b"weights")
        (demo.path / "log.txt").write_text("a log")
        (demo.cells_path / ".tmp-half").mkdir()
        done = submission.submit(demo.path, tmp_path / "out")
        assert len(done.added) == 4
        assert not done.replaced
        files = set(tree(tmp_path / "out"))
        expected = {f"results/{name}" for name in ("run.json", "records.parquet", "per_image.parquet")}
        expected |= {"index.html", "leaderboard.csv", "leaderboard.md"}
        assert files == {f"leaderboards/demo/{name}" for name in expected}
        made = publish.build(done.folder / "results", done.folder, write=False)
        assert not publish.outdated(made), "its tables and page are what its results give"

    def test_a_run_is_only_read(self, demo: RunStore, tmp_path: Path) -> None:
        before = tree(demo.path)
        submission.submit(demo.path, tmp_path / "out")
        assert tree(demo.path) == before

    def test_crops_only_of_redistributable_images(
        self, make_store: Callable[..., RunStore], add_cell: AddCell, tmp_path: Path
    ) -> None:
        store = make_store()
        ramp = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
        crops = {"im000.hr.png": ramp, "im000.sr.png": ramp[::-1]}
        add_cell(store, "net+free", VALUES, crops=crops, redistributable=True, licence="CC0")
        add_cell(store, "net+not", VALUES, crops=crops)
        done = submission.submit(store.path, tmp_path / "out")
        pictures = [path.parent.parent.name for path in done.folder.rglob("*.png")]
        assert len(pictures) == 2
        assert all(name.startswith("net-free") for name in pictures)
        assert len(done.left_out) == 2
        cells, damaged = RunStore(done.folder / "results").all_cells()
        assert not damaged, "its hashes agree with what was copied"
        assert {cell.record.model: len(cell.record.crops) for cell in cells} == {"net+free": 2, "net+not": 0}

    def test_files_that_a_marker_names_and_no_cell_has_stay_behind(self, demo: RunStore, tmp_path: Path) -> None:
        (cell,) = (cell for cell in demo.cells() if cell.record.model == "net+a")
        (cell.directory / "weights.pt").write_bytes(b"weights")
        marker = json.loads((cell.directory / "DONE").read_text())
        import hashlib

        marker["files"]["weights.pt"] = hashlib.sha256(b"weights").hexdigest()
        (cell.directory / "DONE").write_text(json.dumps(marker))
        done = submission.submit(demo.path, tmp_path / "out")
        assert [name.rpartition("/")[2] for name in done.left_out] == ["weights.pt"]
        assert not list(done.folder.rglob("weights.pt"))

    def test_only_models_that_are_asked_for(self, demo: RunStore, tmp_path: Path) -> None:
        done = submission.submit(demo.path, tmp_path / "out", models="net+[ab]")
        assert sorted(record.model for record in done.added) == ["net+a", "net+b"]

    def test_the_board_of_a_budget_has_its_name(
        self, make_store: Callable[..., RunStore], add_cell: AddCell, tmp_path: Path
    ) -> None:
        store = make_store(budget="small")
        add_cell(store, "net+a", VALUES)
        assert submission.submit(store.path, tmp_path / "out").board == "demo-small"


def loosen(board: Path) -> None:
    """Give a packed board a directory per cell, as boards had them before."""
    unpack(board / "results", board / "loose")
    shutil.rmtree(board / "results")
    (board / "loose").rename(board / "results")


class TestABoardThatIsThere:
    def test_rows_are_added_to_a_packed_board_and_the_others_kept(
        self, demo: RunStore, other: RunStore, tmp_path: Path
    ) -> None:
        board = submission.submit(demo.path, tmp_path / "repo", index=True).folder
        (board / "results" / "replays.json").write_text("{}")
        before = {cell.name: cell for cell in RunStore(board / "results").cells()}
        done = submission.submit(other.path, tmp_path / "repo", index=True)
        assert [record.model for record in done.added] == ["net+new"]
        assert [record.model for record in done.unchanged] == ["bicubic"]
        after = {cell.name: cell for cell in RunStore(board / "results").cells()}
        assert after.keys() - before.keys() == {name for name in after if name.startswith("net-new")}
        for name, cell in before.items():
            assert after[name].record == cell.record
            assert after[name].per_image.equals(cell.per_image)
        assert (board / "results" / "replays.json").read_text() == "{}"
        assert not (board / "results" / "cells").exists()
        assert not publish.outdated(publish.build(board / "results", board, write=False))

    def test_a_packed_run_is_submitted_as_an_unpacked_one_is(self, demo: RunStore, tmp_path: Path) -> None:
        pack(demo.path, tmp_path / "packed")
        submission.submit(demo.path, tmp_path / "one")
        submission.submit(tmp_path / "packed", tmp_path / "two")
        assert tree(tmp_path / "one") == tree(tmp_path / "two")

    def test_rows_are_added_and_the_others_kept_to_the_byte(
        self, demo: RunStore, other: RunStore, tmp_path: Path
    ) -> None:
        first = submission.submit(demo.path, tmp_path / "repo", index=True)
        loosen(first.folder)
        (first.folder / "NOTES.md").write_text("by hand")
        (first.folder / "results" / "replays.json").write_text("{}")
        before = tree(first.folder)
        done = submission.submit(other.path, tmp_path / "repo", index=True)
        assert [record.model for record in done.added] == ["net+new"]
        assert [record.model for record in done.unchanged] == ["bicubic"]
        after = tree(first.folder)
        kept = {name: data for name, data in before.items() if not name.startswith(("index", "leaderboard."))}
        assert {name: after.get(name) for name in kept} == kept
        added = set(after) - set(before)
        assert added
        assert all("net-new" in name for name in added)
        assert not publish.outdated(publish.build(first.folder / "results", first.folder, write=False))
        assert not publish.outdated(publish.build_index(tmp_path / "repo" / "leaderboards", write=False))

    def test_the_same_run_twice_changes_no_byte(self, demo: RunStore, tmp_path: Path) -> None:
        submission.submit(demo.path, tmp_path / "repo", index=True)
        before = tree(tmp_path / "repo")
        done = submission.submit(demo.path, tmp_path / "repo", index=True)
        assert len(done.unchanged) == 4
        assert not done.added
        assert tree(tmp_path / "repo") == before

    def test_another_result_replaces_one_only_if_asked_to(
        self, demo: RunStore, make_store: Callable[..., RunStore], add_cell: AddCell, tmp_path: Path
    ) -> None:
        board = submission.submit(demo.path, tmp_path / "repo").folder
        changed = make_store("changed")
        add_cell(changed, "net+a", [value + 3 for value in VALUES], key="f" * 64, params_unique=4000)
        before = tree(board)
        with pytest.raises(StoreError, match=r"net\+a x2 on A .*psnr_y 28.25 becomes 30.25; give --replace"):
            submission.submit(changed.path, tmp_path / "repo")
        assert tree(board) == before
        done = submission.submit(changed.path, tmp_path / "repo", replace=True)
        assert [(old.metrics["psnr_y"], new.metrics["psnr_y"]) for old, new in done.replaced] == [(28.25, 30.25)]
        cells = RunStore(board / "results").cells()
        assert [cell.record.key for cell in cells if cell.record.model == "net+a"] == ["f" * 64]
        assert len(RunStore(board / "results").all_cells()[0]) == 4, "the old cell is gone"

    def test_a_failed_cell_of_the_board_gives_way(
        self, demo: RunStore, make_store: Callable[..., RunStore], add_cell: AddCell, tmp_path: Path
    ) -> None:
        board = submission.submit(demo.path, tmp_path / "repo").folder
        loosen(board)
        add_cell(RunStore(board / "results"), "net+late", None, error="it failed")
        mended = make_store("mended")
        add_cell(mended, "net+late", VALUES, key="e" * 64)
        assert [record.model for record in submission.submit(mended.path, tmp_path / "repo").added] == ["net+late"]
        assert all(cell.record.status == "ok" for cell in RunStore(board / "results").cells())

    def test_models_of_a_run_are_added_to_the_boards_definition(
        self, make_store: Callable[..., RunStore], add_cell: AddCell, tmp_path: Path
    ) -> None:
        first, second = (
            make_store("first", definition=DEFINITION),
            make_store(
                "second",
                definition={**DEFINITION, "models": [{"model": "net+a"}, {"model": "net+mine", "weights": "w.pt"}]},
            ),
        )
        add_cell(first, "net+a", VALUES)
        add_cell(second, "net+mine", VALUES)
        submission.submit(first.path, tmp_path / "repo")
        info = RunStore(submission.submit(second.path, tmp_path / "repo").folder / "results").info()
        assert info is not None
        assert info.definition["models"] == [*DEFINITION["models"], {"model": "net+mine", "weights": "w.pt"}]

    @pytest.mark.parametrize(
        ("key", "value"),
        [("scale", [4]), ("protocol", ["ntire"]), ("datasets", ["B"]), ("metrics", ["ssim_y"]), ("seeds", [0, 1]),
         ("train", {"data": "T"}), ("multi_scale", True), ("images", "im00*")],
    )  # fmt: skip
    def test_a_run_whose_suite_contradicts_the_boards_is_refused(
        self, key: str, value: Any, make_store: Callable[..., RunStore], add_cell: AddCell, tmp_path: Path
    ) -> None:
        first = make_store("first", definition=DEFINITION)
        second = make_store("second", definition={**DEFINITION, key: value})
        add_cell(first, "net+a", VALUES)
        add_cell(second, "net+b", VALUES)
        board = submission.submit(first.path, tmp_path / "repo").folder
        before = tree(board)
        with pytest.raises(StoreError, match=f"a suite with '{key}'"):
            submission.submit(second.path, tmp_path / "repo")
        assert tree(board) == before

    @pytest.mark.parametrize(
        ("field", "words"), [("dataset_hash", "other images"), ("protocol_digest", "another protocol")]
    )
    def test_other_content_of_the_same_name_is_refused(
        self, field: str, words: str, demo: RunStore, make_store: Callable[..., RunStore], add_cell: AddCell,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        submission.submit(demo.path, tmp_path / "repo")
        second = make_store("second")
        add_cell(second, "net+z", VALUES, **{field: "0" * 64})
        with pytest.raises(StoreError, match=words):
            submission.submit(second.path, tmp_path / "repo")

    def test_another_suite_is_refused(
        self, demo: RunStore, make_store: Callable[..., RunStore], add_cell: AddCell, tmp_path: Path
    ) -> None:
        submission.submit(demo.path, tmp_path / "repo")
        second = make_store("second", suite="else")
        add_cell(second, "net+z", VALUES)
        with pytest.raises(StoreError, match="is of suite demo, and the run is of suite else"):
            submission.submit(second.path, tmp_path / "repo", board="demo")


class TestRefusals:
    def test_failed_cells(self, demo: RunStore, add_cell: AddCell, tmp_path: Path) -> None:
        add_cell(demo, "net+bad", None, error="ValueError: no")
        with pytest.raises(StoreError, match=r"failed cells: net\+bad .*--models"):
            submission.submit(demo.path, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert len(submission.submit(demo.path, tmp_path / "out", models="net+[abc]").added) == 3

    def test_damaged_cells(self, demo: RunStore, tmp_path: Path) -> None:
        path = demo.cells()[0].directory / "record.json"
        path.write_text(path.read_text().replace("net", "not"))
        (demo.cells()[0].directory / "per_image.parquet").write_bytes(b"")
        with pytest.raises(StoreError, match="damaged cells"):
            submission.submit(demo.path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_results_of_other_code(self, demo: RunStore, tmp_path: Path) -> None:
        keys = {cell.record.key for cell in demo.cells() if cell.record.model == "net+a"}
        with pytest.raises(StoreError, match=r"the code has changed since .* net\+a .*--adopt"):
            submission.submit(demo.path, tmp_path / "out", other_code=lambda _: keys)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"tier": "reported"}, "papers' figures belong"),
            ({"training": None}, "does not describe a training"),
            ({"tier": "reproduced"}, "names no weights"),
            ({"images": 9}, "9 images, but has values for 8"),
            ({"metrics": {"psnr_y": 31.0, "ssim_y": 0.9}}, "the mean over its images is"),
            ({"metrics": {"psnr_y": 27.25, "lpips": 0.1}}, "no values of lpips"),
        ],
        ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
    )
    def test_what_is_no_measurement(
        self, changes: dict[str, Any], words: str, make_store: Callable[..., RunStore], add_cell: AddCell,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        store = make_store()
        add_cell(store, "net+a", VALUES, **changes)
        with pytest.raises(StoreError, match=words):
            submission.submit(store.path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a" * 200, "-x"])
    def test_names_that_are_none(self, name: str, demo: RunStore, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be a board's name"):
            submission.submit(demo.path, tmp_path / "out", board=name)

    def test_a_folder_that_is_no_board(self, demo: RunStore, tmp_path: Path) -> None:
        (tmp_path / "repo" / "leaderboards" / "reported").mkdir(parents=True)
        with pytest.raises(StoreError, match="is not a board"):
            submission.submit(demo.path, tmp_path / "repo", board="reported")

    def test_a_checkout_in_which_another_submits(self, demo: RunStore, tmp_path: Path) -> None:
        boards = tmp_path / "repo" / "leaderboards"
        with (
            exclusive(boards / ".lock", owner="it"),
            pytest.raises(StoreError, match="in use by another run"),
        ):
            submission.submit(demo.path, tmp_path / "repo")
        assert not (boards / "demo").exists()
        assert len(submission.submit(demo.path, tmp_path / "repo").added) == 4


class TestSwap:
    def test_folders_change_places(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for in_one_step in (True, False):
            if not in_one_step:
                monkeypatch.setattr("srbench.storage._exchanged", lambda one, other: False)
            new, final = tmp_path / ".tmp-x-1", tmp_path / "x"
            for path in (new, final):
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                (path / "name").write_text(path.name)
            swap_folders(new, final)
            assert (final / "name").read_text() == ".tmp-x-1"
            assert (new / "name").read_text() == "x"
            assert sorted(os.listdir(tmp_path)) == [".tmp-x-1", "x"]

    def test_a_board_that_a_killed_swap_moved_aside_is_put_back(self, demo: RunStore, tmp_path: Path) -> None:
        board = submission.submit(demo.path, tmp_path / "repo", board="demo-5").folder
        before = tree(board)
        os.rename(board, board.with_name(".tmp-demo-5-99999999-old"))
        restore_swapped(board.parent)
        assert tree(board) == before
        os.rename(board, board.with_name(".tmp-demo-5-99999999-old"))
        submission.submit(demo.path, tmp_path / "repo", board="demo")
        assert tree(board) == before, "another board's submission puts it back too, and removes nothing of it"


class TestCommand:
    def run(self, *words: str | Path) -> int:
        with pytest.raises(SystemExit) as end:
            main(["leaderboard", "submit", *map(str, words)])
        return int(end.value.code or 0)

    @pytest.mark.parametrize("case", ["missing", "file", "pipe", "unreadable", "no-checkout", "glob", "both", "json"])
    def test_bad_input_is_one_sentence_and_nothing_is_written(
        self, case: str, demo: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        place = tmp_path / "place"
        place.mkdir()
        (place / "file").write_text("")
        os.mkfifo(place / "pipe")
        (place / "closed").mkdir(mode=0)
        words: dict[str, list[str | Path]] = {
            "missing": [place / "none"],
            "file": [place / "file"],
            "pipe": [place / "pipe"],
            "unreadable": [place / "closed"],
            "no-checkout": [demo.path, "--into", place],
            "glob": [demo.path, "--models", "[", "--out", place / "out"],
            "both": [demo.path, "--out", place / "out", "--into", place],
            "json": [demo.path, "--out", place / "out", "--json", place / "out" / "leaderboards"],
        }
        assert self.run(*words[case]) == 2
        said = capsys.readouterr()
        assert not said.out
        assert said.err.startswith("srbench: ")
        assert said.err.count("\n") == 1
        assert not (place / "out").exists()
        assert not (demo.path / "submission").exists()
        assert sorted(os.listdir(place)) == ["closed", "file", "pipe"]
