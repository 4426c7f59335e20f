"""Several trainings of one model on a leaderboard: averaged, and their noise in every interval."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from srbench.leaderboard.boards import Entry, Results, read_results
from srbench.leaderboard.replicas import noise_by_model, seed_note
from srbench.leaderboard.statistics import (
    Interval,
    SeedNoise,
    difference_noise,
    mean_intervals,
    paired_intervals,
    pooled_noise,
)
from srbench.leaderboard.tables import figures, markdown_text
from srbench.results.records import Training
from srbench.results.store import RunStore

AddCell = Callable[..., Path]
IMAGES = np.array([20.0, 24, 28, 32, 36, 30, 26, 22])


def trained(seed: int, **changes: Any) -> dict[str, Any]:
    fields = {"recipe": {"seed": seed, "lr": 1e-3}, "iterations": 10, "seeds": [seed], "data": "T"}
    return {"seed": seed, "training": Training(**(fields | {"data_hash": "t" * 64, "seconds": 1.0} | changes))}


def add(store: RunStore, add_cell: AddCell, model: str, offsets: list[float], **changes: Any) -> None:
    for seed, offset in enumerate(offsets):
        values = list(IMAGES + offset + 0.01 * np.sin(np.arange(8) + len(model)))
        add_cell(store, model, values, key=f"{model}{seed}".encode().hex().ljust(64, "0"), **trained(seed), **changes)


def entry_of(results: Results, model: str) -> Entry:
    (entry,) = [entry for board in results.boards for entry in board.entries if entry.record.model == model]
    return entry


def test_cells_of_several_seeds_are_one_entry(make_store: Callable[..., RunStore], add_cell: AddCell) -> None:
    store = make_store()
    add(store, add_cell, "net+a", [1.0, 1.5])
    add(store, add_cell, "net+b", [0.0, 0.1])
    assert len(store.cells()) == 4
    results = read_results(store.path)
    entry = entry_of(results, "net+a")
    assert entry.seeds == [0, 1]
    value = entry.values["A", "psnr_y"]
    assert value.interval.mean == pytest.approx(entry.images["A"]["psnr_y"].mean())
    assert value.spread == pytest.approx(0.5 / np.sqrt(2))
    row = figures(results).set_index("model").loc["net+a"]
    assert (row["seeds"], len(row["key"].split())) == ("0 1", 2)
    assert row["psnr_y"] == pytest.approx(value.interval.mean)
    note = results.boards[0].groups[0].seed_note
    # Deviations 0.25 and 0.05 from each mean: a pooled variance of (2 * 0.25**2 + 2 * 0.05**2) / 2.
    assert f"{np.sqrt(0.065):.3g} dB" in note
    assert note in markdown_text(results)


def test_noise_of_training_makes_ties_of_what_images_alone_would_part(
    make_store: Callable[..., RunStore], add_cell: AddCell
) -> None:
    ranks: dict[str, list[str]] = {}
    for name, spread in (("steady", 0.001), ("noisy", 0.5)):
        store = make_store(name)
        add(store, add_cell, "net+a", [1.0 - spread, 1.0 + spread])
        add(store, add_cell, "net+b", [0.8 - spread, 0.8 + spread])
        results = read_results(store.path)
        ranks[name] = [entry_of(results, model).standing.interval for model in ("net+a", "net+b")]
    assert ranks == {"steady": ["1", "2"], "noisy": ["1–2", "1–2"]}


def test_an_interval_of_a_difference_is_that_of_images_and_seeds_in_quadrature(
    make_store: Callable[..., RunStore], add_cell: AddCell
) -> None:
    store = make_store()
    add(store, add_cell, "net+a", [1.0, 1.2, 1.4])
    add(store, add_cell, "net+b", [0.0, 0.1])
    results = read_results(store.path)
    a, b = (entry_of(results, model).images["A"]["psnr_y"] for model in ("net+a", "net+b"))
    images = mean_intervals([(b - a)[None]])[0]
    deviation = np.sqrt((2 * 0.2**2 + 2 * 0.05**2) / 3)
    half = stats.t.ppf(0.975, 3) * deviation * np.sqrt(1 / 3 + 1 / 2)
    to_best = entry_of(results, "net+b").standing.to_best
    assert to_best.high - to_best.mean == pytest.approx(np.hypot(images.high - images.mean, half))
    assert to_best.mean - to_best.low == pytest.approx(np.hypot(images.mean - images.low, half))
    assert entry_of(results, "net+b").values["A", "psnr_y"].to_best == to_best


def test_trainings_by_another_recipe_are_left_out_and_named(
    make_store: Callable[..., RunStore], add_cell: AddCell
) -> None:
    store = make_store()
    add_cell(store, "net", list(IMAGES), key="a" * 64, created="2024-01-01T00:00:00+00:00", **trained(0, iterations=5))
    add_cell(store, "net", list(IMAGES + 2), key="b" * 64, **trained(1))
    results = read_results(store.path)
    assert entry_of(results, "net").seeds == [1]
    (failure,) = results.failures
    assert "seed 0 was trained otherwise" in failure.reason


def test_only_seeds_that_every_data_set_has_are_averaged(
    make_store: Callable[..., RunStore], add_cell: AddCell
) -> None:
    store = make_store()
    add(store, add_cell, "net", [0.0, 1.0])
    add_cell(store, "net", list(IMAGES), key="c" * 64, dataset="B", dataset_hash="b" * 64, **trained(1))
    entry = entry_of(read_results(store.path), "net")
    assert entry.seeds == [1]
    assert len(entry.images["A"]) == 8
    assert entry.values["A", "psnr_y"].interval.mean == pytest.approx(IMAGES.mean() + 1, abs=0.02)


def test_a_new_result_takes_the_place_of_that_of_its_own_seed_only(
    make_store: Callable[..., RunStore], add_cell: AddCell
) -> None:
    store = make_store()
    add(store, add_cell, "net", [0.0, 1.0])
    add_cell(store, "net", list(IMAGES + 5), key="d" * 64, **trained(1))
    seeds = sorted((cell.record.seed, round(cell.per_image["psnr_y"].mean() - IMAGES.mean())) for cell in store.cells())
    assert seeds == [(0, 0), (1, 5)]


def test_one_seed_says_nothing_of_noise(make_store: Callable[..., RunStore], add_cell: AddCell) -> None:
    store = make_store()
    add(store, add_cell, "net+a", [1.0])
    add(store, add_cell, "net+b", [0.0])
    (group,) = read_results(store.path).boards[0].groups
    assert group.seed_note == ""


figures_of_models = st.lists(st.lists(st.floats(20, 40), min_size=1, max_size=4), max_size=5)


@given(figures_of_models)
def test_pooled_noise_is_the_mean_of_variances_by_degrees_of_freedom(models: list[list[float]]) -> None:
    """Law: s^2 = sum((n-1) * var) / sum(n-1) over the models with several trainings; none gives no noise."""
    noise = pooled_noise(models)
    several = [np.array(model) for model in models if len(model) > 1]
    assert noise.freedom == sum(len(model) - 1 for model in several)
    if several:
        expected = sum((len(model) - 1) * model.var(ddof=1) for model in several) / noise.freedom
        assert noise.deviation**2 == pytest.approx(expected, abs=1e-12)
    else:
        assert noise.half_width(1, 1) == 0


@given(st.floats(0.001, 1), st.integers(1, 20), st.integers(1, 5), st.integers(1, 5))
def test_noise_widens_and_never_moves(deviation: float, freedom: int, m: int, n: int) -> None:
    """Law: an interval with noise contains the one without, about the same mean; more trainings widen it less."""
    noise = SeedNoise(deviation, freedom)
    interval = Interval(1.0, 0.7, 1.4)
    wide = interval.widened(noise.half_width(m, n))
    assert wide.mean == 1.0
    assert wide.low < interval.low < interval.high < wide.high
    assert noise.half_width(m + 1, n) < noise.half_width(m, n)


def test_the_intervals_with_noise_cover_the_truth() -> None:
    # 95% intervals of a difference of two methods, 2 seeds each among 5 models, 10 images: at least 93% must cover it.
    rng = np.random.default_rng(20)
    covered = without = 0
    rounds = 400
    for _ in range(rounds):
        seed_effects = rng.normal(0, 0.3, (5, 2))
        per_image = rng.normal(0, 0.2, (5, 2, 10))
        values = seed_effects[:, :, None] + per_image
        noise = pooled_noise(values.mean(-1).tolist())
        scores = {name: [values[model].mean(0)] for model, name in enumerate("ab")}
        [aware] = paired_intervals(scores, [("a", "b")], dict.fromkeys("ab", noise), dict.fromkeys("ab", 2))
        [plain] = paired_intervals(scores, [("a", "b")])
        covered += aware.low < 0 < aware.high
        without += plain.low < 0 < plain.high
    assert covered / rounds >= 0.93
    assert without / rounds < 0.8


def test_families_with_enough_trainings_have_an_estimate_of_their_own() -> None:
    few = {f"few{index}": [1.0, 1.0 + 0.1 * index] for index in range(3)}  # 3 degrees of freedom
    many = {f"many{index}": [1.0, 1.01] for index in range(4)}  # 4
    families = {name: name[:-1] for name in few | many}
    noise = noise_by_model(few | many, families)
    assert {noise[name] for name in many} == {pooled_noise(list(many.values()))}
    assert {noise[name] for name in few} == {pooled_noise([*few.values(), *many.values()])}
    note = seed_note(noise, families, [2], "dB")
    assert "0.00707 dB for many (4 degrees of freedom)" in note
    assert "dB for few (7 degrees of freedom)" in note


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(1, 20), st.integers(1, 20), st.integers(1, 5))
def test_noise_of_a_difference_combines_two_families(a: float, b: float, m: int, n: int, count: int) -> None:
    """Law: symmetric; of one family as ever; of two at least as wide as either alone with all degrees of freedom."""
    one, other = SeedNoise(a, m), SeedNoise(b, n)
    half_width = difference_noise(one, count, other, 2)
    assert half_width == pytest.approx(difference_noise(other, 2, one, count))
    assert difference_noise(one, count, one, 2) == one.half_width(count, 2)
    least = stats.t.ppf(0.975, m + n) * max(a / np.sqrt(count), b / np.sqrt(2))
    if a != b or m != n:
        assert half_width >= least * (1 - 1e-9)


def test_two_backbones_trained_on_one_board_do_not_share_a_resolution(
    make_store: Callable[..., RunStore], add_cell: AddCell
) -> None:
    store = make_store()
    for family, scatter in (("steady", 0.01), ("wild", 0.5)):
        for index in range(4):
            values = IMAGES + index + scatter * np.sin(np.arange(8) * (index + 2.0))
            add_cell(store, f"{family}+m{index}", list(values), **trained(0))
    (group,) = read_results(store.path).boards[0].groups
    steady, wild = group.resolutions
    assert (steady.family, wild.family) == ("steady", "wild")
    assert steady.largest < wild.least
    text = markdown_text(read_results(store.path))
    assert "Two models of steady can be distinguished on these images if" in text
    assert "Two models of wild can be distinguished on these images if" in text
