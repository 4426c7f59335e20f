"""Packed boards through the commands, two data sets of one name, and additions at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from srbench.cli.leaderboard_store import What
from srbench.errors import StoreError
from srbench.results.json_schema import schema_text
from srbench.results.packed import PackedStore
from srbench.results.packing import add, pack, unpack
from srbench.results.records import RUN_SCHEMA_VERSION, SCHEMA_VERSION, Record, RunInfo
from srbench.results.store import RunStore
from srbench.runs.adoption import adopt
from srbench.runs.checkout import checkout_of
from srbench.runs.runner import Silent, run
from srbench.suite.definition import load_suite

DOCS = Path(__file__).resolve().parents[3] / "docs"
TABLE = pd.DataFrame({"image": ["x", "y"], "psnr_y": [30.0, 31.0]})


def record(model: str, **changes: object) -> Record:
    fields: dict[str, object] = {
        "key": (model * 64)[:64],
        "status": "ok",
        "model": model,
        "backbone": model,
        "scale": 2,
        "dataset": "A",
        "dataset_hash": "0" * 64,
        "images": 2,
        "protocol": "matlab-y",
        "protocol_digest": "1" * 64,
        "tier": "reproduced",
        "metrics": {"psnr_y": 30.5},
        "created": "2024-05-06T07:08:09+00:00",
    }
    return Record.model_validate(fields | changes)


def small_run(folder: Path, *models: str) -> RunStore:
    store = RunStore(folder)
    store.begin(RunInfo(suite="demo", srbench="0.1.0", created="2024-05-06T07:08:09+00:00"))
    for model in models:
        store.write(record(model), TABLE)
    return store


@pytest.fixture
def alike(tmp_path: Path, write_images: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a suite on two folders of the same last name with different images."""
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    write_images(tmp_path / "a" / "val", 2, seed=1)
    write_images(tmp_path / "b" / "val", 3, seed=2)
    path = tmp_path / "alike.yaml"
    path.write_text("name: alike\nscale: 2\nmodels: [bicubic]\ndatasets: [a/val, b/val]\nprotocol: [matlab-y, ntire]\n")
    return path


