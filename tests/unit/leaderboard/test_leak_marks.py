"""Rows of models that were trained on test images are marked, where a comparison of the sets is recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from srbench.errors import StoreError
from srbench.leaderboard.boards import read_results
from srbench.leaderboard.page import html_text
from srbench.leaderboard.tables import figures, markdown_text
from srbench.leaderboard.terminal import print_results
from srbench.results.leak_records import LEAKS_FILE, LeakedImage, LeakRecord, read_leaks, record_leaks
from srbench.results.records import Training
from srbench.results.store import RunStore

VALUES = [30.0, 31.0, 32.5, 29.0, 28.0, 33.0, 30.5, 31.5]


def leak(test_image: str, train_image: str = "t0") -> LeakedImage:
    box = (0, 0, 8, 8)
    return LeakedImage(test=test_image, train=train_image, kind="exact", score=1.0, test_box=box, train_box=box)


def record(train_hash: str, test_hash: str, *leaks: LeakedImage) -> LeakRecord:
    return LeakRecord(
        train="T91",
        train_hash=train_hash,
        train_images=91,
        test="A",
        test_hash=test_hash,
        test_images=8,
        leaks=list(leaks),
        srbench="0.1.0",
        date="2024-05-06T07:08:09+00:00",
    )


@pytest.fixture
def store(make_store: Callable[..., RunStore], add_cell: Callable[..., Path]) -> RunStore:
    """Return a run of two models that were trained on different data."""
    run = make_store()
    for model, data in (("clean", "other"), ("leaky", "leaked")):
        training = Training(recipe={}, iterations=10, seeds=[0], data=data, data_hash=data, seconds=1.0)
        add_cell(run, model, VALUES, training=training, dataset_hash="test")
    return run


def test_what_is_recorded_is_read_and_an_older_one_is_replaced(tmp_path: Path) -> None:
    assert read_leaks(tmp_path) == {}
    record_leaks(tmp_path, record("a", "t", leak("x")))
    record_leaks(tmp_path, record("b", "t"))
    record_leaks(tmp_path, record("a", "t", leak("x"), leak("x", "t1"), leak("y")))
    found = read_leaks(tmp_path)
    assert set(found) == {("a", "t"), ("b", "t")}
    assert found["a", "t"].images == 2
    assert found["b", "t"].images == 0


@pytest.mark.parametrize("text", ["", "[]", "{}}", '{"pairs": [{"train": 3}]}', '{"schema_version": 9}'])
def test_a_damaged_record_is_refused_by_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / LEAKS_FILE).write_text(text)
    with pytest.raises(StoreError, match="remove it and run"):
        read_leaks(tmp_path)


def test_only_rows_of_that_training_data_and_test_set_are_marked(store: RunStore) -> None:
    record_leaks(store.path, record("leaked", "test", leak("im000"), leak("im003")))
    record_leaks(store.path, record("other", "another test set", leak("im000")))
    results = read_results(store.path)
    marked = {entry.label: entry.leaks for board in results.boards for entry in board.entries}
    assert not marked["clean"]
    assert marked["leaky"]["A"].images == 2
    text = markdown_text(results)
    assert "leaky †" in text
    assert "clean †" not in text
    assert "2 of 8 images of A in T91" in text
    table = figures(results).set_index("model")["test_images_in_training"]
    assert table["leaky"] == 2
    assert table.isna()["clean"]
    console = Console(record=True, width=160)
    print_results(results, console)
    assert "2 of 8 images of A in T91" in console.export_text()
    assert "trained on images of A" in html_text(results)


def test_sets_that_share_nothing_and_runs_without_a_record_have_no_mark(store: RunStore) -> None:
    before = markdown_text(read_results(store.path))
    assert "†" not in before
    record_leaks(store.path, record("leaked", "test"))
    results = read_results(store.path)
    assert markdown_text(results) == before
    assert "test_images_in_training" not in figures(results)
