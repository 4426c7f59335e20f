"""Time a network against itself, as `srbench cost A A --latency` does.

Bound: all five comparisons are ties. One pinned thread. Exit status 1 if one is not.
"""

from __future__ import annotations

import os
import sys

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import torch

import srbench
from srbench.cost.latency import compare, measure

SECONDS = 8
CASES = {"edsr_tiny": 96, "edsr_baseline": 32, "srfbn_s": 32, "carn_m": 48, "edsr_tiny+ps": 96}


def main() -> int:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    missed = False
    print(f"a network against itself, x2, 1 pinned thread, torch {torch.__version__}, {SECONDS} s each")
    for name, size in CASES.items():
        models = [srbench.create_model(name, scale=2, seed=seed).eval() for seed in (0, 1)]
        lr = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
        found = measure(models, lr, threads=1, seconds=SECONDS)
        result = compare(found.timings[1], found.timings[0])
        missed |= not result.tie
        print(
            f"  {name:14} LR {size}x{size}  {1e3 * found.timings[0].median:8.2f} ms, {found.rounds} rounds, ratio "
            f"{result.ratio:.3f} [{result.low:.3f}, {result.high:.3f}]: {result.verdict}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
