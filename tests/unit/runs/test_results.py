"""The store: what counts as finished, and what happens to what does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from srbench.errors import StoreError
from srbench.results.records import Record, RunInfo, Training, now
from srbench.results.store import RunStore


def record(**changes: object) -> Record:
    values: dict[str, object] = {
        "key": "ab" * 32,
        "status": "ok",
        "model": "edsr_tiny+ps(ratio=1/4)",
        "backbone": "edsr_tiny",
        "method": "ps",
        "args": {"ratio": "1/4"},
        "scale": 2,
        "dataset": "Set5",
        "dataset_hash": "cd" * 32,
        "images": 2,
        "protocol": "matlab-y",
        "protocol_digest": "ef" * 32,
        "tier": "trained",
        "metrics": {"psnr_y": 33.25, "ssim_y": 0.93},
        "created": now(),
    }
    return Record.model_validate({**values, **changes})


TABLE = pd.DataFrame({"image": ["baby", "bird"], "psnr_y": [33.5, 33.0], "ssim_y": [0.94, 0.92]})


def test_written_cell_is_read_back_whole(tmp_path: Path) -> None:
    training = Training(
        recipe={"iterations": 5, "lr": 1e-3}, iterations=5, seeds=[0], data="A", data_hash="12", seconds=1.5
    )
    written = record(training=training, checks={"output_shape": "passed"})
    crop = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    store = RunStore(tmp_path)
    directory = store.write(written, TABLE, {"baby.sr.png": crop}, speed={"forward_seconds": {"baby": 0.1}})
    (cell,) = store.cells()
    assert cell.record == written.model_copy(update={"crops": ["images/baby.sr.png"]})
    pd.testing.assert_frame_equal(cell.per_image, TABLE)
    assert cell.directory == directory
    assert cell.speed == {"forward_seconds": {"baby": 0.1}}
    from PIL import Image

    assert np.array_equal(np.asarray(Image.open(directory / "images" / "baby.sr.png")), crop)


def test_infinite_psnr_is_kept_in_json_that_any_program_reads(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    directory = store.write(record(metrics={"psnr_y": float("inf")}), TABLE)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads((directory / "record.json").read_text(), parse_constant=refuse)
    assert store.cells()[0].record.metrics == {"psnr_y": float("inf")}


@pytest.mark.parametrize("name", ["record.json", "per_image.parquet", "images/baby.sr.png", "DONE"])
def test_cell_without_one_of_its_files_does_not_count(name: str, tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    directory = store.write(record(), TABLE, {"baby.sr.png": np.zeros((4, 4, 3), np.uint8)})
    (directory / name).unlink()
    assert store.cells() == []
    assert store.find(directory.name, record().key) is None


def test_speed_is_no_part_of_what_a_cell_is(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    directory = store.write(record(), TABLE, speed={"forward_seconds": {}})
    (directory / "speed.json").write_text('{"measured": "elsewhere"}')
    assert len(store.cells()) == 1


def test_new_result_takes_the_place_of_one_by_other_code(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.write(record(), TABLE)
    store.write(record(key="99" * 32), TABLE)
    assert [cell.record.key for cell in store.cells()] == ["99" * 32]
    assert len(list((tmp_path / "cells").iterdir())) == 1


def test_failure_by_other_code_does_not_remove_a_result(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    kept = store.write(record(created="2026-01-01T00:00:00+00:00"), TABLE)
    store.write(record(key="99" * 32, status="failed", error="Traceback ...", metrics={}))
    assert store.find(kept.name, record().key) is not None
    assert [cell.record.status for cell in store.cells()] == ["failed"], "the later one is what is shown"


def test_models_with_one_readable_name_keep_their_cells_apart(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.write(record(model="a+b(c=1/4)"), TABLE)
    store.write(record(model="a+b(c=1-4)", key="99" * 32), TABLE)
    assert len(store.cells()) == 2


def test_leftovers_are_swept_and_finished_cells_are_not(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.write(record(), TABLE)
    half = tmp_path / "cells" / ".tmp-half-123"
    half.mkdir()
    (half / "record.json").write_text("{")
    with store.lock():
        store.begin(RunInfo(suite="quickstart", srbench="0", created=now()))
    assert not half.exists()
    assert len(store.cells()) == 1


def test_directory_of_another_suite_is_refused(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.begin(RunInfo(suite="one", srbench="0", created=now()))
    with pytest.raises(StoreError, match="holds a run of suite 'one', not of 'two'"):
        store.begin(RunInfo(suite="two", srbench="0", created=now()))


def test_record_of_a_later_version_is_refused_and_not_overlooked(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    directory = store.write(record(), TABLE)
    path = directory / "record.json"
    path.write_text(path.read_text().replace('"schema_version": 4', '"schema_version": 5'))
    marker = json.loads((directory / "DONE").read_text())
    from srbench.storage import sha256_file

    marker["files"]["record.json"] = sha256_file(path)
    (directory / "DONE").write_text(json.dumps(marker))
    with pytest.raises(StoreError, match="schema version 5"):
        store.cells()


def test_missing_directory_says_how_to_make_a_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="srbench run"):
        RunStore(tmp_path / "nothing").cells()
