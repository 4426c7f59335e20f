"""Run directories made up for the leaderboard's tests."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from srbench.leaderboard.site import build_site
from srbench.results.records import Record, RunInfo, Training
from srbench.results.store import RunStore

MakeRun = Callable[..., RunStore]
HERE = Path(__file__).resolve().parent


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


@pytest.fixture
def site(make_store: Callable[..., RunStore], add_cell: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a site of one board: two data sets, two tiers, long names, crops, a failure, something missing."""
    store = make_store(
        description="Made up.",
        explanations={sha("matlab-y"): "matlab-y\n\n- LR images are rounded."},
        definition={"models": [{"model": "gone"}], "datasets": ["A", "B", "C"]},
    )
    base = np.array([20.0, 24, 28, 32, 36, 30, 26, 22])
    crops = {f"im000.{kind}.png": np.full((8, 8, 3), 90, np.uint8) for kind in ("sr", "hr")}
    models = ["net+a", "net+b", "net+ps(ratio=1/16,shape=CxCx1x1,scale=own,coefficients=shared)", "other.author"]
    for index, model in enumerate(models):
        for name in ("A", "B"):
            tier = "reproduced" if model.endswith(".author") else "trained"
            values = list(base - 0.5 * index + 0.01 * np.arange(8) * (index + 1) * (1 if name == "A" else -1))
            add_cell(
                store, model, values, dataset=name, dataset_hash=sha(name), tier=tier,
                params_unique=1000 * (index + 1),
                crops=crops, redistributable=True, licence="CC0", names=[f"im{i:03d}" for i in range(8)],
            )  # fmt: skip
    add_cell(store, "bad", None, error="ValueError: no")
    shutil.copytree(store.path, tmp_path / "suites" / "demo" / "results")
    build_site(tmp_path / "suites", tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture(scope="session")
def axe(pytestconfig: pytest.Config) -> str:
    """Return axe-core's script, installed by npm into pytest's cache in the version of axe/package.json."""
    wanted = json.loads((HERE / "axe" / "package.json").read_text())["dependencies"]["axe-core"]
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir(f"axe-core-{wanted}")
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("axe-core comes from npm, which is not installed")
        shutil.copy(HERE / "axe" / "package.json", folder)
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode or not script.is_file():
            pytest.skip(f"npm could not install axe-core {wanted}: {done.stderr.strip()[-200:]}")
    return script.read_text()
