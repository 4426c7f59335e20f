"""A small board, trained and measured once, and ways to forge copies of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from srbench.results.store import RunStore
from srbench.runs.pages import build_pages
from srbench.runs.runner import run
from srbench.storage import sha256_file
from srbench.suite.definition import load_suite

SUITE = """
name: small
scale: 2
models: [bicubic, edsr_tiny]
seeds: [0, 1]
datasets: [embedded-test]
protocol: [matlab-y, truncate-y]
train: {data: embedded-train, iterations: 4, batch_size: 2, gt_size: 16, checkpoint_every: 2}
"""


class Forger:
    """A copy of a board, and what somebody could do to it by hand.

    In its consistent form a forgery has every hash brought up to date and the page made again, as only who knows this
    program would do.
    """

    def __init__(self, board: Path, *, consistent: bool) -> None:
        self.board = board
        self.results = board / "results"
        self.consistent = consistent

    def cell(self, name: str) -> Path:
        """Return the directory of the first cell of this name."""
        return min((self.results / "cells").glob(f"{name}-*"))

    def edit(self, directory: Path, change: Callable[[dict[str, Any]], None]) -> Path:
        """Change a record, and return the cell's directory, which has another name in the consistent form."""
        path = directory / "record.json"
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))
        if not self.consistent:
            return directory
        self.rehash(directory)
        renamed = directory.with_name(_directory_name(path) or directory.name)
        if renamed != directory:
            directory.rename(renamed)
        return renamed

    def edit_values(self, directory: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Change the images' values; in the consistent form the means and the number of images follow."""
        path = directory / "per_image.parquet"
        table = change(pd.read_parquet(path))
        table.to_parquet(path, index=False)
        if not self.consistent:
            return

        def follow(record: dict[str, Any]) -> None:
            record["images"] = len(table)
            record["metrics"] = {name: float(table[name].mean()) for name in record["metrics"]}

        self.edit(directory, follow)

    def edit_run(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change run.json."""
        path = self.results / "run.json"
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    def rehash(self, directory: Path) -> None:
        """Bring a cell's marker up to date."""
        marker = json.loads((directory / "DONE").read_text())
        marker["files"] = {file: sha256_file(directory / file) for file in marker["files"]}
        (directory / "DONE").write_text(json.dumps(marker))

    def finish(self) -> None:
        """Make the page again, in the consistent form."""
        if self.consistent:
            publish(self.board)


def _directory_name(record_file: Path) -> str | None:
    from pydantic import ValidationError

    from srbench.results.records import Record

    try:
        return Record.model_validate_json(record_file.read_text()).directory_name
    except ValidationError:
        return None


def publish(board: Path) -> None:
    """Make a board's tables and page."""
    build_pages(board / "results", board)


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the board's suite."""
    path = tmp_path_factory.mktemp("suite") / "small.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, suite: Path) -> Path:
    """Return the folder of a board: `results`, with the trained weights in `results/models`, and its page."""
    board = tmp_path_factory.mktemp("original") / "board"
    assert run(load_suite(suite), board / "results", threads=1, jobs=1).exit_status == 0
    publish(board)
    return board


@pytest.fixture
def board(original: Path, tmp_path: Path) -> Path:
    """Return a copy of the board."""
    return Path(shutil.copytree(original, tmp_path / "board"))


@pytest.fixture(params=[False, True], ids=["plain", "consistent"])
def forger(request: pytest.FixtureRequest, board: Path) -> Forger:
    """Return a copy of the board with its forger, in both forms."""
    return Forger(board, consistent=request.param)


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a board of two models' rows on Set5 that are committed, with its page."""
    source = Path(__file__).resolve().parents[3] / "leaderboards" / "efficient-x3" / "results"
    board = tmp_path_factory.mktemp("committed") / "board"
    known, target = RunStore(source), RunStore(board / "results")
    info = known.info()
    assert info is not None
    chosen = [{"model": "bicubic"}, {"model": "fsrcnn.author"}]
    definition = {**info.definition, "models": chosen, "datasets": ["Set5"]}
    target.begin(info.model_copy(update={"definition": definition}))
    for cell in known.cells():
        if cell.record.dataset == "Set5" and {"model": cell.record.model} in chosen:
            target.write(cell.record, cell.per_image, speed=cell.speed)
    publish(board)
    return board


@pytest.fixture
def forger_of() -> Callable[..., Forger]:
    """Return what makes a forger of a board."""
    return Forger
