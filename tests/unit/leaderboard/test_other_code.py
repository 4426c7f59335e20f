"""Rows whose code is not the present one are marked on the page, and only these."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbench.leaderboard.boards import read_results
from srbench.leaderboard.page import html_text
from srbench.protocols import get_protocol
from srbench.registry.names import parse
from srbench.results.store import RunStore
from srbench.runs import fingerprint

MARK = "code changed since"


def marked(page: str) -> list[str]:
    """Return the models of the rows that bear the mark."""
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    return [re.search(r'data-v="([a-z_+]+)"><b>', row)[1] for row in rows if MARK in row]  # type: ignore[index]


@pytest.fixture
def store(make_store: Callable[..., RunStore], add_cell: Callable[..., Any]) -> RunStore:
    store = make_store()
    for model in ("edsr_tiny", "edsr_baseline"):
        for seed in (0, 1):
            add_cell(store, model, [30.0 + seed, 31.0, 32.0], seed=seed, key=f"{model}{seed}".ljust(64, "0"))
    return store


def test_page_marks_a_row_if_one_of_its_seeds_is_of_other_code(store: RunStore) -> None:
    results = read_results(store.path)
    assert MARK not in html_text(results)
    page = html_text(results, {"edsr_tiny1".ljust(64, "0")})
    assert marked(page) == ["edsr_tiny"]
    assert "srbench run --adopt" in page


def test_record_is_current_if_the_present_code_of_its_cell_and_training_made_it(
    make_store: Callable[..., RunStore], add_cell: Callable[..., Any]
) -> None:
    name, store = parse("edsr_tiny"), make_store("other")
    cell = fingerprint.cell_code(
        name, metrics=("psnr_y", "ssim_y"), protocol=get_protocol("matlab-y"), dataset=fingerprint.FOLDER
    )
    training = {"recipe": {}, "iterations": 1, "seeds": [0], "data": "T", "data_hash": "t", "seconds": 1.0}
    right = {**training, "code_digest": fingerprint.training_code(name)}
    for letter, code, trained in (("a", cell, right), ("b", "0" * 64, right), ("c", cell, training)):
        add_cell(store, "edsr_tiny", [30.0], key=letter * 64, code_digest=code, training=trained, dataset=letter)
    assert fingerprint.other_code(store.path) == {"b" * 64, "c" * 64}


def test_command_builds_a_page_with_marks(store: RunStore, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from srbench.cli.leaderboard import app

    ended = CliRunner().invoke(app, ["build", str(store.path), "--out", str(tmp_path / "page")])
    assert ended.exit_code == 0, ended.output
    page = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert sorted(marked(page)) == ["edsr_baseline", "edsr_tiny"]