def test_two_folders_of_one_name_give_two_rows_and_stay_two_when_one_is_run_alone(alike: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    report = run(load_suite(alike), out)
    cells = RunStore(out).cells()
    assert len(report.done) == len(cells) == 4
    assert {(cell.record.dataset, cell.record.images) for cell in cells} == {("val", 2), ("val", 3)}
    # Without a list of metrics each protocol has those of the color that it compares.
    assert {(cell.record.protocol, cell.record.primary_metric, *cell.record.metrics) for cell in cells} == {
        ("matlab-y", "psnr_y", "psnr_y", "ssim_y"),
        ("ntire", "psnr_rgb", "psnr_rgb", "ssim_rgb"),
    }
    # A suite that has one of the two only takes nothing from the other.
    alike.write_text(alike.read_text().replace("a/val, ", ""))
    for cell in cells:
        if cell.record.images == 3:
            (cell.directory / "DONE").unlink()
    run(load_suite(alike), out)
    assert len(RunStore(out).cells()) == 4


def test_images_that_were_changed_in_their_folder_take_the_place_of_the_earlier_ones(
    alike: Path, tmp_path: Path, write_images: Callable[..., Path]
) -> None:
    out = tmp_path / "run"
    run(load_suite(alike), out)
    for file in (tmp_path / "a" / "val").iterdir():
        file.unlink()
    (tmp_path / "a" / "val").rmdir()
    write_images(tmp_path / "a" / "val", 2, seed=7)
    report = run(load_suite(alike), out)
    assert len(report.done) == 2
    assert len(RunStore(out).cells()) == 4


def test_part_of_a_data_set_names_its_images_and_their_hash(alike: Path, tmp_path: Path) -> None:
    suite = load_suite(alike).on_images("image0, image1")
    run(suite, tmp_path / "part")
    cells = RunStore(tmp_path / "part").cells()
    # One folder has these two images only: it is not a part.
    assert {cell.record.dataset for cell in cells} == {"val", "val (2 of 3 images)"}
    [subset] = {cell.record.subset for cell in cells if cell.record.subset is not None}
    assert (subset.of, subset.of_images, subset.images) == ("val", 3, ("image0", "image1"))
    with pytest.raises(StoreError, match="on the images 'image0,image1'"):
        run(load_suite(alike), tmp_path / "part")


def test_packed_board_refuses_a_run_with_the_command_that_unpacks_it(alike: Path, tmp_path: Path) -> None:
    run(load_suite(alike), tmp_path / "run")
    pack(tmp_path / "run", tmp_path / "board")
    assert run(load_suite(alike), tmp_path / "board", dry_run=True).before == 4
    with pytest.raises(StoreError, match="srbench leaderboard unpack"):
        run(load_suite(alike), tmp_path / "board")
    with pytest.raises(StoreError, match="srbench leaderboard unpack"):
        adopt(load_suite(alike), tmp_path / "board", observer=Silent())
    unpack(tmp_path / "board", tmp_path / "back")
    assert not run(load_suite(alike), tmp_path / "back").todo


def test_records_of_earlier_versions_survive_packing_to_the_byte(tmp_path: Path) -> None:
    from srbench.storage import sha256_file

    store = small_run(tmp_path / "run", "a")
    [cell] = store.cells()
    file = cell.directory / "record.json"
    old = json.loads(file.read_text()) | {"schema_version": 1}
    for name in ("adopted", "checkout", "weights", "plan", "subset", "dataset_source", "primary_metric"):
        del old[name]
    file.write_text(json.dumps(old, indent=2, sort_keys=True) + "\n")
    marker = json.loads((cell.directory / "DONE").read_text())
    marker["files"]["record.json"] = sha256_file(file)
    (cell.directory / "DONE").write_text(json.dumps(marker))
    pack(store.path, tmp_path / "board")
    unpack(tmp_path / "board", tmp_path / "back")
    [back] = RunStore(tmp_path / "back").cells()
    assert (back.directory / "record.json").read_bytes() == file.read_bytes()


def test_cells_are_the_same_however_few_rows_are_in_memory_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = small_run(tmp_path / "run", *"edcba")
    pack(store.path, tmp_path / "board")
    monkeypatch.setattr("srbench.results.packed_tables._TOGETHER", 2)
    unpack(tmp_path / "board", tmp_path / "back")
    for cell in store.cells():
        copy = tmp_path / "back" / "cells" / cell.name
        assert {path.name: path.read_bytes() for path in copy.iterdir() if path.suffix == ".json"} == {
            "record.json": cell.read("record.json")
        }
    kept = {cell.record.model: cell.read("record.json") for cell in PackedStore(tmp_path / "board").cells()}
    for model in "acebd":  # from one part of the table to another and back
        assert json.loads(kept[model])["model"] == model


def test_damaged_table_of_records_is_refused_in_one_sentence(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pack(small_run(tmp_path / "run", "a", "b").path, tmp_path / "board")
    file = tmp_path / "board" / "records.parquet"
    whole, table = file.read_bytes(), pq.read_table(file)
    # The description at the end of the file is sound, and the pages are not.
    file.write_bytes(whole[:4] + bytes(len(whole) // 4) + whole[4 + len(whole) // 4 :])
    with pytest.raises(StoreError, match=r"records\.parquet' cannot be read"):
        PackedStore(tmp_path / "board").cells()
    pq.write_table(pa.table([*table.columns, table["cell"]], names=[*table.column_names, "cell"]), file)
    with pytest.raises(StoreError, match="two columns of one name"):
        PackedStore(tmp_path / "board").cells()


def test_two_processes_that_add_to_one_board_at_once_are_both_kept(tmp_path: Path) -> None:
    for index in range(2):
        small_run(tmp_path / f"run{index}", f"model{index}a", f"model{index}b")
    code = "import sys; from srbench.results.packing import add; add(sys.argv[1], sys.argv[2])"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / f"run{index}"), str(tmp_path / "board")])
        for index in range(2)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    assert {cell.record.model for cell in PackedStore(tmp_path / "board").cells()} == {
        "model0a", "model0b", "model1a", "model1b",
    }  # fmt: skip


def test_many_additions_at_once_lose_no_row(tmp_path: Path) -> None:
    for index in range(6):
        small_run(tmp_path / f"run{index}", f"model{index}")
    threads = [threading.Thread(target=add, args=(tmp_path / f"run{index}", tmp_path / "board")) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(PackedStore(tmp_path / "board").cells()) == 6


@pytest.mark.parametrize("what", list(What))
def test_committed_schema_is_the_one_that_the_code_has(what: What) -> None:
    version = {What.RECORD: SCHEMA_VERSION, What.RUN: RUN_SCHEMA_VERSION}[what]
    assert (DOCS / "schema" / f"{what}-{version}.json").read_text() == schema_text(what.value)


def test_checkout_is_that_which_tracks_the_file_and_dirty_where_code_differs(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    file = tmp_path / "package" / "module.py"
    file.parent.mkdir()
    file.write_text("x = 1\n")
    git("init", "-q")
    assert checkout_of(file) is None
    git("add", ".")
    git("commit", "-qm", "one")
    clean = checkout_of(file)
    assert clean is not None
    assert not clean.dirty
    (tmp_path / "notes.txt").write_text("no code")
    assert checkout_of(file) == clean
    (tmp_path / "package" / "other.py").write_text("y = 2\n")
    assert checkout_of(file) == clean.model_copy(update={"dirty": True})
