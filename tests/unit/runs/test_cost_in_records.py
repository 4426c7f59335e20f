"""A run counts what its models cost, and says why where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from srbench.cost.counts import cost_of
from srbench.models.factory import create_model
from srbench.results.records import Record
from srbench.results.store import RunStore


def test_a_record_holds_the_cost_of_what_one_scale_deploys(
    suite_file: Callable[..., Path], nursery: Any, tmp_path: Path
) -> None:
    suite = suite_file(models=("bicubic", "edsr_tiny+ps"), tests=1)
    assert nursery.run("run", "--suite", suite, "--out", tmp_path / "run", "--jobs", "1") == 0, nursery.said()
    records = {cell.record.backbone: cell.record for cell in RunStore(tmp_path / "run").cells()}
    cost, expected = records["edsr_tiny"].cost, cost_of(create_model("edsr_tiny+ps", scale=2, seed=0))
    assert cost is not None
    assert (cost.macs, cost.macs_256) == (expected.hd.macs, expected.ntire.macs)
    assert (cost.activations, cost.activations_256) == (expected.hd.activations, expected.ntire.activations)
    assert (cost.synthesis, cost.macs_executed, cost.not_counted) == (expected.hd.synthesis, None, "")
    bicubic = records["bicubic"].cost
    assert bicubic is not None
    assert bicubic.macs is None
    assert "computes outside torch" in bicubic.not_counted
    assert "MACs" in (tmp_path / "run" / "leaderboard" / "leaderboard.md").read_text()


def test_branches_are_trained_and_the_folded_network_is_measured(
    suite_file: Callable[..., Path], nursery: Any, tmp_path: Path
) -> None:
    suite = suite_file(models=("etds_t+reparam(kind=etds)",), tests=1)
    assert nursery.run("run", "--suite", suite, "--out", tmp_path / "run", "--jobs", "1") == 0, nursery.said()
    cells = RunStore(tmp_path / "run").cells()
    record, expected = cells[0].record, cost_of(create_model("etds_t", scale=2, seed=0))
    assert record.cost is not None
    assert (record.cost.macs, record.params_deployed) == (expected.hd.macs, expected.params)
    trained = cost_of(create_model("etds_t+reparam(kind=etds)", scale=2, seed=0))
    assert (record.params_unique, trained.folded) == (trained.params, expected.params)
    assert trained.hd.macs != expected.hd.macs


def test_the_pruned_network_is_measured_and_shown(
    suite_file: Callable[..., Path], nursery: Any, tmp_path: Path
) -> None:
    # A shrinkage of 40 in 5 steps prunes all that may be pruned: of each 16 channels 4 are left.
    name = "edsr_tiny+dhp(ratio=1/100,search=1,shrink=40)"
    suite = suite_file(models=(name,), tests=1, iterations=6)
    assert nursery.run("run", "--suite", suite, "--out", tmp_path / "run", "--jobs", "1") == 0, nursery.said()
    record = RunStore(tmp_path / "run").cells()[0].record
    dense = cost_of(create_model("edsr_tiny", scale=2, seed=0))
    # 4 of 16 channels in and out of each of 8 layers; the rest of the network reads and makes all of them.
    lost = 8 * (16 * 16 - 4 * 4) * 9
    assert record.params_deployed == dense.params - lost - 8 * 12
    assert record.cost is not None
    assert record.cost.macs == dense.hd.macs - lost * 640 * 360
    assert record.cost.synthesis == 0
    assert f"{record.params_deployed:,}" in (tmp_path / "run" / "leaderboard" / "index.html").read_text()


def test_a_record_of_before_is_read_as_one_without_cost() -> None:
    fields = {"key": "0" * 64, "status": "ok", "model": "m", "backbone": "m", "scale": 2, "dataset": "d"}
    fields |= {"dataset_hash": "h", "protocol": "p", "protocol_digest": "h", "tier": "trained", "created": "2024"}
    assert Record(**fields).cost is None  # type: ignore[arg-type]
