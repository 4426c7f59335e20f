"""The site in a real browser: its tools work, it is accessible, nothing overflows, and no foreign text acts."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest

from srbench.leaderboard.site import build_site
from srbench.results.store import RunStore

HERE = Path(__file__).resolve().parent


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile_texts = _load(HERE / "test_browser.py").MARKUP
pytestmark = pytest.mark.skipif(chromium.BROWSER is None, reason="no Chromium is installed")

SHOWN = "tr:not([hidden])')].map(r => r.dataset.find.split(' ')[0])"
FORMS = {"light": {}, "dark": {"dark": True}}
BASE = np.array([20.0, 24, 28, 32, 36, 30, 26, 22])  # of the site's first model


def pages(site: Path) -> list[Path]:
    """Return one page of each kind."""
    longest = max(site.glob("models/*.html"), key=lambda path: len(path.name))
    return [site / "index.html", next(site.glob("boards/*.html")), longest, next(site.glob("protocols/*.html"))]


def rows(tab: Any) -> list[str]:
    """Return the models of the rows that are shown, in their order."""
    return list(tab.run("[...document.querySelectorAll('#table tbody.rows " + SHOWN))


def test_table_sorts_filters_and_shows_columns(tab: Any, site: Path) -> None:
    tab.open(pages(site)[1])
    before = rows(tab)
    assert before[:2] == ["net+a", "net+b"]
    press = "document.querySelector('#table thead [data-name=parameters]').click()"
    tab.run(press)
    tab.run(press)
    assert rows(tab)[0].startswith("net+ps"), "most parameters first, within the tier"
    assert tab.run("document.querySelector('#table [aria-sort]').getAttribute('aria-sort')") == "descending"
    assert sorted(rows(tab)) == sorted(before)
    tab.run("filter.value = 'author'; filter.dispatchEvent(new Event('input'))")
    assert rows(tab) == ["other.author"]
    assert tab.run("document.getElementById('count').textContent").startswith("1 of ")
    shown = (
        "[...document.querySelectorAll('#table thead th')].filter(h => getComputedStyle(h).display !== 'none').length"
    )
    count = tab.run(shown)
    tab.run("document.querySelector('[data-column]').click()")
    assert tab.run(shown) == count - 1


def test_details_and_values_of_images_come_when_asked_for(tab: Any, site: Path) -> None:
    tab.open(pages(site)[1])
    assert tab.run("document.querySelectorAll('script[src*=\"data/\"]').length") == 0
    tab.run("document.querySelector('.more').click()")
    tab.wait("document.querySelector('.details .inner')")
    assert tab.run("document.querySelector('.more').getAttribute('aria-expanded')") == "true"
    assert f"{(BASE + 0.01 * np.arange(8)).mean():.6f}" in tab.run("document.querySelector('.details').textContent")
    tab.run("document.getElementById('images').scrollIntoView({behavior: 'instant'})")
    tab.wait("document.querySelector('#scatter svg')")
    assert tab.run("document.querySelectorAll('#scatter circle').length") == 8
    assert "worse on 8 of 8" in tab.run("document.getElementById('verdict').textContent")


def test_pictures_and_table_are_linked(tab: Any, site: Path) -> None:
    tab.open(pages(site)[1])
    point = "document.querySelector('figure:not([hidden]) g.point[data-row]')"
    tab.run(f"{point}.dispatchEvent(new PointerEvent('pointerenter'))")
    assert tab.run(f"document.getElementById({point}.dataset.row).classList.contains('lit')")
    assert "parameters" in tab.run("document.getElementById('tip').textContent")
    assert tab.run("document.querySelectorAll('figure[data-axis]:not([hidden])').length") == 2, "a tier each"
    tab.run("chosenSet.value = 'B'; chosenSet.dispatchEvent(new Event('change'))")
    assert tab.run(
        "[...document.querySelectorAll('figure[data-axis]:not([hidden])')].every(f => f.dataset.set === 'B')"
    )
    tab.run("cut.value = 20; cut.dispatchEvent(new Event('input'))")
    assert tab.run("document.querySelector('.stage').style.getPropertyValue('--cut')") == "20%"


def test_search_finds_models_and_boards(tab: Any, site: Path) -> None:
    tab.open(site / "index.html")
    tab.run(
        "(field => { field.value = 'OTHER'; field.dispatchEvent(new Event('input')); })"
        "(document.getElementById('search'))"
    )
    left = tab.run("[...document.querySelectorAll('[data-searched] tbody " + SHOWN)
    assert left == ["other.author"]
    assert "1 model, 1 board" in tab.run("document.getElementById('found').textContent"), "the board names it as first"


def test_theme_can_be_chosen(tab: Any, site: Path) -> None:
    tab.open(site / "index.html")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = tab.run(colour)
    tab.run("theme.click(); theme.click()")
    assert tab.run("document.documentElement.dataset.theme") == "dark"
    assert tab.run(colour) != light
    tab.run("theme.click()")


@pytest.mark.parametrize("scripts", [True, False])
def test_nothing_overflows_a_phone(tab: Any, site: Path, scripts: bool) -> None:
    tab.size(390, 844)
    for path in pages(site):
        tab.scripts(on=scripts)
        tab.open(path) if scripts else tab.call("Page.navigate", url=path.as_uri())
        tab.scripts(on=True)
        tab.wait("document.readyState === 'complete'")
        assert tab.run("document.documentElement.scrollWidth") == 390, path.name


def test_nothing_is_cut_in_print(tab: Any, site: Path) -> None:
    tab.size(1032, 900)  # A4 landscape less its margins
    for path in pages(site):
        tab.open(path)
        tab.media(printed=True)
        right = "Math.max(...[...document.querySelectorAll('main *')].map(e => e.getBoundingClientRect().right))"
        assert tab.run(right) <= 1033, path.name
        cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollHeight > e.clientHeight + 1).length"
        assert tab.run(cut) == 0, path.name
        tab.media()


def test_no_text_of_a_record_runs_or_becomes_markup(
    make_store: Callable[..., RunStore], add_cell: Callable[..., Path], tab: Any, tmp_path: Path
) -> None:
    every = "".join(hostile_texts)
    store = make_store(title=every, description=every, explanations={every: every}, budget=every,
                       definition={"models": [{"model": every}], "datasets": [every]})  # fmt: skip
    crops = {f"im000.{kind}.png": np.zeros((8, 8, 3), np.uint8) for kind in ("sr", "hr")}
    for number, text in enumerate(hostile_texts):
        changes: dict[str, Any] = {
            "protocol": text, "protocol_digest": text, "licence": text, "plugins": {text: text},
            "versions": {text: text},
            "checks": {text: f"failed: {text}"}, "tag": text, "args": {text: text}, "names": ["im000", text],
            "crops": crops, "redistributable": True, "seed": number,
        }  # fmt: skip
        for name in ("A", text):
            add_cell(store, text, [30.0, 31.0], dataset=name, **changes)
            add_cell(store, f"second{text}", [29.0, 31.0], dataset=name, **changes)
        add_cell(store, f"failed{text}", None, error=f"ValueError: {text}", dataset=text)
    shutil.copytree(store.path, tmp_path / "suites" / "one" / "results")
    build_site(tmp_path / "suites", tmp_path / "site")
    bare = tmp_path / "bare"
    # Without the policy that forbids foreign scripts the escaping alone must do.
    shutil.copytree(tmp_path / "site", bare)
    for path in bare.rglob("*.html"):
        path.write_text(re.sub(r"<meta http-equiv=[^>]*>", "", path.read_text()))
    for folder in (tmp_path / "site", bare):
        chosen = [
            folder / "index.html",
            *sorted(folder.glob("boards/*.html")),
            *sorted(folder.glob("protocols/*.html")),
        ]
        for path in [*chosen, *sorted(folder.glob("models/*.html"))[:4]]:
            tab.open(path)
            if path.parent.name == "boards":
                tab.run("document.querySelector('.more').click()")
                tab.wait("document.querySelector('.details .inner')")
                tab.run("beginScatter()")
                tab.wait("document.querySelector('#scatter svg, #verdict:not(:empty)')")
                tab.run("document.querySelector('g.point[data-row]')?.dispatchEvent(new PointerEvent('pointerenter'))")
            assert tab.run("document.body.dataset.ran") is None, path.name
            assert (
                tab.run("document.querySelectorAll('iframe, [onerror], [onload], [onfocus], style, img[src=x]').length")
                == 0
            )


@pytest.mark.parametrize("form", FORMS)
def test_axe_finds_no_serious_violation(form: str, tab: Any, site: Path, axe: str) -> None:
    """Whatever axe-core calls serious or critical, contrast included, on a page of each kind."""
    for path in pages(site):
        tab.media(**FORMS[form])
        tab.open(path)
        if path.parent.name == "boards":
            tab.run("document.querySelector('.more').click()")
            tab.wait("document.querySelector('.details .inner')")
            tab.run("document.querySelector('.columns summary').click()")
            tab.run("beginScatter()")
            tab.wait("document.querySelector('#scatter svg')")
        tab.run(axe + "; 0")
        found = tab.run(
            "axe.run(document, {resultTypes: ['violations'], preload: false}).then(r => r.violations"
            ".filter(v => ['serious', 'critical'].includes(v.impact))"
            ".map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | ')}`))"
        )
        assert found == [], f"{path.name}: {found}"
