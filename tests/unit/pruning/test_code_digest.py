"""What decides a pruned network is part of the digests of its results."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from srbench.protocols import get_protocol
from srbench.registry.names import parse
from srbench.runs import fingerprint
from srbench.runs.code_graph import CodeBase

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = {"srbench": ROOT / "core/srbench", "srbench_pruning": ROOT / "plugins/pruning/src/srbench_pruning"}


def digests(folder: Path, model: str) -> tuple[str, str]:
    """Return the digests of a training and of an evaluation."""
    code, name = CodeBase({package: folder / package for package in PACKAGES}), parse(model)
    cell = fingerprint.cell_code(
        name, metrics=("psnr_y",), protocol=get_protocol("matlab-y"), dataset=fingerprint.FOLDER, code=code
    )
    return fingerprint.training_code(name, code=code), cell


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("srbench/models/feeds.py", "_SIDE = 24", "_SIDE = 32"),
        ("srbench/models/pruned_conv.py", "not feed.outputs_shrink", "feed.outputs_shrink"),
        ("srbench_pruning/latents.py", "torch.randn(count)", "torch.ones(count)"),
        ("srbench_pruning/layers.py", "math.sqrt(3 / embedding)", "math.sqrt(1 / embedding)"),
        ("srbench_pruning/method.py", "if 1 < iteration <= last", "if 2 < iteration <= last"),
    ],
)
def test_an_edit_makes_results_of_dhp_stale_and_no_others(tmp_path: Path, file: str, old: str, new: str) -> None:
    for package, source in PACKAGES.items():
        shutil.copytree(source, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    pruned, plain = digests(tmp_path, "edsr_tiny+dhp"), digests(tmp_path, "edsr_tiny")
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new), encoding="utf-8")
    training, cell = digests(tmp_path, "edsr_tiny+dhp")
    assert training != pruned[0]
    assert cell != pruned[1]
    assert digests(tmp_path, "edsr_tiny") == plain
