"""Measure time and memory of a training step of MS-LapSRN with and without a tied up-convolution.

Hyun et al. (NeurIPS 2024 workshop) say that training time depends on the number of parameters, and that 36,864 fewer
save CMS-LapSRN about 21,700 s of a training at x8. There is no bound; measurements are printed. Times are medians of
interleaved steps with one thread; memory is the peak of all live tensors in a step (PyTorch's profiler), including
weights, gradients and Adam's moments.
"""

from __future__ import annotations

import json
import os
import tempfile

THREADS = 1
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = str(THREADS)
os.environ["KINETO_LOG_LEVEL"] = "5"  # suppresses the profiler's messages

import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

from srbench.models.counting import count_parameters  # noqa: E402
from srbench.models.factory import create_model  # noqa: E402
from srbench.training.basicsr_model import SRBenchModel  # noqa: E402
from srbench.training.patches import TrainingPatches  # noqa: E402
from srbench.training.recipe import make_recipe  # noqa: E402

SCALE = 2
BASE = "ms_lapsrn_r8"
MODELS = (BASE, f"{BASE}+tied_tconv(conv=3)", f"{BASE}+tied_tconv(conv=mix)")
WARM_UP = 3
ROUNDS = 25
BATCH, PATCH = 4, 32


def main() -> int:
    torch.set_num_threads(THREADS)
    rng = np.random.default_rng(0)
    images = {str(n): rng.integers(0, 256, (128, 128, 3), dtype=np.uint8) for n in range(4)}
    recipe = make_recipe(
        {
            "iterations": WARM_UP + ROUNDS,
            "batch_size": BATCH,
            "gt_size": PATCH,
            "lr": 1e-4,
            "weight_decay": 1e-4,
            "loss": "CharbonnierLoss",
        }
    )
    patches = TrainingPatches(images, recipe, (SCALE,))
    trained = {
        name: SRBenchModel(create_model(name, scale=SCALE, seed=0), recipe, torch.device("cpu")) for name in MODELS
    }
    times: dict[str, list[float]] = {name: [] for name in MODELS}
    for iteration in range(1, WARM_UP + ROUNDS + 1):
        batch = patches.batch(iteration)
        # Each round begins with another model, so that the state of the caches favours none.
        for name in (*MODELS[iteration % len(MODELS) :], *MODELS[: iteration % len(MODELS)]):
            start = time.perf_counter()
            trained[name].step(batch, iteration)
            if iteration > WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - start))
    print(f"training x{SCALE}, {BATCH} patches of {PATCH}x{PATCH}, {THREADS} thread, medians of {ROUNDS} (quartiles)")
    for name in MODELS:
        low, middle, high = statistics.quantiles(times[name], n=4)
        size = count_parameters(trained[name].net_g)
        pairs = [a / b for a, b in zip(times[name], times[BASE], strict=True)]
        print(
            f"  {name:33} {size:7,} parameters {middle:7.1f} ms ({low:.1f} to {high:.1f}),"
            f" {statistics.median(pairs):.3f} of {BASE}, peak {peak(trained[name], patches) / 2**20:.2f} MiB"
        )
    return 0


def peak(model: SRBenchModel, patches: TrainingPatches) -> float:
    """Return the peak size of live tensors during a step in bytes, including those that existed before it."""
    batch = patches.batch(1)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        model.step(batch, WARM_UP + ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = [
            event["args"]
            for event in json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
            if event.get("name") == "[memory]"
        ]
    used = highest = 0
    for event in events:
        used += int(event["Bytes"])
        highest = max(highest, used)
    kept = sum(p.numel() * p.element_size() for p in model.net_g.parameters())
    return highest + 3 * kept  # the weights and Adam's two moments existed before


if __name__ == "__main__":
    sys.exit(main())
