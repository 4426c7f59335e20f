from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbench.leaderboard.boards import read_results
from srbench.leaderboard.chart import WORK, Chart, _log_ticks, chart, ticks, worth_drawing
from srbench.results.cost_figures import CostFigures
from srbench.results.store import RunStore

IMAGES = [20.0, 24, 28, 32, 36, 30, 26, 22]


def demo_chart(store: RunStore, width: int = 800, height: int = 400) -> Chart | None:
    board = read_results(store.path).boards[0]
    return chart(board, board.groups[0], "A", width=width, height=height)


@pytest.mark.parametrize("width", [344, 580, 1180])
def test_points_lie_in_the_frame_in_the_order_of_their_figures(demo: RunStore, width: int) -> None:
    picture = demo_chart(demo, width)
    points = {point.name: point for point in picture.points}
    assert all(picture.left < point.x < picture.right for point in picture.points)
    assert all(picture.top < point.y < picture.bottom for point in picture.points)
    assert points["c"].x < points["b"].x < points["a"].x
    # SVG's y axis points down.
    assert points["a"].y < points["b"].y < points["c"].y


def test_equal_factors_of_parameters_are_equal_distances(demo: RunStore) -> None:
    c, b, a = sorted(point.x for point in demo_chart(demo).points)
    assert b - c == pytest.approx(a - b, abs=0.02)


def test_labels_do_not_cover_each_other(demo: RunStore, add_cell: Callable[..., Path]) -> None:
    for index in range(5):
        add_cell(demo, f"net+crowd{index}", [27.0 + 0.01 * index] * 8, params_unique=2000 + index)
    picture = demo_chart(demo, 1180, 460)
    boxes = []
    for point in picture.points:
        width = 6 * len(point.name)
        start = point.label.x - {"start": 0, "middle": width / 2, "end": width}[point.label.anchor]
        boxes.append((start, point.label.y - 9, start + width, point.label.y + 2))
    for index, a in enumerate(boxes):
        for b in boxes[index + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_baseline_is_a_line_and_far_below_only_a_note(demo: RunStore, add_cell: Callable[..., Path]) -> None:
    [line] = demo_chart(demo).lines
    assert line.outside
    assert line.name == "bicubic 25.25 dB ↓ below this axis"
    assert line.y > demo_chart(demo).bottom - 20
    near = [19.5, 23.5, 27.5, 31.5, 35.5, 29.5, 25.5, 21.5]
    add_cell(demo, "bicubic", near, params_unique=0, tier="reproduced", key="z" * 64)
    [line] = demo_chart(demo).lines
    assert not line.outside
    assert line.name == "bicubic 26.75 dB"


def test_baseline_far_above_is_a_note_at_the_top(demo: RunStore, add_cell: Callable[..., Path]) -> None:
    above = [value + 9 for value in IMAGES]
    add_cell(demo, "bicubic", above, params_unique=0, tier="reproduced", key="z" * 64)
    picture = demo_chart(demo)
    [line] = picture.lines
    assert line.outside
    assert line.name == "bicubic 36.25 dB ↑ above this axis"
    assert line.y < picture.top + 20


def test_first_model_has_no_bar(demo: RunStore) -> None:
    points = {point.name: point for point in demo_chart(demo).points}
    assert points["a"].low is None
    assert points["b"].low is not None


def test_one_model_alone_is_drawn(make_store: Callable[..., RunStore], add_cell: Callable[..., Path]) -> None:
    store = make_store()
    add_cell(store, "net", [30.0, 30.0])
    [point] = demo_chart(store).points
    assert math.isfinite(point.x)
    assert math.isfinite(point.y)


def test_work_is_what_masks_leave_and_drawn_only_where_it_differs(
    demo: RunStore, add_cell: Callable[..., Path]
) -> None:
    assert not worth_drawing(read_results(demo.path).boards[0], WORK)  # no record says what its model costs
    add_cell(demo, "net+d", IMAGES, cost=CostFigures(macs=100_000_000))
    add_cell(demo, "net+e", IMAGES, cost=CostFigures(macs=104_000_000))
    assert not worth_drawing(read_results(demo.path).boards[0], WORK)
    add_cell(demo, "net+f", IMAGES, cost=CostFigures(macs=200_000_000, macs_executed=50_000_000))
    board = read_results(demo.path).boards[0]
    assert worth_drawing(board, WORK)
    picture = chart(board, board.groups[0], "A", width=800, height=400, axis=WORK)
    points = {point.name: point for point in picture.points}
    assert points["f"].x < points["d"].x < points["e"].x
    assert "50.0 M MACs" in points["f"].tooltip
    assert set(points) == {"d", "e", "f"}


def test_labels_leave_out_a_tag_that_tells_nothing_apart(
    make_store: Callable[..., RunStore], add_cell: Callable[..., Path]
) -> None:
    store = make_store()
    for name in ("one", "two"):
        add_cell(store, f"{name}.author", IMAGES, backbone=name, tag="author", tier="reproduced")
    assert {point.name for point in demo_chart(store).points} == {"one", "two"}
    add_cell(store, "two", IMAGES, backbone="two", tier="reproduced")
    assert {point.name for point in demo_chart(store).points} == {"one", "two.author", "two"}


def test_no_parameters_means_no_picture(make_store: Callable[..., RunStore], add_cell: Callable[..., Path]) -> None:
    store = make_store()
    add_cell(store, "net", [30.0, 30.0], params_unique=None)
    assert demo_chart(store) is None


@given(low=st.floats(-60, 60), span=st.floats(0.001, 100))
def test_ticks_are_inside_distinct_and_a_readable_number(low: float, span: float) -> None:
    """Law: 2 to 12 ticks, all within the axis, no two with the same text."""
    found = ticks(low, low + span, 5)
    assert 2 <= len(found) <= 12
    assert all(low - 1e-9 <= value <= low + span + 1e-9 for value, _ in found)
    assert len({text for _, text in found}) == len(found)


@given(low=st.floats(2, 7), span=st.floats(0.24, 5), width=st.sampled_from([344, 580, 1180]))
def test_logarithmic_ticks_are_inside_and_some(low: float, span: float, width: int) -> None:
    """Law: at least one tick, all within the axis, no more than there is room for."""
    ticks = _log_ticks(low, low + span, width)
    assert 1 <= len(ticks) <= max(3, width // 95)
    assert all(low <= math.log10(tick) <= low + span for tick in ticks)
