"""Run directories made up for the leaderboard's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from srbench.results.records import Record, RunInfo, Training
from srbench.results.store import RunStore

MakeRun = Callable[..., RunStore]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def add_cell() -> Callable[..., Path]:
    """Return a function that stores one cell: per-image PSNR values, or None for a cell that failed."""

    def add(store: RunStore, model: str, psnr: list[float] | None, **changes: Any) -> Path:
        backbone, _, rest = model.partition("+")
        fields: dict[str, Any] = {
            "key": sha(model + repr(sorted(changes))),
            "status": "ok" if psnr is not None else "failed",
            "model": model,
            "backbone": backbone,
            "method": rest.partition("(")[0] or None,
            "scale": 2,
            "dataset": "A",
            "dataset_hash": sha("A"),
            "images": len(psnr or []),
            "protocol": "matlab-y",
            "protocol_digest": sha("matlab-y"),
            "tier": "trained",
            "metrics": {"psnr_y": float(np.mean(psnr)), "ssim_y": 0.9} if psnr is not None else {},
            "params_unique": 1000,
            "params_deployed": 1000,
            "checks": {"counts": "passed", "fold": "skipped: nothing to fold"},
            "versions": {"srbench": "0.1.0", "torch": "2.13.0"},
            "created": "2024-05-06T07:08:09+00:00",
        }
        images: Mapping[str, Any] | None = changes.pop("crops", None)
        names = changes.pop("names", None)
        fields.update(changes)
        if fields["tier"] == "trained" and fields["params_unique"] and "training" not in changes:
            fields["training"] = Training(
                recipe={}, iterations=10, seeds=[0], data="T", data_hash=sha("T"), seconds=1.0
            )
        table = None
        if psnr is not None:
            names = names or [f"im{index:03d}" for index in range(len(psnr))]
            table = pd.DataFrame({"image": names, "psnr_y": psnr, "ssim_y": 0.9})
        return store.write(Record(**fields), table, images)

    return add


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., RunStore]:
    """Return a function that begins an empty run directory."""

    def make(name: str = "run", **info: Any) -> RunStore:
        store = RunStore(tmp_path / name)
        fields = {"suite": "demo", "title": "A demo", "srbench": "0.1.0", "created": "2024-05-06T07:08:09+00:00"}
        store.begin(RunInfo(**(fields | info)))
        return store

    return make


@pytest.fixture
def demo(make_store: Callable[..., RunStore], add_cell: Callable[..., Path]) -> RunStore:
    """Return a run of three trained models and bicubic on eight images: `b` ties with `a`, `c` is 1 dB below."""
    store = make_store()
    base = np.array([20.0, 24, 28, 32, 36, 30, 26, 22])
    wobble = np.array([0.25, -0.25, 0.5, -0.5, 0.25, -0.25, 0.5, -0.5])
    add_cell(store, "net+a", list(base + 1), params_unique=4000)
    add_cell(store, "net+b", list(base + 1 + wobble - 0.0625), params_unique=2000)
    add_cell(store, "net+c", list(base + 0.0625 * wobble), params_unique=1000)
    add_cell(store, "bicubic", list(base - 2), params_unique=0, tier="reproduced", checks={})
    return store
