"""Learning curves on pages: what is drawn, what the table says, and what anything in a record may do to them."""

from __future__ import annotations

import hashlib
import html
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from srbench.leaderboard.boards import read_results
from srbench.leaderboard.curves import board_curves
from srbench.leaderboard.page import html_text
from srbench.leaderboard.site import build_site
from srbench.results.records import Training, Validation
from srbench.results.store import RunStore

AddCell = Callable[..., Path]


def trained(seed: int, values: dict[int, float], **about: Any) -> dict[str, Any]:
    """Return the fields of a cell whose training with this seed was validated."""
    fields = {"data": "V", "data_hash": "v", "images": 5, "protocol": "matlab-y"} | about
    validation = Validation(**fields, iterations=list(values), metrics={"psnr_y x2": list(values.values())})
    recipe = {"iterations": max(values), "seed": seed, "validate_every": 7 + seed}
    training = Training(
        recipe=recipe, iterations=100, seeds=[seed], data="T", data_hash="t", seconds=1.0, validation=validation
    )
    return {"training": training, "seed": seed, "key": hashlib.sha256(repr((seed, values, about)).encode()).hexdigest()}


@pytest.fixture
def board(make_store: Callable[..., RunStore], add_cell: AddCell) -> Path:
    store = make_store("boards/demo/results")
    psnr = list(np.linspace(28, 32, 8))
    for seed, shift in ((0, 0.0), (1, 0.5)):
        add_cell(store, "net+a", psnr, **trained(seed, {10: 20.0 + shift, 50: 30.0 + shift, 100: 31.0 + shift}))
    add_cell(store, "net+b", psnr, **trained(0, {50: 33.0, 100: 33.5}))
    add_cell(store, "net+c", psnr)
    add_cell(store, "bicubic", psnr, params_unique=0, tier="reproduced", checks={})
    return store.path


def test_the_curve_of_a_model_is_over_its_seeds_and_the_best_is_first(board: Path) -> None:
    [result] = read_results(board).boards
    [picture] = board_curves(result, {"a": 0, "b": 1, "c": 2})
    assert [(curve.model, curve.trainings, curve.last) for curve in picture.curves] == [
        ("net+b", 1, 33.5),
        ("net+a", 2, 31.25),
    ]
    assert dict(picture.curves[1].points) == {10: [20.0, 20.5], 50: [30.0, 30.5], 100: [31.0, 31.5]}
    assert picture.columns == [10, 50, 100]
    assert picture.source == "V, 5 images, protocol matlab-y"
    assert picture.trainings == "Mean of 1 or 2 trainings of each model; the band is their range."
    wide = picture.wide
    drawn = {one.curve.model: one for one in wide.lines}
    assert not drawn["net+b"].band
    assert drawn["net+a"].band.endswith("Z")
    points = [tuple(map(float, point.split())) for point in drawn["net+b"].line[1:].split("L")]
    assert points[-1][0] == pytest.approx(wide.right)
    assert points[0][0] == pytest.approx((wide.left + wide.right) / 2)
    assert all(wide.top <= y <= wide.bottom for _, y in points)
    assert not wide.clipped


def test_every_page_has_chart_legend_and_table(board: Path, demo: RunStore, tmp_path: Path) -> None:
    build_site(tmp_path / "boards", tmp_path / "site")
    texts = {
        "page": html_text(read_results(board)),
        "board": next((tmp_path / "site" / "boards").glob("*.html")).read_text(),
        "model": next(path for path in (tmp_path / "site" / "models").glob("net-a*.html")).read_text(),
    }
    for name, text in texts.items():
        assert text.count('class="run b') >= 2, name
        assert '31.250<span class="sub">31.000 to 31.500</span>' in text, name
        assert re.search(r'<svg class="plot wide"[^>]*role="img" aria-labelledby="([^"]+)">\n<title id="\1">', text), (
            name
        )
    assert "Values of these curves" in texts["page"]
    assert "Learning curves" not in html_text(read_results(demo.path))


def test_sets_of_images_are_apart_and_extreme_values_draw(
    make_store: Callable[..., RunStore], add_cell: AddCell
) -> None:
    store = make_store()
    psnr = [30.0, 31.0]
    evil = "<script>1</script>"
    add_cell(store, "net+a", psnr, **trained(0, {10: math.inf, 20: 30.0, 30: 1e300}, data=evil))
    add_cell(store, "net+b", psnr, **trained(0, {1: 30.0}))
    add_cell(store, "net+c", psnr, **trained(0, {10: math.nan}, data="W"))
    results = read_results(store.path)
    pictures = board_curves(results.boards[0], {})
    assert [[curve.model for curve in picture.curves] for picture in pictures] == [["net+a"], ["net+b"]]
    assert list(pictures[0].curves[0].points) == [20]
    text = html_text(results)
    assert evil not in text
    assert html.escape(evil) in text


def test_validations_must_increase_and_be_complete() -> None:
    about = {"data": "V", "data_hash": "v", "images": 5, "protocol": "matlab-y"}
    for iterations, means in (([2, 1], [3.0, 4.0]), ([1, 2], [3.0]), ([0], [3.0])):
        with pytest.raises(ValidationError):
            Validation(**about, iterations=iterations, metrics={"psnr_y x2": means})


def test_values_of_the_first_tenth_do_not_extend_the_axis(
    make_store: Callable[..., RunStore], add_cell: AddCell
) -> None:
    store = make_store()
    add_cell(store, "net+a", [30.0, 31.0], **trained(0, {5: 10.0, 50: 30.0, 100: 31.0}))
    results = read_results(store.path)
    [picture] = board_curves(results.boards[0], {})
    assert picture.wide.clipped
    assert min(float(tick.text) for tick in picture.wide.y_ticks) > 29
    first = picture.wide.lines[0].line[1:].split("L")[0].split()
    assert float(first[1]) == picture.wide.bottom
    assert "drawn at its edge" in html_text(results)
