"""Time folded PS inference against the dense network.

Bound: the ratio of medians is at most 1.03 for EDSR-baseline and for DRRN. Runs are interleaved in an order that
changes from round to round; a second dense network of the same shape shows the noise of the machine. One pinned thread.
Exit status 1 if the bound is missed.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import torch

import srbench

ROUNDS = 41
BOUND = 1.03
CASES = {"edsr_baseline": ("edsr_baseline+ps(ratio=1/16)", 64), "drrn_b1u9": ("drrn_b1u9+ps(ratio=1/9)", 24)}


def seconds(model: torch.nn.Module, lr: torch.Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        model(lr)
    return time.perf_counter() - start


def main() -> int:
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    order = random.Random(0)
    missed = False
    print(f"inference x2, 1 pinned thread, torch {torch.__version__}, medians of {ROUNDS} interleaved runs")
    for backbone, (name, size) in CASES.items():
        shared = srbench.create_model(name, scale=2, seed=0).eval()
        models = {
            "dense": srbench.create_model(f"{backbone}+dense", scale=2, seed=0).eval(),
            "dense again": srbench.create_model(f"{backbone}+dense", scale=2, seed=1).eval(),
            "PS, folded": srbench.fold(shared).eval(),
            "PS": shared,
        }
        lr = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
        times: dict[str, list[float]] = {label: [] for label in models}
        for round_number in range(ROUNDS + 3):
            for label in order.sample(list(models), len(models)):
                taken = seconds(models[label], lr)
                if round_number >= 3:  # warm-up
                    times[label].append(taken)
        medians = {label: statistics.median(values) for label, values in times.items()}
        print(f"  {name}, LR {size}x{size}")
        for label, median in medians.items():
            quartiles = statistics.quantiles(times[label], n=4)
            ratio = median / medians["dense"]
            line = (
                f"    {label:12} {1e3 * median:8.2f} ms (quartiles {1e3 * quartiles[0]:.2f}, {1e3 * quartiles[2]:.2f})"
            )
            line += f"  ratio {ratio:.3f}"
            if label == "PS, folded":
                missed |= ratio > BOUND
                line += f", bound {BOUND:.2f}: {'ok' if ratio <= BOUND else 'MISSED'}"
            print(line)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
