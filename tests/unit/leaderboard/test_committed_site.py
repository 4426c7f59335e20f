"""The site of all committed boards: equal bytes in every build, and sound in a browser in all its forms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import chromium
import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow

SHOWN = "[...document.querySelectorAll('main *')].filter(e => e.checkVisibility() && !e.closest('.unseen'))"
OUTSIDE = "e => e.getBoundingClientRect().right > innerWidth + 1"
TEXT = ".map(e => e.outerHTML.slice(0, 120))"
# What may be wider than the window scrolls in a frame of its own.
OVERFLOW = f"{SHOWN}.filter(e => !e.closest('.scroll, pre')).filter({OUTSIDE}){TEXT}"
CUT = f"""{SHOWN}.filter(e => ({OUTSIDE})(e) || (e.matches('.scroll, pre') && getComputedStyle(e).overflow !== 'visible'
  && (e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1))){TEXT}"""
SERIOUS = """axe.run(document, {resultTypes: ['violations'], preload: false}).then(r => r.violations
  .filter(v => ['serious', 'critical'].includes(v.impact))
  .map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | ')}`))"""


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two sites of the committed boards, built by the command in processes that hash texts differently."""
    folder, made = tmp_path_factory.mktemp("sites"), []
    for seed in ("1", "2"):
        made.append(folder / seed)
        command = [sys.executable, "-m", "srbench", "leaderboard", "site", str(ROOT / "leaderboards"), "--out"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([*command, str(made[-1])], env=environment, check=True, capture_output=True)
    return made


@pytest.fixture
def pages(sites: list[Path]) -> list[Path]:
    """Return the home page, the board with the longest page, and the model with the longest page."""
    kinds = [
        sorted((sites[0] / kind).glob("*.html"), key=lambda path: path.stat().st_size) for kind in ("boards", "models")
    ]
    return [sites[0] / "index.html", *(paths[-1] for paths in kinds)]


def test_two_builds_are_equal_to_the_last_byte(sites: list[Path]) -> None:
    one, two = map(content, sites)
    assert one == two
    suites = [path.parent.name for path in ROOT.glob("leaderboards/*/results")]
    assert len(suites) >= 7
    for suite in suites:
        assert any(name.startswith(f"boards/{suite}-x") for name in one), f"no board of {suite}"


@pytest.mark.skipif(chromium.BROWSER is None, reason="no Chromium is installed")
class TestInABrowser:
    def test_nothing_overflows_a_phone(self, tab: Any, pages: list[Path]) -> None:
        tab.size(390, 844)
        for path in pages:
            tab.open(path)
            assert tab.run("document.documentElement.scrollWidth") == 390, path.name
            if path.parent.name == "boards":
                tab.run("document.querySelector('.columns summary').click()")
            assert tab.run(OVERFLOW) == [], path.name

    def test_nothing_is_cut_in_print(self, tab: Any, pages: list[Path]) -> None:
        tab.size(1032, 900)  # A4 landscape less its margins
        for path in pages:
            tab.open(path)
            tab.media(printed=True)
            assert tab.run(CUT) == [], path.name
            tab.media()

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_axe_finds_no_serious_violation(self, tab: Any, pages: list[Path], axe: str, dark: bool) -> None:
        tab.media(dark=dark)
        colors = []
        for path in pages:
            tab.open(path)
            if path.parent.name == "boards":
                tab.run("document.querySelector('.more').click()")
                tab.wait("document.querySelector('.details .inner')")
                tab.run("beginScatter()")
                tab.wait("document.querySelector('#scatter svg')")
            colors.append(tab.run("getComputedStyle(document.body).backgroundColor"))
            tab.run(axe + "; 0")
            assert tab.run(SERIOUS) == [], path.name
        assert set(colors) == {"rgb(17, 20, 23)" if dark else "rgb(248, 249, 250)"}
