"""Times of a board on a GPU, in both types. Run by `tox run -e gpu`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from srbench.results.latency_records import Dtype, read_latency
from srbench.runs.board_latency import BoardTiming, measure_board

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_board_is_measured_on_a_gpu(dtype: Dtype, tmp_path: Path) -> None:
    board = Path(shutil.copytree(ROOT / "leaderboards" / "quickstart", tmp_path / "quickstart"))
    how = BoardTiming(seconds=2, device="cuda", dtype=dtype, models="edsr_tiny*", lr_size=(64, 64))
    (run,) = measure_board(board, how, lambda what, share, words: None)
    assert (run.device, run.dtype, run.machine) == ("cuda", dtype, torch.cuda.get_device_name())
    assert run.tf32 is False
    assert all(of.complete and of.peak_bytes for of in run.networks.values())
    assert read_latency(board / "results") == [run]
