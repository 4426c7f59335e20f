"""Too little memory: an evaluation says so before it begins, a training names what to change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import srbench
from srbench.cost.fits import LARGE, check_fits
from srbench.data.folders import FolderDataset
from srbench.errors import ConfigError
from srbench.machine import available_memory
from srbench.models.weight_files import save_state

# What torch takes by being imported is no part of the limit.
LIMITED = """
import resource, sys
import torch, pandas, srbench.training.basicsr_model, srbench.evaluation.evaluate
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]), resource.RLIM_INFINITY))
from srbench.cli import main
main(sys.argv[2:])
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


def limited(size: int, folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LIMITED, str(size), *line.split()]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((3000, 3000, 3), np.uint8)).save(tmp_path / "images" / "large.png", compress_level=1)
    return tmp_path


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.rstrip("\n").split("\n")[-1]
    assert last.startswith("srbench: "), done.stderr
    for word in words:
        assert word in last, done.stderr


def test_an_evaluation_that_will_not_fit_says_so_before_it_begins(large: Path) -> None:
    save_state(srbench.create_model("edsr_tiny", scale=2, seed=0), large / "w.safetensors")
    line = "eval edsr_tiny --scale 2 --data images --protocol matlab-y --weights w.safetensors --save-images out"
    refused(limited(2**28, large, line), "'large' will not fit", "1500x1500", "GiB", "--tile")
    assert not (large / "out").exists()


def test_a_run_with_an_evaluation_that_will_not_fit_says_so_before_it_begins(large: Path) -> None:
    (large / "suite.yaml").write_text(
        "name: s\nscale: 2\nmodels: [edsr_baseline]\ndatasets: [images]\n"
        "train: {data: images, iterations: 1, gt_size: 16, batch_size: 1}\n"
    )
    refused(limited(3 * 2**29, large, "run --suite suite.yaml --out run"), "'large' will not fit", "inference: {tile")
    assert not (large / "run").exists()


def test_a_training_out_of_memory_names_what_to_change(large: Path) -> None:
    line = "train edsr_tiny --scale 2 --data images --iterations 1 --batch-size 64 --gt-size 1024 --out out"
    refused(limited(2**30, large, line), "ran out of memory", "64 patches of 1024x1024", "batch_size", "gt_size")


def test_small_images_are_not_checked_and_tiles_make_large_ones_fit(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = srbench.create_model("edsr_tiny", scale=2, seed=0)
    dataset = FolderDataset(large / "images")
    assert dataset.size("large") == (3000, 3000)
    assert LARGE < 1500 * 1500
    monkeypatch.setattr("srbench.cost.fits.available_memory", lambda device: 2**20)
    with pytest.raises(ConfigError, match="--tile"):
        check_fits(network, 2, dataset)
    check_fits(network, 2, dataset, tile=256, overlap=16)
    check_fits(network, 4, dataset)  # 750x750 LR pixels: too small to be worth a look


def test_memory_that_is_there_is_less_than_what_the_machine_has() -> None:
    total = next(line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    available = available_memory()
    assert available is not None
    assert 0 < available < int(total) * 1024
