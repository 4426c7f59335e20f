"""Time listing with 200 additional plugins relative to the same command without them.

Bound: `srbench list methods` at most 1.2 (ratio of medians, interleaved runs). `srbench --help` must print the same
text. Exit status 1 if one is missed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 11
PLUGINS = 200
BOUND = 1.2
SRBENCH = str(Path(sys.executable).with_name("srbench"))


def install(folder: Path) -> None:
    """Write the metadata of plugins with one method each, none of which can be imported."""
    for number in range(PLUGINS):
        info = folder / f"many_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: many-{number}\nVersion: 1.0\nRequires-Dist: sr-bench>=0.1,<0.2\n"
        )
        (info / "entry_points.txt").write_text(f"[srbench.methods]\nmany{number} = many{number}_module:Many\n")
        (folder / f"many{number}_module.py").write_text("raise SystemExit('imported')\n")


def call(folder: Path, *words: str) -> tuple[float, str]:
    """Return the duration and the output of a command."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
    start = time.perf_counter()
    ended = subprocess.run([SRBENCH, *words], check=True, capture_output=True, text=True, env=environment)
    return time.perf_counter() - start, ended.stdout


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="srbench-plugins-") as parent:
        folders = {"without": Path(parent, "without"), "with": Path(parent, "with")}
        for folder in folders.values():
            folder.mkdir()
        install(folders["with"])
        same_help = len({call(folder, "--help")[1] for folder in folders.values()}) == 1
        times: dict[str, list[float]] = {name: [] for name in folders}
        for round_number in range(ROUNDS + 1):
            for name, folder in folders.items():
                taken, printed = call(folder, "list", "methods")
                if len(printed.splitlines()) < (PLUGINS if name == "with" else 1):
                    raise SystemExit("not all plugins were listed")
                if round_number:  # the first round fills the disk cache
                    times[name].append(taken)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["with"] / medians["without"]
    print(f"srbench list methods without and with {PLUGINS} additional plugins, medians of {ROUNDS} interleaved runs")
    for name, median in medians.items():
        print(f"  {name:8} {median:6.3f} s ({min(times[name]):.3f} to {max(times[name]):.3f})")
    print(f"  ratio {ratio:.3f}, bound {BOUND:.2f}: {'ok' if ratio <= BOUND else 'MISSED'}")
    print(f"srbench --help: {'the same' if same_help else 'CHANGED'}")
    return int(ratio > BOUND or not same_help)


if __name__ == "__main__":
    sys.exit(main())
