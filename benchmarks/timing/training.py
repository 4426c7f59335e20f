"""Time a training iteration (batch, step, average of the weights) against bare network, loss and optimiser.

Bound: less than 1.15 times the bare step for the smallest network, where overhead matters most; one thread, medians,
interleaved. Exit status 1 if it is missed.
"""

from __future__ import annotations

import os

THREADS = 1
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = str(THREADS)

import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

from srbench.models.factory import create_model  # noqa: E402
from srbench.training.basicsr_model import SRBenchModel  # noqa: E402
from srbench.training.patches import TrainingPatches  # noqa: E402
from srbench.training.recipe import make_recipe  # noqa: E402

MODEL = "edsr_tiny"
WARM_UP = 20
ROUNDS = 200
BOUND = 1.15


def main() -> int:
    torch.set_num_threads(THREADS)
    rng = np.random.default_rng(0)
    images = {str(n): rng.integers(0, 256, (256, 256, 3), dtype=np.uint8) for n in range(6)}
    recipe = make_recipe(
        {
            "iterations": WARM_UP + ROUNDS,
            "batch_size": 4,
            "gt_size": 32,
            "ema_decay": 0.999,
            "scheduler": {"type": "MultiStepRestartLR", "milestones": [100]},
        }
    )
    patches = TrainingPatches(images, recipe, (2,))
    model = SRBenchModel(create_model(MODEL, scale=2, seed=0), recipe, torch.device("cpu"))
    net = create_model(MODEL, scale=2, seed=0)
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr, fused=True)
    fixed = patches.batch(1)

    def bare(_: int) -> None:
        optimizer.zero_grad()
        torch.nn.functional.l1_loss(net(fixed.lr), fixed.hr).backward()
        optimizer.step()

    candidates: dict[str, Callable[[int], object]] = {
        "bare step": bare,
        "batch": patches.batch,
        "iteration": lambda iteration: model.step(patches.batch(iteration), iteration),
    }
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for iteration in range(1, WARM_UP + ROUNDS + 1):
        for name, run in candidates.items():
            start = time.perf_counter()
            run(iteration)
            if iteration > WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - start))
    print(f"training {MODEL} x2, 4 patches of 32x32, {THREADS} thread, medians of {ROUNDS} (quartiles)")
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"  {name:10} {middle:7.2f} ms ({low:.2f} to {high:.2f})")
    ratio = statistics.median(times["iteration"]) / statistics.median(times["bare step"])
    print(f"  iteration / bare step {ratio:.3f}, bound {BOUND:.2f}: {'ok' if ratio < BOUND else 'MISSED'}")
    return int(ratio >= BOUND)


if __name__ == "__main__":
    sys.exit(main())
