"""The site by keyboard alone: every action begins with key events that the browser receives, none with a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chromium
import pytest

pytestmark = pytest.mark.skipif(chromium.BROWSER is None, reason="no Chromium is installed")

ROWS = "[...document.querySelectorAll('#table tbody.rows tr:not([hidden]):not(.details)')]"
MODELS = f"{ROWS}.map(r => r.dataset.find.split(' ')[0])"
FOCUSED = "document.activeElement"


@pytest.fixture
def board(tab: Any, site: Path) -> Any:
    """Return the browser with a board open."""
    tab.open(next(site.glob("boards/*.html")))
    return tab


def test_a_column_is_sorted(board: Any) -> None:
    before = board.run(MODELS)
    board.tab_to("#table thead [data-name=parameters]")
    board.press("Enter")
    board.press(" ")
    assert board.run(f"{FOCUSED}.closest('th').getAttribute('aria-sort')") == "descending"
    after = board.run(MODELS)
    assert after[0].startswith("net+ps"), "most parameters first, within the tier"
    assert sorted(after) == sorted(before)
    assert "parameters" in board.run("document.getElementById('said').textContent"), "a screen reader is told"


def test_details_of_a_row_are_opened_and_closed(board: Any) -> None:
    board.tab_to("#table .more")
    assert board.run(f"{FOCUSED}.closest('tr').classList.contains('lit')"), "its points are highlighted"
    board.press("Enter")
    board.wait("document.querySelector('.details .inner')")
    assert board.run(f"{FOCUSED}.getAttribute('aria-expanded')") == "true"
    board.press(" ")
    assert board.run("document.querySelector('.details')") is None
    assert board.run(f"{FOCUSED}.className") == "more", "the focus stays where it was"


def test_columns_are_chosen(board: Any) -> None:
    shown = (
        "[...document.querySelectorAll('#table thead th')].filter(h => getComputedStyle(h).display !== 'none').length"
    )
    count = board.run(shown)
    board.tab_to(".columns summary")
    board.press("Enter")
    board.press("Tab")
    assert board.run(f"{FOCUSED}.matches('[data-column]:checked')")
    board.press(" ")
    assert board.run(shown) == count - 1
    board.press(" ")
    assert board.run(shown) == count


def test_the_divider_of_crops_is_moved(board: Any) -> None:
    board.tab_to("#cut")
    board.press("ArrowLeft", 3)
    assert board.run("document.querySelector('.stage').style.getPropertyValue('--cut')") == "47%"
    board.press("End")
    assert board.run("document.querySelector('.stage').style.getPropertyValue('--cut')") == "100%"


def test_points_of_a_chart_are_visited(board: Any) -> None:
    chart = "figure:not([hidden]) svg.plot.wide"
    board.tab_to(chart)
    place = f"{FOCUSED}.querySelector('g.point.lit use')?.getAttribute('x')"
    seen = []
    for _ in range(3):
        board.press("ArrowRight")
        assert board.run("document.getElementById('tip').hidden") is False
        tip = board.run("document.getElementById('tip').textContent")
        assert tip == board.run("document.getElementById('said').textContent"), "a screen reader is told the same"
        assert tip == board.run(f"{FOCUSED}.querySelector('g.point.lit').dataset.tip")
        assert board.run("document.querySelectorAll('#table tr.lit').length") == 1, "its row is highlighted"
        seen.append(float(board.run(place)))
    assert seen == sorted(seen), "from left to right"
    assert len(set(seen)) == 3
    board.press("ArrowLeft")
    assert float(board.run(place)) == seen[1]
    row = board.run(f"{FOCUSED}.querySelector('g.point.lit').dataset.row")
    board.press("Enter")
    assert board.run(f"{FOCUSED}.closest('tr').id") == row, "Enter goes to the row"
    assert board.run("document.getElementById('tip').hidden"), "the chart has lost the focus"


def test_images_of_two_models_are_visited_and_listed(board: Any) -> None:
    board.tab_to("#scattered")  # it comes into view, and its values are loaded
    board.wait("document.querySelector('#scatter svg')")
    board.tab_to("#scatter svg")
    board.press("ArrowRight")
    first = board.run("document.getElementById('tip').textContent")
    assert first.startswith("im000: "), "the image with the lowest value"
    assert board.run("document.querySelectorAll('#scatter circle.lit').length") == 1
    board.press("Escape")
    assert board.run("document.getElementById('tip').hidden")
    board.press("Tab")
    board.press("Enter")
    assert board.run(f"{FOCUSED}.parentElement.matches('details[open]')")
    listed = board.run("[...document.querySelectorAll('#values tbody tr')].map(r => r.textContent)")
    assert len(listed) == 8
    lower, upper = first.removeprefix("im000: ").removesuffix(" dB").split(" against ")
    assert listed[0].startswith(f"im000{lower}"), "the same values as the point's"
    assert upper in listed[0]


def test_the_index_is_searched_and_sorted(tab: Any, site: Path) -> None:
    tab.open(site / "index.html")
    rows = "[...document.querySelectorAll('[data-searched] tbody tr:not([hidden])')]"
    tab.press("Tab")
    assert tab.run(f"{FOCUSED}.className") == "skip", "the first stop leads past the header"
    tab.tab_to("#search")
    tab.call("Input.insertText", text="other")
    assert tab.run(f"{rows}.map(r => r.dataset.find.split(' ')[0])") == ["other.author"]
    tab.tab_to("[data-searched] thead [data-name=model]")
    tab.press("Enter")
    assert tab.run(f"{FOCUSED}.closest('th').getAttribute('aria-sort')") == "descending"
