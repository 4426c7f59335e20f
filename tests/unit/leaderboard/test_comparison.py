"""`srbench compare`: one pair of models by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.errors import ConfigError, StoreError
from srbench.leaderboard.boards import read_results
from srbench.leaderboard.pair import compare
from srbench.leaderboard.statistics import mean_intervals
from srbench.results.store import RunStore

AddCell = Callable[..., Path]


def test_a_pair_has_its_difference_on_each_data_set_and_on_all(demo: RunStore, add_cell: AddCell) -> None:
    for model, value in (("net+a", 30.0), ("net+c", 29.5)):
        values = value + 0.01 * np.sin(np.arange(6) * len(model)) + np.arange(6)
        add_cell(demo, model, list(values), dataset="B", dataset_hash="b" * 64)
    first, second, together = compare(demo.path, "net+c", "net+a")
    assert (first.dataset, second.dataset, together.dataset) == ("A", "B", "")
    assert (first.images, second.images, together.images) == (8, 6, 14)
    [entry_a, entry_c] = [
        next(entry for entry in read_results(demo.path).boards[0].entries if entry.record.model == model)
        for model in ("net+a", "net+c")
    ]
    difference = entry_c.images["A"]["psnr_y"] - entry_a.images["A"]["psnr_y"]
    assert [first.difference] == mean_intervals([difference[None]])
    assert together.difference.mean == pytest.approx((first.difference.mean + second.difference.mean) / 2)
    assert {one.verdict for one in (first, second, together)} == {"worse"}
    assert {one.verdict for one in compare(demo.path, "net+a", "net+c")} == {"better"}


def test_a_pair_that_differs_by_less_than_its_variation_is_not_told_apart(demo: RunStore) -> None:
    [one] = compare(demo.path, "net+a", "net+b")
    assert one.difference.low < 0 < one.difference.high
    assert one.verdict == "not told apart"


def test_lower_is_better_where_the_metric_says_so(make_store: Callable[..., RunStore], add_cell: AddCell) -> None:
    import shutil

    store = make_store()
    for model, value in (("a", 0.1), ("bb", 0.2)):
        values = list(value + 0.001 * np.sin(np.arange(8.0) + len(model)))
        path = add_cell(store, model, values, metrics={"lpips": value})
        record = next(cell.record for cell in store.cells() if cell.directory == path)
        shutil.rmtree(path)
        store.write(record, pd.DataFrame({"image": [f"im{index}" for index in range(8)], "lpips": values}))
    [one] = compare(store.path, "a", "bb")
    assert (one.metric, one.verdict) == ("lpips", "better")
    assert one.difference.mean < 0


def test_one_pair_may_be_told_apart_where_ranks_of_many_stay_open(
    make_store: Callable[..., RunStore], add_cell: AddCell
) -> None:
    """The interval of a pair does not know of the other eleven; the ranks do."""
    store = make_store()
    rng = np.random.default_rng(5)
    base = np.linspace(20, 40, 14)
    add_cell(store, "net+m0", list(base + 0.85 + rng.normal(0, 1, 14)))
    for index in range(1, 12):
        add_cell(store, f"net+m{index}", list(base + rng.normal(0, 1, 14)))
    (group,) = read_results(store.path).boards[0].groups
    first, last = group.ranked[0], group.ranked[-1]
    [one] = compare(store.path, first.record.model, last.record.model)
    assert one.verdict == "better"
    assert first.standing is not None
    assert first.standing.worst == 12, "of twelve models that differ by chance, none is separated"


def test_wrong_input_is_a_sentence(demo: RunStore, add_cell: AddCell, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no model 'net\+z'; it has bicubic, net\+a"):
        compare(demo.path, "net+a", "net+z")
    with pytest.raises(ConfigError, match="name two different models"):
        compare(demo.path, "net+a", "net+a")
    add_cell(demo, "other", [30.0, 31.0], scale=4)
    with pytest.raises(ConfigError, match="share no images"):
        compare(demo.path, "net+a", "other")
    with pytest.raises(StoreError, match="there is no run in"):
        compare(tmp_path / "nowhere", "net+a", "net+b")


def test_the_command_prints_the_pair_and_says_that_it_is_one(demo: RunStore, tmp_path: Path) -> None:
    target = tmp_path / "pair.json"
    done = CliRunner().invoke(app, ["compare", "net+a", "net+c", "--run", str(demo.path), "--json", str(target)])
    assert done.exit_code == 0, done.output
    assert "net+a minus net+c" in done.output
    assert "better" in done.output
    assert "two models by themselves" in done.output
    [row] = json.loads(target.read_text())["comparisons"]
    assert (row["first"], row["second"], row["dataset"], row["verdict"]) == ("net+a", "net+c", "A", "better")
    assert row["low"] < row["difference"] < row["high"]
    only = CliRunner().invoke(app, ["compare", "net+a", "net+c", "--run", str(demo.path), "--json", "-"])
    assert json.loads(only.output)["comparisons"] == [row]


def test_the_folder_of_a_board_is_its_results(demo: RunStore, tmp_path: Path) -> None:
    shutil.copytree(demo.path, tmp_path / "board" / "results")
    assert [one.difference for one in compare(tmp_path / "board", "net+a", "net+c")] == [
        one.difference for one in compare(demo.path, "net+a", "net+c")
    ]
    shown = [CliRunner().invoke(app, ["leaderboard", "show", str(path)]) for path in (tmp_path / "board", demo.path)]
    assert shown[0].exit_code == 0, shown[0].output
    assert shown[0].output == shown[1].output
