"""Metrics of which less is better: ranks, ties, tables, pictures and headings turn round."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbench.leaderboard.boards import read_results
from srbench.leaderboard.chart import chart
from srbench.leaderboard.publish import build
from srbench.leaderboard.ranks import rank_models
from srbench.leaderboard.tables import ranking_table
from srbench.results.records import MetricKind
from srbench.results.store import RunStore

IMAGES = [f"im{index}" for index in range(8)]
NOISE = np.array([0.0, 0.01, -0.01, 0.005, -0.005, 0.008, -0.008, 0.0])


def cell(add: Callable[..., Path], store: RunStore, model: str, base: float, **changes: Any) -> None:
    """Store a model whose only metric is `changes`' `metric`, LPIPS where not given, around a value."""
    metric = changes.pop("metric", "lpips")
    # A model's own scatter, so that 0.001 is a tie and 0.1 is not.
    own = np.random.default_rng(len(model)).normal(0, 0.004, len(IMAGES))
    values = [float(value) for value in base + NOISE + own]
    kinds = {metric: MetricKind(higher_is_better=False)} if changes.pop("kinds", True) else {}
    fields = {"metrics": {metric: float(np.mean(values))}, "metric_kinds": kinds, "images": len(values), **changes}
    path = add(store, model, values, **fields)
    table = pd.DataFrame({"image": IMAGES, metric: values})
    record = next(one.record for one in store.cells() if one.directory == path)
    shutil.rmtree(path)
    store.write(record, table)


@pytest.fixture
def lower(make_store: Callable[..., RunStore], add_cell: Callable[..., Path]) -> RunStore:
    """Return a run of LPIPS figures: `best` leads, `nearly` ties with it, `worst` does not; and bicubic."""
    store = make_store()
    cell(add_cell, store, "worst", 0.30)
    cell(add_cell, store, "best", 0.10, params_unique=5000)
    cell(add_cell, store, "nearly", 0.1005, params_unique=4000)
    cell(add_cell, store, "bicubic", 0.40, params_unique=0, tier="reproduced")
    return store


def test_the_lowest_mean_is_first_and_ties_are_found_from_it(lower: RunStore) -> None:
    (board,) = read_results(lower.path).boards
    (group,) = board.groups
    assert [(entry.label, entry.rank) for entry in group.entries] == [("best", 1), ("nearly", 2), ("worst", 3)]
    standings = [entry.standing for entry in group.entries if entry.standing is not None]
    assert [standing.interval for standing in standings] == ["1–2", "1–2", "3"]
    worst = standings[2]
    assert worst.to_best.mean == pytest.approx(0.2, abs=0.02)  # the figure minus the first's: positive is worse
    assert worst.to_best.low > 0


def test_tables_say_which_way(lower: RunStore) -> None:
    table = ranking_table(read_results(lower.path))
    assert table["model"].tolist() == ["best", "nearly", "worst", "bicubic"]
    assert table["over_baseline"].iloc[0] == pytest.approx(-0.3, abs=0.02)
    made = build(lower.path, write=False)
    page, markdown = made.files["index.html"].decode(), made.files["leaderboard.md"].decode()
    assert "| LPIPS ↓ A |" in markdown
    heading = re.search(r'<button[^>]*data-name="lpips on A"[^>]*>([^<]*)<', page)
    assert heading is not None
    assert heading[1] == "LPIPS ↓"
    assert "data-down" not in heading[0], "pressed first, the column must sort smallest first"
    assert "By mean LPIPS over the data sets" in page
    assert "<b>best</b> has the lowest mean; <b>nearly</b> may be as good or better." in page


def test_up_is_better_in_the_picture_too(lower: RunStore) -> None:
    (board,) = read_results(lower.path).boards
    picture = chart(board, board.groups[0], "A", width=1180, height=460)
    assert picture is not None
    heights = {point.name: point.y for point in picture.points}
    assert heights["best"] < heights["nearly"] < heights["worst"], "pixels count downwards"
    values = [float(tick.text) for tick in sorted(picture.y_ticks, key=lambda tick: tick.at)]
    assert values == sorted(values)
    assert all(value >= 0 for value in values)


def test_a_metric_of_a_plugin_is_ranked_as_its_record_says(
    make_store: Callable[..., RunStore], add_cell: Callable[..., Path]
) -> None:
    ranks = {}
    for kinds in (True, False):
        store = make_store(f"run-{kinds}")
        for model, base in (("a", 3.0), ("bb", 1.0)):
            cell(add_cell, store, model, base, metric="strangers_error", kinds=kinds)
        (board,) = read_results(store.path).boards
        ranks[kinds] = [entry.label for entry in board.groups[0].entries]
    assert ranks == {True: ["bb", "a"], False: ["a", "bb"]}


def test_a_board_of_several_metrics_is_ranked_by_psnr(
    make_store: Callable[..., RunStore], add_cell: Callable[..., Path]
) -> None:
    store = make_store()
    for model, psnr, lpips in (("a", 30.0, 0.1), ("bb", 31.0, 0.2)):
        values = [psnr + value for value in NOISE]
        path = add_cell(store, model, values, metrics={"lpips": lpips, "psnr_y": psnr, "niqe": 4.0}, images=8)
        record = next(one.record for one in store.cells() if one.directory == path)
        shutil.rmtree(path)
        store.write(record, pd.DataFrame({"image": IMAGES, "psnr_y": values, "lpips": lpips, "niqe": 4.0}))
    (board,) = read_results(store.path).boards
    assert board.metrics == ["psnr_y", "lpips", "niqe"]
    assert [entry.label for entry in board.groups[0].entries] == ["bb", "a"]


@given(
    st.lists(st.lists(st.floats(-5, 5, width=16), min_size=8, max_size=8), min_size=1, max_size=4),
)
def test_law_of_the_mirror(rows: list[list[float]]) -> None:
    """Law: negating values and direction changes no rank and no interval of ranks, and negates every difference."""
    scores = {f"m{index}": [np.array(row)] for index, row in enumerate(rows)}
    mirrored = {name: [-part for part in parts] for name, parts in scores.items()}
    one = rank_models(scores).standings
    other = rank_models(mirrored, higher_is_better=False).standings
    assert {name: (s.rank, s.best, s.worst) for name, s in one.items()} == {
        name: (s.rank, s.best, s.worst) for name, s in other.items()
    }
    for name, standing in one.items():
        assert standing.to_best.mean == pytest.approx(-other[name].to_best.mean)
