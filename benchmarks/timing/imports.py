"""Time the start-up of the command line relative to `import torch`.

Bounds: `srbench --help` below 0.20, `srbench list models` below 0.25 (ratios of medians, interleaved runs).
Exit status 1 if one is missed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 11
SRBENCH = str(Path(sys.executable).with_name("srbench"))
BASELINE = "python -c 'import torch'"
COMMANDS = {
    BASELINE: [sys.executable, "-c", "import torch"],
    "srbench --help": [SRBENCH, "--help"],
    "srbench list models": [SRBENCH, "list", "models"],
}
BOUNDS = {"srbench --help": 0.20, "srbench list models": 0.25}


def seconds(command: list[str]) -> float:
    # One thread, and with cached bytecode, as in an installed package.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["OMP_NUM_THREADS"] = "1"
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def main() -> int:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for round_number in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            taken = seconds(command)
            if round_number:  # the first round fills the disk cache
                times[name].append(taken)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"start-up, 1 thread, medians of {ROUNDS} interleaved runs (lowest to highest)")
    missed = False
    for name, median in medians.items():
        line = f"  {name:26} {median:6.3f} s ({min(times[name]):.3f} to {max(times[name]):.3f})"
        if name in BOUNDS:
            ratio = median / medians[BASELINE]
            missed |= ratio >= BOUNDS[name]
            line += f"  ratio {ratio:.3f}, bound {BOUNDS[name]:.2f}: {'ok' if ratio < BOUNDS[name] else 'MISSED'}"
        print(line)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
