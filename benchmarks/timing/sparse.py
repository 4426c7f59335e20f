"""Time SMSR's inference paths on Set5 with the authors' weights: sparse, masked dense, and without masks.

Bounds: sparse is faster than the network without masks over all five images together, and 1.4 times faster on `baby`;
on no image does it take more than 1.03 times as long as masked dense; its peak memory is at most 1.2 times that of the
network without masks. Runs are interleaved in an order that changes from round to round, each path in its faster memory
format; a second network without masks shows the noise of the machine. Two pinned threads.

Weights and images are read from the cache (`srbench cache add PATH...`) or downloaded. Exit status 1 if a bound is
missed.
"""

from __future__ import annotations

import os
import sys

THREADS = int(os.environ.get("SRBENCH_TIMING_THREADS", "2"))
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = str(THREADS)

import random  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import srbench  # noqa: E402
from srbench.cost.memory import resident  # noqa: E402
from srbench.data.datasets import open_dataset  # noqa: E402
from srbench.errors import SRBenchError  # noqa: E402
from srbench.models.image_batch import image_batch  # noqa: E402
from srbench_sparse_mask.surgery import with_path  # noqa: E402

WARM_UP, ROUNDS = 2, int(os.environ.get("SRBENCH_TIMING_ROUNDS", "11"))
PATHS = {"dense": "dense", "dense again": "dense", "masked dense": "masked_dense", "sparse": "sparse"}
FORMATS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}
FASTER_ON_BABY, OVER_MASKED, MEMORY = 1.4, 1.03, 1.2
MEMORY_IMAGES = ("baby", "butterfly")


def pin() -> str:
    torch.set_num_threads(THREADS)
    if not hasattr(os, "sched_setaffinity"):
        return f"{THREADS} threads, not pinned"
    cores = sorted(os.sched_getaffinity(0))[-THREADS:]
    os.sched_setaffinity(0, cores)
    return f"{THREADS} threads pinned to cores {', '.join(map(str, cores))}"


def image(name: str) -> Tensor:
    lr = open_dataset("Set5").lr(name, 2, srbench.get_protocol("matlab-y"))
    return image_batch(lr)


def network(path: str, memory_format: str) -> nn.Module:
    model = with_path(srbench.create_model("smsr.author", scale=2).eval(), path)
    return model.to(memory_format=FORMATS[memory_format])  # type: ignore[call-overload, no-any-return]


def seconds(model: nn.Module, lr: Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        model(lr)
    return time.perf_counter() - start


def best_formats(lr: Tensor) -> dict[str, str]:
    """Return the faster memory format of each path, by the minimum of a few interleaved runs."""
    models = {(path, name): network(path, name) for path in dict.fromkeys(PATHS.values()) for name in FORMATS}
    inputs = {name: lr.contiguous(memory_format=memory_format) for name, memory_format in FORMATS.items()}
    least = dict.fromkeys(models, float("inf"))
    for _ in range(5):
        for (path, name), model in models.items():
            least[path, name] = min(least[path, name], seconds(model, inputs[name]))
    return {path: min(FORMATS, key=lambda name: least[path, name]) for path in dict.fromkeys(PATHS.values())}


def peak_in_this_process(path: str, memory_format: str, name: str) -> int:
    """Return the growth of this process in MB during a forward pass, after one on a tiny image."""
    model, lr = network(path, memory_format), image(name).contiguous(memory_format=FORMATS[memory_format])
    seconds(model, torch.rand(1, 3, 8, 8))
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    seconds(model, lr)
    return (resident("VmHWM") - before) // 2**20


def peak(path: str, memory_format: str, name: str) -> int:
    done = subprocess.run(
        [sys.executable, __file__, "--peak", path, memory_format, name], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


def verdict(value: float, bound: float, *, least: bool = False) -> tuple[str, bool]:
    kept = value >= bound if least else value <= bound
    return f"{value:.3f}, bound {bound:.2f}: {'ok' if kept else 'MISSED'}", not kept


def main() -> int:
    machine = pin()
    names = open_dataset("Set5").image_names()
    lrs = {name: image(name) for name in names}
    formats = best_formats(lrs["bird"])
    print(f"smsr.author x2 on Set5, {machine}, torch {torch.__version__}, medians of {ROUNDS} interleaved rounds")
    print(f"  memory formats: {', '.join(f'{path} {name}' for path, name in formats.items())}")
    models = {label: network(path, formats[path]) for label, path in PATHS.items()}
    inputs = {
        (label, name): lr.contiguous(memory_format=FORMATS[formats[path]])
        for label, path in PATHS.items()
        for name, lr in lrs.items()
    }
    times: dict[tuple[str, str], list[float]] = {key: [] for key in inputs}
    order, keys = random.Random(0), list(inputs)
    for turn in range(WARM_UP + ROUNDS):
        for key in order.sample(keys, len(keys)):
            taken = seconds(models[key[0]], inputs[key])
            if turn >= WARM_UP:
                times[key].append(taken)
    medians = {key: statistics.median(values) for key, values in times.items()}
    missed = False
    for name in names:
        shown = "  ".join(f"{label} {1e3 * medians[label, name]:7.1f} ms" for label in PATHS)
        dense, masked, sparse = (medians[label, name] for label in ("dense", "masked dense", "sparse"))
        against_masked, bad = verdict(sparse / masked, OVER_MASKED)
        missed |= bad
        print(f"  {name:10}{shown}  dense/sparse {dense / sparse:.2f}  sparse/masked {against_masked}")
    totals = {label: sum(medians[label, name] for name in names) for label in PATHS}
    print(f"  {'all':10}" + "  ".join(f"{label} {1e3 * total:7.1f} ms" for label, total in totals.items()))
    print(f"  the same twice: dense again/dense {totals['dense again'] / totals['dense']:.3f}")
    shown, bad = verdict(totals["sparse"] / totals["dense"], 1.0)
    print(f"  all: sparse/dense {shown}")
    missed |= bad
    shown, bad = verdict(medians["dense", "baby"] / medians["sparse", "baby"], FASTER_ON_BABY, least=True)
    print(f"  baby: dense/sparse {shown}")
    missed |= bad
    if not Path("/proc/self/clear_refs").exists():
        print("  peak memory: only available on Linux")
        return int(missed)
    for name in MEMORY_IMAGES:
        peaks = {path: peak(path, formats[path], name) for path in formats}
        shown, bad = verdict(peaks["sparse"] / peaks["dense"], MEMORY)
        missed |= bad
        sizes = ", ".join(f"{path} {size} MB" for path, size in peaks.items())
        print(f"  {name}: peak memory {sizes}; sparse/dense {shown}")
    return int(missed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        pin()
        print(peak_in_this_process(*sys.argv[2:5]))
        sys.exit(0)
    try:
        sys.exit(main())
    except SRBenchError as error:
        sys.exit(f"cannot time the sparse path: {error}")
