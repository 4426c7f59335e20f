"""`tools/compare_trainings.py` names what differs between two states, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

PATH = Path(__file__).resolve().parents[3] / "tools" / "compare_trainings.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_trainings", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def state(**changes: Any) -> dict[str, Any]:
    return {"loss": 0.5, "model": {"weight": torch.ones(2), "steps": [1, 2]}, **changes}


@pytest.mark.parametrize(
    ("other", "places"),
    [
        (state(), []),
        (state(loss=0.5000001), ["loss"]),
        (state(model={"weight": torch.tensor([1.0, 1.0000001]), "steps": [1, 2]}), ["model.weight"]),
        (state(model={"weight": torch.ones(2).double(), "steps": [1, 3]}), ["model.steps[1]", "model.weight"]),
        (state(more=1), ["more"]),
    ],
)
def test_differences_are_named(tool: ModuleType, other: dict[str, Any], places: list[str]) -> None:
    assert tool._differences(state(), other) == places


def test_metadata_of_a_tree_has_its_entry_points(tool: ModuleType, tmp_path: Path) -> None:
    tool._describe(PATH.parents[1], tmp_path)
    text = next(tmp_path.glob("sr_bench-*.dist-info/entry_points.txt")).read_text(encoding="utf-8")
    assert "[srbench.backbones]" in text
    assert "edsr_tiny = srbench" in text
