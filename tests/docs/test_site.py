"""The documentation as a site: complete, no broken link, nothing from a network, and right in a real browser.

`tox run -e docs` builds it and names its folder in SRBENCH_DOCS_SITE. Without that it is built here where mkdocs is
installed.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import chromium
import pytest
import typer

from srbench.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("index.html", "tutorials/method.html", "explanation.html", "ps.html", "leaderboards.html", "json.html",
         "reference/plugin/sharing-methods.html", "reference/commands/run.html", "reference/schema.html",
         "reference/protocols.html", "adr/index.html", "leaderboards/efficient-x2/leaderboard.html")  # fmt: skip


needs_browser = pytest.mark.skipif(chromium.BROWSER is None, reason="no Chromium is installed")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("SRBENCH_DOCS_SITE"):
        assert (Path(given) / "index.html").is_file(), f"SRBENCH_DOCS_SITE names {given}, which holds no site"
        return Path(given)
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed here; `tox run -e docs` builds the site and runs these tests")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


class _Page(HTMLParser):
    """The anchors of a page, what it links to and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(given.get("href", ""))
        elif tag in ("script", "img", "iframe", "source", "video", "audio", "embed") and "src" in given:
            self.loads.append(given["src"])


@cache
def page_at(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def documentation_pages(site: Path) -> list[Path]:
    """Return all pages but the boards', which have tests of their own."""
    boards = {site / "leaderboards" / "index.html", *site.glob("leaderboards/*/index.html")}
    boards |= set(site.glob("boards/**/*.html"))
    return sorted(set(site.rglob("*.html")) - boards - {site / "404.html"})


def test_no_internal_link_is_broken(site: Path) -> None:
    broken = []
    pages = set(documentation_pages(site))
    assert len(pages) > 80
    for path in sorted(pages):
        for link in page_at(path).links + page_at(path).loads:
            if re.match(r"(?:[a-z]+:)|//", link):
                continue
            address, _, anchor = link.partition("#")
            target = (path.parent / unquote(address.partition("?")[0])).resolve() if address else path
            if not target.is_file():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif target in pages and unquote(anchor) not in page_at(target).anchors:
                broken.append(f"{path.relative_to(site)}: {link} (no such anchor)")
    assert broken == []


def test_no_page_loads_anything_from_a_network(site: Path) -> None:
    elsewhere = re.compile(r"(?:https?:)?//")
    loads = [(path, load) for path in site.rglob("*.html") for load in page_at(path).loads if elsewhere.match(load)]
    assert loads == []
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_every_command_has_a_page(site: Path) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert commands
    for name, command in commands.items():
        text = (site / "reference" / "commands" / f"{name}.html").read_text(encoding="utf-8")
        for child in getattr(command, "commands", {}):
            assert f"srbench {name} {child}" in text
        for parameter in command.params:
            if not hasattr(command, "items") and parameter.name != "help":
                assert parameter.opts[0] in text or parameter.name.upper() in text or str(parameter.metavar) in text


def _listed(file: str, table: str) -> list[str]:
    tree = ast.parse((ROOT / "core" / "srbench" / file).read_text(encoding="utf-8"))
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    (value,) = (node.value for node in assigned if ast.unparse(node.targets[0]) == table)
    return list(ast.literal_eval(value))


def test_every_name_of_the_interface_is_described(site: Path) -> None:
    anchors = {anchor for path in site.glob("reference/plugin/*.html") for anchor in page_at(path).anchors}
    names = _listed("plugin.py", "_MODULES")
    assert len(names) > 80
    assert [n for n in names if f"srbench.plugin.{n}" not in anchors and n != "basicsr_archs"] == []
    anchors = page_at(site / "reference" / "api" / "srbench.html").anchors
    assert [name for name in _listed("__init__.py", "_PUBLIC") if f"srbench.{name}" not in anchors] == []


def test_boards_are_part_of_the_site(site: Path) -> None:
    for board in ROOT.glob("leaderboards/*/index.html"):
        assert (site / board.relative_to(ROOT)).read_bytes() == board.read_bytes()


def loaded_from_elsewhere(tab: Any) -> list[str]:
    names = tab.run("performance.getEntriesByType('resource').map(entry => entry.name)")
    return [name for name in names if not name.startswith("file:")]


@needs_browser
def test_nothing_overflows_a_phone(site: Path, tab: Any) -> None:
    tab.size(390, 844)
    wide = []
    for path in documentation_pages(site):
        tab.open(path)
        if tab.run("document.documentElement.scrollWidth") != 390:
            wide.append(path.relative_to(site).as_posix())
        assert loaded_from_elsewhere(tab) == []
        assert tab.problems == [], path
    assert wide == []


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_kind_of_page_fits_in_both_schemes(site: Path, tab: Any, dark: bool) -> None:
    tab.media(dark=dark)
    for name in KINDS:
        tab.open(site / name)
        assert tab.run("document.documentElement.scrollWidth") == 1280, name
        colour = tab.run("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
        assert (brightness < 100) == dark, f"{name}: {colour}"
        assert tab.problems == [], name


@needs_browser
def test_search_works_from_a_disk(site: Path, tab: Any) -> None:
    tab.open(site / "index.html")
    tab.wait("document.querySelector('.md-search__input')")
    tab.run(
        "(field => { field.focus(); field.value = 'GeneratedConvMethod';"
        " field.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true})); })"
        "(document.querySelector('.md-search__input'))"
    )
    tab.wait("document.querySelector('.md-search-result__item a')")
    found = tab.run("[...document.querySelectorAll('.md-search-result__item a')].map(link => link.href)")
    assert any("sharing-methods.html" in link for link in found), found
