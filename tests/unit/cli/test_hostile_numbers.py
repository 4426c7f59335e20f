"""Numbers beyond reason: status 2, one sentence that states the bound, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile import BICUBIC, NINES, TRAIN, Call, listing, refused

NUMBERS = [
    (f"audit edsr_tiny+ps(ratio=1/{NINES}) --scale 2", "at most 60"),
    (f"audit edsr_tiny+ps(ratio={NINES}/1) --scale 2", "at most 60"),
    (f"audit edsr_tiny+ps(shape={NINES}x1x1x1) --scale 2", "partial filters"),
    ("audit edsr_tiny --scale 17", "--scale"),
    (f"audit edsr_tiny --scale {NINES}", "--scale"),
    (f"audit edsr_tiny --scales 2,{NINES}", "--scales"),
    ("audit edsr_tiny --scales 2,2", "twice"),
    ("cost edsr_tiny --scale 2 --latency --seconds inf", "--seconds"),
    ("cost edsr_tiny --scale 2 --latency --seconds nan", "--seconds"),
    ("cost edsr_tiny --scale 2 --latency --threads 100000", "1,024"),
    ("cost edsr_tiny --scale 2 --latency --threads 1000000000000", "1,024"),
    ("cost edsr_tiny --scale 2 --memory --lr-size 20000x20000", "20000x20000"),
    (f"cost edsr_tiny --scale 2 --lr-size {NINES}x8", "--lr-size"),
    ("cost edsr_tiny --scale 2 --latency --lr-size 20000x20000", "20000x20000"),
    (BICUBIC + " --threads 100000", "1,024"),
    (BICUBIC + f" --threads {NINES}", "threads"),
    (BICUBIC + f" --tile {NINES}", "tile"),
    (BICUBIC + f" --tile 64 --tile-overlap {NINES}", "overlap"),
    (TRAIN + f" --seed {NINES}", "seed"),
    (TRAIN + f" --batch-size {NINES}", "batch_size"),
    (TRAIN + f" --iterations {NINES}", "iterations"),
    (TRAIN + " --lr inf", "lr"),
    (TRAIN + " --threads 100000", "1,024"),
    (TRAIN.replace("--scale 2", f"--scales 2,{NINES}"), "scale"),
    (TRAIN.replace("--scale 2", "--scale 17"), "scale"),
    (f"run --suite suite.yaml --dry-run --jobs {NINES}", "--jobs"),
    ("run --suite suite.yaml --dry-run --threads 100000", "1,024"),
]


@pytest.mark.parametrize(("line", "word"), NUMBERS, ids=[line[:60] for line, _ in NUMBERS])
def test_numbers_beyond_reason_on_the_command_line(line: str, word: str, call: Call, tmp_path: Path) -> None:
    before = listing(tmp_path)
    refused(call(line), word)
    assert listing(tmp_path) == before


IN_SUITES = [
    ("scale: 17", "scale"),
    (f"scale: {NINES}", "scale"),
    ("scale: [2, 1000000]", "scale"),
    (f"models: ['edsr_tiny+ps(ratio=1/{NINES})']", "at most 60"),
    (f"seeds: [{NINES}]", "seeds"),
    (f"inference: {{tile: {NINES}}}", "tile"),
    (f"models: [edsr_tiny]\ntrain: {{data: images, iterations: {NINES}, gt_size: 8}}", "iterations"),
    ("models: [edsr_tiny]\ntrain: {data: images, iterations: 1, gt_size: 8, lr: .inf}", "lr"),
    (f"models: [edsr_tiny]\ntrain: {{data: images, iterations: 1, gt_size: 8, batch_size: {NINES}}}", "batch_size"),
]


@pytest.mark.parametrize(("lines", "word"), IN_SUITES, ids=[lines[:40] for lines, _ in IN_SUITES])
def test_numbers_beyond_reason_in_a_suite(lines: str, word: str, call: Call, tmp_path: Path) -> None:
    suite = {"name": "s", "scale": "2", "models": "[bicubic]", "datasets": "[images]"}
    suite |= dict(line.split(": ", 1) for line in lines.split("\n"))
    (tmp_path / "suite.yaml").write_text("".join(f"{key}: {value}\n" for key, value in suite.items()))
    before = listing(tmp_path)
    refused(call("run --suite suite.yaml"), word)
    assert listing(tmp_path) == before
