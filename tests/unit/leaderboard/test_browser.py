"""Pages and tables made of hostile records, in a real browser and as a spreadsheet reads them: no foreign text acts."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srbench.leaderboard.publish import build, build_index
from srbench.results.store import RunStore

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

MARKUP = [
    "<script>document.body.dataset.ran=1</script>",
    "<img src=x onerror='document.body.dataset.ran=1'>",
    '"><svg onload="document.body.dataset.ran=1">',
    '\'><iframe srcdoc="<script>parent.document.body.dataset.ran=1</script>"></iframe>',
    "</title></style></textarea><script>document.body.dataset.ran=1</script>",
    '<a href="javascript:document.body.dataset.ran=1" autofocus onfocus="document.body.dataset.ran=1">x</a>',
    "{{ 7 * 7 }}<style>body{display:none}</style>",
]
FORMULAS = ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://a","b")']


def shown(page: Path, profile: Path) -> str:
    """Return the document that a browser makes of a page, once its scripts have run."""
    assert BROWSER is not None
    options = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # Chromium's sandbox does not run as root
    done = subprocess.run(
        [BROWSER, *options, "--virtual-time-budget=3000", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "<body" in done.stdout, done.stderr[-1000:]
    return done.stdout


def ran(document: str) -> bool:
    found = re.search(r"<body[^>]*>", document)
    assert found is not None
    return "data-ran" in found[0]


@pytest.fixture
def hostile(make_store: Callable[..., RunStore], add_cell: Callable[..., Path]) -> RunStore:
    """Return a run whose every text is markup: names, licences, descriptions, file names, errors, versions."""
    every = "".join(MARKUP)
    store = make_store(title=every, description=every, explanations={every: every}, budget=every)
    crops = {f"im000.{kind}.png": np.zeros((8, 8, 3), np.uint8) for kind in ("sr", "hr")}
    for number, text in enumerate(MARKUP):
        changes: dict[str, Any] = {
            "dataset": text, "protocol": text, "licence": text, "plugins": {text: text}, "versions": {text: text},
            "checks": {text: f"failed: {text}"}, "tag": text, "args": {text: text}, "names": ["im000", text],
            "crops": crops, "redistributable": True, "seed": number,
        }  # fmt: skip
        add_cell(store, text, [30.0, 31.0], **changes)
        add_cell(store, f"failed{text}", None, error=f"ValueError: {text}", dataset=text)
    add_cell(store, "good", [30.0] * 8)
    add_cell(store, "better", [31.0] * 8)
    return store


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_no_text_of_a_record_runs_in_a_browser(hostile: RunStore, tmp_path: Path) -> None:
    control = tmp_path / "control.html"
    for number, text in enumerate(MARKUP[:2]):
        control.write_text(f"<!doctype html><body>{text}</body>")
        assert ran(shown(control, tmp_path / f"control{number}")), "the browser runs what is not escaped"

    site = tmp_path / "suites" / "one"
    shutil.copytree(hostile.path, site / "results")
    build(site / "results", site)
    build_index(tmp_path / "suites")
    for page in (site / "index.html", tmp_path / "suites" / "index.html"):
        document = shown(page, tmp_path / "profile")
        assert not ran(document)
        assert "<iframe" not in document
        assert "onerror=" not in re.sub(r"&lt;.*?(&gt;|$)", "", document)
        # Without the policy that forbids foreign scripts the escaping alone must do.
        bare = page.with_name("bare.html")
        bare.write_text(re.sub(r"<meta http-equiv=[^>]*>", "", page.read_text()))
        assert not ran(shown(bare, tmp_path / "profile"))


def test_no_cell_of_a_csv_file_is_a_formula(
    make_store: Callable[..., RunStore], add_cell: Callable[..., Path], tmp_path: Path
) -> None:
    store = make_store()
    for text in FORMULAS:
        add_cell(store, text, [30.0, 31.0], dataset=text, tag=text, protocol=text)
        add_cell(store, f"{text} failed", None, error=text)
    build(store.path, tmp_path / "site")
    text = (tmp_path / "site" / "leaderboard.csv").read_bytes().decode()
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert "'=1+1" in cells, "the text is there, behind an apostrophe"
    for cell in cells:
        if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
            float(cell)  # a number may be negative
