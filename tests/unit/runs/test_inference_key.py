"""The suite's key `inference`: checked with its line, part of cells, records and what boards say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srbench.errors import ConfigError
from srbench.images.files import write_png
from srbench.images.resize import imresize
from srbench.leaderboard.boards import read_results
from srbench.protocols import get_protocol
from srbench.results.store import RunStore
from srbench.runs.planner import make_plan
from srbench.runs.runner import run
from srbench.suite.definition import load_suite

SUITE = "name: s\nscale: 2\nmodels: [bicubic]\ndatasets: [images]\nmetrics: [psnr_y]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    coarse = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    write_png(imresize(coarse, 3), tmp_path / "images" / "one.png")
    return tmp_path


def suite_with(folder: Path, text: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(SUITE + text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inference: {tiel: 64}\n", "line 6: unknown key 'tiel'; did you mean 'tile'?"),
        ("inference: {tile: 60}\n", "s.yaml, line 6"),
        ("inference: {dtype: fp8}\n", "s.yaml, line 6"),
        ("inference: {tile_overlap: 8}\n", "needs tile"),
        ("inference: [tile]\n", "s.yaml, line 6"),
    ],
)
def test_wrong_options_are_named_with_their_line(folder: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_suite(suite_with(folder, text))
    assert words in str(caught.value), caught.value
    assert "\n" not in str(caught.value)


def test_each_option_gives_cells_of_their_own_and_the_default_the_same(folder: Path) -> None:
    texts = ["", "inference: {}\n", "inference: {self_ensemble: true}\n", "inference: {tile: 16}\n",
             "inference: {tile: 16, tile_overlap: 0}\n", "inference: {channels_last: true}\n"]  # fmt: skip
    cells = [next(make_plan(load_suite(suite_with(folder, text))).cells) for text in texts]
    assert cells[0].key == cells[1].key
    assert len({cell.key for cell in cells}) == len({cell.protocol_digest for cell in cells}) == len(texts) - 1
    assert cells[0].protocol_digest == get_protocol("matlab-y").digest


def test_records_and_boards_say_how_networks_were_run(folder: Path) -> None:
    suite = load_suite(suite_with(folder, "inference: {self_ensemble: true, tile: 32, tile_overlap: 0}\n"))
    report = run(suite, folder / "run", jobs=1)
    (record,) = report.done
    assert record.protocol == "matlab-y+tile32/0+self-ensemble"
    assert record.numerics == {"tf32": False, "self_ensemble": True, "tile": 32, "tile_overlap": 0}
    assert record.dtype == "float32"
    assert record.tile_error is not None
    assert record.tile_error["largest"] > 1e-3
    assert RunStore(folder / "run").find(record.directory_name, record.key) is not None
    (board,) = read_results(folder / "run").boards
    assert board.protocol == record.protocol
    info = RunStore(folder / "run").info()
    assert info is not None
    said = info.explanations[board.digest]
    assert "mean of the outputs for the eight flips" in said
    assert "tiles of 32x32 pixels; each sees 0 LR pixels more" in said
    assert not run(suite, folder / "run", jobs=1).todo, "the same options are the same cells"


def test_one_board_never_mixes_options(folder: Path) -> None:
    for text in ("", "inference: {self_ensemble: true}\n"):
        run(load_suite(suite_with(folder, text)), folder / "run", jobs=1)
    boards = read_results(folder / "run").boards
    assert sorted(board.protocol for board in boards) == ["matlab-y", "matlab-y+self-ensemble"]
    assert len({board.anchor for board in boards}) == 2
