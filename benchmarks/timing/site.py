"""Build the site of a synthetic board and time sorting and filtering of its page in Chromium.

Bounds: sorting and filtering 500 rows take less than 100 ms each, including layout (medians), until the first rows are
in place, `AT_ONCE` of assets/table.js; the others follow in the next frames, and the total time is printed too. Exit
status 1 if a bound is missed; without Chromium nothing is timed. `--cells N` also builds a site of N cells and prints
CPU time and memory.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from srbench.cost.memory import resident
from srbench.leaderboard.boards import Results, _board
from srbench.leaderboard.site.build import Site, _write_rest, write_suite
from srbench.leaderboard.site.folder import new_site
from srbench.leaderboard.site.suites import Suite
from srbench.leaderboard.tables import csv_text, markdown_text
from srbench.results.records import Record, Training
from srbench.results.store import Cell
from srbench.storage import sha256_bytes

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from chromium import BROWSER, chromium  # noqa: E402

ROWS, ROUNDS, BOUND = 500, 15, 100.0
# Milliseconds until the first rows and until all rows are in place.
TIMED = """(async () => { const start = performance.now(); %s; table.offsetHeight;
  const first = performance.now() - start;
  while (waiting.size) await new Promise(requestAnimationFrame);
  table.offsetHeight; return [first, performance.now() - start]; })()"""
SORT = TIMED % "document.querySelectorAll('#table thead button')[%d].click()"
FILTER = TIMED % "filter.value = '%s'; filter.dispatchEvent(new Event('input'))"


class MadeUp(Cell):
    """A cell with random values."""

    @property
    def per_image(self) -> pd.DataFrame:  # type: ignore[override]
        """Draw the values, determined by the key."""
        rng = np.random.default_rng(int(self.record.key[:8], 16))
        level = 30 + int(self.record.model[5:]) % 997 * 0.003
        values = level + rng.normal(0, 0.1, 20) + np.linspace(-8, 8, 20)
        return pd.DataFrame({"image": [f"im{i:02d}" for i in range(20)], "psnr_y": values, "ssim_y": values / 50})


def cells(models: int, datasets: int, protocol: str) -> list[Cell]:
    made: list[Cell] = []
    for model in range(models):
        for dataset in range(datasets):
            digest = sha256_bytes(f"{model} {dataset} {protocol}".encode())
            record = Record(
                key=digest, status="ok", model=f"model{model}", backbone=f"model{model}", scale=2, images=20,
                dataset=f"D{dataset}", dataset_hash=sha256_bytes(str(dataset).encode()), protocol=protocol,
                protocol_digest=sha256_bytes(protocol.encode()), tier="trained",
                metrics={"psnr_y": 30.0, "ssim_y": 0.6},
                params_unique=1000 + 37 * model, params_deployed=1000 + 37 * model, created="2026-01-01T00:00:00+00:00",
                training=Training(recipe={"lr": 1}, iterations=10, seeds=[0], data="T", data_hash="t", seconds=1.0),
            )  # fmt: skip
            made.append(MadeUp(record, Path("nowhere")))
    return made


def suite(models: int, datasets: int, name: str) -> Suite:
    board = _board(2, name, sha256_bytes(name.encode()), cells(models, datasets, name), [], [], None)
    return Suite(name, Results(None, [board], []), "", frozenset())


def build(out: Path, models: int, datasets: int, boards: int, *, tables: bool) -> tuple[float, float]:
    """Build a site and return the CPU seconds spent on ranking and on pages."""
    site = Site(out)
    ranking = pages = 0.0
    with new_site(out) as folder:
        for number in range(boards):
            start = time.process_time()
            one = suite(models, datasets, f"p{number}")
            ranking += time.process_time() - start
            start = time.process_time()
            if tables and one.results is not None:
                csv_text(one.results)
                markdown_text(one.results)
            write_suite(site, folder, one)
            pages += time.process_time() - start
        start = time.process_time()
        _write_rest(site, folder)
        pages += time.process_time() - start
    return ranking, pages


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=0, help="also build a site of this many cells")
    asked = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        if asked.cells:
            models, datasets = 200, 5
            boards = max(1, asked.cells // (models * datasets))
            ranking, pages = build(Path(folder) / "large", models, datasets, boards, tables=True)
            memory = resident("VmHWM") / 2**20
            print(
                f"{boards * models * datasets:,} cells: ranking {ranking:.1f} s, tables and site {pages:.1f} s, ",
                end="",
            )
            print(f"{memory:,.0f} MiB at most")
        if BROWSER is None:
            print("no Chromium is installed: sorting and filtering were not timed")
            return 0
        build(Path(folder) / "site", ROWS, 2, 1, tables=False)
        with chromium() as page:
            page.size(1280, 900)
            page.open(next((Path(folder) / "site").glob("boards/*.html")))
            times = {
                "sort": [page.run(SORT % (index % 2 * 7)) for index in range(ROUNDS)],
                "filter": [page.run(FILTER % ("model1" if index % 2 else "")) for index in range(ROUNDS)],
            }
        for name, taken in times.items():
            first, whole = (statistics.median(each) for each in zip(*taken, strict=True))
            missed |= first >= BOUND
            verdict = "ok" if first < BOUND else "MISSED"
            print(
                f"  {name:8} {ROWS} rows: {first:6.1f} ms (at most {max(each for each, _ in taken):.1f}), "
                f"bound {BOUND:.0f}: {verdict}; all rows {whole:.1f} ms"
            )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
