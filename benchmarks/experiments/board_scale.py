"""Measure time and memory of building tables from large packed boards with synthetic figures.

    python benchmarks/experiments/board_scale.py                 # 250, 500 and 1,000 models; 100,000 cells
    python benchmarks/experiments/board_scale.py --models 250
    python benchmarks/experiments/board_scale.py --models --cells 10000 100000 --page --site

Boards of N models have three protocols (`--protocols`) and two data sets, of 5 and 14 images. 100,000 cells are 500
models at four scales under five protocols on ten data sets of 5 images; another number of cells has more or fewer
models. Each board is built in a separate process, whose peak memory is that of reading, ranking and writing the
tables, and the page with `--page`; the static site, with `--site`, is built in a process of its own, which reads and
ranks again. Times are CPU time, user and system; other work on the machine still slows it down, as caches are shared.
The peak memory is read from /proc, so this needs Linux.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from srbench.cost.memory import resident
from srbench.results.packed import Values
from srbench.results.packing import write_board
from srbench.results.records import Record, RunInfo, Training

METRICS = ("psnr_y", "ssim_y")


def sha(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def cells(models: int, scales: int, protocols: int, sizes: tuple[int, ...]) -> Iterator[tuple[Record, Values]]:
    """Generate cells of models of slightly different quality on images of very different difficulty."""
    rng = np.random.default_rng(0)
    hard = {index: rng.normal(30, 4, size) for index, size in enumerate(sizes)}
    for model in range(models):
        for scale in range(2, 2 + scales):
            for protocol in range(protocols):
                for index, size in enumerate(sizes):
                    psnr = hard[index] + model / models + rng.normal(0, 0.1, size)
                    values = Values(
                        [f"image{number:03d}" for number in range(size)], {"psnr_y": psnr, "ssim_y": psnr / 40}
                    )
                    name = f"net{model % 20}+ps(ratio=1/{model + 2})"
                    yield (
                        Record(
                            key=sha(model, scale, protocol, index),
                            status="ok",
                            model=name,
                            backbone=f"net{model % 20}",
                            method="ps",
                            args={"ratio": f"1/{model + 2}"},
                            scale=scale,
                            seed=0,
                            dataset=f"set{index}",
                            dataset_hash=sha("data", index),
                            images=size,
                            protocol=f"protocol-{protocol}",
                            protocol_digest=sha("protocol", protocol),
                            tier="trained",
                            metrics={name: float(values.columns[name].mean()) for name in METRICS},
                            params_unique=10_000 + 100 * model,
                            weights_sha256=sha("weights", model, scale),
                            training=Training(
                                recipe={"lr": 0.001},
                                iterations=1000,
                                seeds=[0],
                                data="T",
                                data_hash=sha("T"),
                                seconds=1.0,
                            ),
                            created="2024-05-06T07:08:09+00:00",
                        ),
                        values,
                    )


def measure(board: Path, *, page: bool) -> dict[str, float]:
    """Build the tables of a board and return the CPU seconds of each step."""
    from srbench.leaderboard.boards import read_results
    from srbench.leaderboard.page import html_text
    from srbench.leaderboard.tables import csv_text, markdown_text

    seconds: dict[str, float] = {}
    begin = time.process_time()
    results = read_results(board)
    seconds["read and rank"] = time.process_time() - begin
    steps = {"csv": csv_text, "markdown": markdown_text} | ({"page": html_text} if page else {})
    for name, write in steps.items():
        start = time.process_time()
        write(results)
        seconds[name] = time.process_time() - start
    seconds["all"] = time.process_time() - begin
    return seconds


def measure_site(board: Path) -> dict[str, float]:
    """Build the site of a board and return the CPU seconds, those of reading and ranking included."""
    from srbench.leaderboard.site import build_site

    start = time.process_time()
    build_site(board.parent.parent, board.parent.parent.with_name("site"))
    return {"site": time.process_time() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, nargs="*", default=[250, 500, 1000])
    parser.add_argument("--protocols", type=int, default=3)
    parser.add_argument(
        "--cells", type=int, nargs="*", help="Add boards of so many cells, in steps of 200 (default: 100000)."
    )
    parser.add_argument("--page", action="store_true", help="Also build the page.")
    parser.add_argument("--site", action="store_true", help="Also build the static site.")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure is not None:
        said = measure_site(asked.measure) if asked.site else measure(asked.measure, page=asked.page)
        said["peak MiB"] = resident("VmHWM") / 2**20
        print(json.dumps({name: round(value, 1) for name, value in said.items()}))
        return
    plans = {f"{count} models": (count, 1, asked.protocols, (5, 14)) for count in asked.models}
    if asked.cells is not None:
        plans |= {f"{count:,} cells": (count // 200, 4, 5, (5,) * 10) for count in asked.cells or [100_000]}
    for title, plan in plans.items():
        with tempfile.TemporaryDirectory() as folder:
            board = Path(folder) / "boards" / "scale" / "results"
            info = RunInfo(suite="scale", srbench="0", created="2024-05-06T07:08:09+00:00")
            start = time.process_time()
            made = write_board(board, cells(*plan), info)
            seconds = time.process_time() - start
            size = sum(file.stat().st_size for file in board.iterdir()) / 1e6
            print(f"{title}: {made.cells:,} cells written in {seconds:.1f} s, {size:.1f} MB", flush=True)
            for options in [["--page"] if asked.page else [], *([["--site"]] if asked.site else [])]:
                subprocess.run([sys.executable, __file__, "--measure", str(board), *options], check=True)


if __name__ == "__main__":
    main()
