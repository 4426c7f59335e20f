"""Forged and damaged results: the cell is named and left out, or the run is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hostile import Call, refused, run_folder, sealed

FORGED = {
    "negative parameters": {"params_unique": -1},
    "huge parameters": {"params_deployed": 10**400},
    "huge numbers in the checkpoint": {"params_stored": 10**16},
    "scale 0": {"scale": 0},
    "huge scale": {"scale": 10**400},
    "huge scales": {"scales": [2, 10**9]},
    "negative work": {"cost": {"macs": -5}},
    "huge work": {"cost": {"macs": 10**400}},
    "images without end": {"images": 10**400},
    "a key that is none of ours": {"extra": 1},
    "a text as metric": {"metrics": {"psnr_y": "a"}},
}


@pytest.mark.parametrize("values", FORGED.values(), ids=FORGED)
def test_forged_records_are_named_and_left_out(values: dict[str, Any], call: Call, tmp_path: Path) -> None:
    run, cell = run_folder(tmp_path)
    record = json.loads((cell / "record.json").read_text())
    (cell / "record.json").write_text(json.dumps({**record, **values}))
    sealed(cell)
    for line in (f"leaderboard show {run}", f"leaderboard build {run}"):
        status, out, error = call(line)
        assert status == 0, error
        assert cell.name in error, error
        assert str(next(iter(values))) in error, error
        if " show " in line:
            assert "edsr_tiny" in out, "the other cell is shown"


def test_a_binary_run_json_is_refused(call: Call, tmp_path: Path) -> None:
    run, _ = run_folder(tmp_path)
    (run / "run.json").write_bytes(bytes(range(256)))
    for line in (f"leaderboard show {run}", f"leaderboard build {run}", f"compare edsr_tiny bicubic --run {run}"):
        refused(call(line), "run.json")
