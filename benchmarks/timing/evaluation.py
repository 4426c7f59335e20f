"""Time an evaluation on Set14 x2 against the network alone and against basicsr's own validation.

Bounds, for `carn_m.author` and for a tiny network:

- carn_m: the wall time of an evaluation is at most 1.10 times the sum of the bare forward passes;
- both: the time outside the forward passes is at most half of that of basicsr's `SRModel.nondist_validation` with the
  same metrics on the same images. For both, it is the wall time minus the bare forward passes with the same number of
  threads.

LR images are generated and models loaded beforehand. Each program is timed with its best setting, which is determined
first: the number of torch threads, then for basicsr the number of data loader workers. At least five interleaved
rounds are run, and as many more as fit in 40 seconds; the medians of each round's ratios and differences are compared.
Set14 and the weights must be in the cache (`srbench cache add`, or a download); otherwise nothing is timed, and a
message says so. Exit status 1 if a bound is missed.
"""

from __future__ import annotations

import operator
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch

import srbench
from srbench.compat.basicsr import load_basicsr
from srbench.data.datasets import Dataset
from srbench.errors import NetworkError
from srbench.evaluation.evaluate import evaluate
from srbench.images.files import write_png
from srbench.machine import usable_cores
from srbench.metrics.psnr import PSNRY
from srbench.metrics.ssim import SSIMY
from srbench.models.image_batch import image_batch
from srbench.protocols import get_protocol
from srbench.registry import get_dataset

SCALE = 2
PROTOCOL = get_protocol("matlab-y")
MODELS = ("carn_m.author", "edsr_tiny")
ROUNDS = int(os.environ.get("SRBENCH_BENCH_ROUNDS", "5"))
SECONDS = 40.0  # duration of all rounds; a small network's rounds are short and vary, so more of them are run
WALL_BOUND = {"carn_m.author": 1.10}  # of the sum of bare forward passes
OUTSIDE_BOUND = 0.5  # of basicsr's
T = TypeVar("T")
CORES = usable_cores()
THREADS = sorted({1, max(1, CORES // 2), CORES})


class Timed(torch.nn.Module):
    """A network with basicsr's interface: called with the batch only, returns the image only."""

    def __init__(self, model: srbench.Backbone) -> None:
        super().__init__()
        self.model = model

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """Return the SR images of LR images in 0..1."""
        return self.model.image(self.model(lr, SCALE))


def seconds_of(run: Callable[[], object], threads: int) -> float:
    torch.set_num_threads(threads)
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def bare(model: srbench.Backbone, batches: list[torch.Tensor]) -> None:
    with torch.inference_mode():
        for batch in batches:
            model.image(model(batch, SCALE))


def basicsr_validation(model: srbench.Backbone, folder: Path, workers: int) -> Callable[[], dict[str, float]]:
    """Return a function that runs basicsr's validation with a number of loader workers and returns the means."""
    load_basicsr()
    from basicsr.data.paired_image_dataset import PairedImageDataset
    from basicsr.models.sr_model import SRModel

    dataset = PairedImageDataset(
        {
            "name": "Set14",
            "phase": "val",
            "scale": SCALE,
            "dataroot_gt": str(folder / "hr"),
            "dataroot_lq": str(folder / "lr"),
            "io_backend": {"type": "disk"},
        }
    )
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=1, shuffle=False, num_workers=workers, persistent_workers=workers > 0
    )
    of_both = {"crop_border": SCALE, "test_y_channel": True}
    metrics = {name: {"type": f"calculate_{name}", **of_both} for name in ("psnr", "ssim")}
    judge: Any = SRModel.__new__(SRModel)  # skips training options, which validation does not read
    judge.opt = {"is_train": False, "name": "timing", "val": {"metrics": metrics, "pbar": False}, "dist": False}
    judge.device = torch.device("cpu")
    judge.net_g = Timed(model)

    def validate() -> dict[str, float]:
        judge.nondist_validation(loader, 0, None, save_img=False)
        return dict(judge.metric_results)

    import logging

    logging.getLogger("basicsr").setLevel(logging.ERROR)
    return validate


def images_as_files(dataset: Dataset, folder: Path) -> list[torch.Tensor]:
    """Write HR and LR images for basicsr, and return the LR images as batches."""
    batches = []
    for image in dataset.image_names():
        lr, hr = dataset.pair(image, SCALE, PROTOCOL)
        write_png(hr, folder / "hr" / f"{image}.png")
        write_png(lr, folder / "lr" / f"{image}.png")
        batches.append(image_batch(lr))
    return batches


def best(settings: Iterable[T], seconds: Callable[[T], float]) -> T:
    """Return the fastest setting, timed in a second run after a warm-up run."""
    return min(settings, key=lambda setting: (seconds(setting), seconds(setting))[1])


def compare(name: str, dataset: Dataset, folder: Path, batches: list[torch.Tensor]) -> bool:
    """Time one model, print the results, and return whether a bound was missed."""
    model = srbench.create_model(name, scale=SCALE, seed=0).eval()
    validations = {workers: basicsr_validation(model, folder, workers) for workers in sorted({0, 1, CORES})}

    def ours(threads: int) -> float:
        return seconds_of(
            lambda: evaluate(model, dataset, SCALE, PROTOCOL, [PSNRY(), SSIMY()], threads=threads), threads
        )

    def theirs(threads: int, workers: int) -> float:
        return seconds_of(validations[workers], threads)

    table = evaluate(model, dataset, SCALE, PROTOCOL, [PSNRY(), SSIMY()]).table
    means = validations[0]()
    print(f"  {name}: PSNR {table['psnr_y'].mean():.4f} dB, basicsr {means['psnr']:.4f} dB")
    our_threads = best(THREADS, ours)
    their_threads = best(THREADS, lambda threads: theirs(threads, 0))
    workers = best(validations, lambda workers: theirs(their_threads, workers))

    times: dict[str, list[float]] = {key: [] for key in ("wall", "bare", "their wall", "their bare")}
    end = time.perf_counter() + SECONDS
    while len(times["bare"]) < ROUNDS or time.perf_counter() < end:
        times["bare"].append(seconds_of(lambda: bare(model, batches), our_threads))
        times["wall"].append(ours(our_threads))
        times["their bare"].append(seconds_of(lambda: bare(model, batches), their_threads))
        times["their wall"].append(theirs(their_threads, workers))
    median = {key: statistics.median(values) for key, values in times.items()}

    def per_round(measure: Callable[[float, float], float], wall: str, network: str) -> float:
        return statistics.median(measure(a, b) for a, b in zip(times[wall], times[network], strict=True))

    outside = per_round(operator.sub, "wall", "bare")
    their_outside = per_round(operator.sub, "their wall", "their bare")
    missed = False

    def line(label: str, value: float, bound: float | None, unit: str = "") -> None:
        nonlocal missed
        verdict = "" if bound is None else f", bound {bound:.2f}: {'ok' if value <= bound else 'MISSED'}"
        missed |= bound is not None and value > bound
        print(f"    {label:44} {value:7.3f}{unit}{verdict}")

    print(f"    medians of {len(times['bare'])} rounds")
    line(f"evaluation, {our_threads} thread(s), 2 helpers: wall", median["wall"], None, " s")
    line(f"  bare forward passes, {our_threads} thread(s)", median["bare"], None, " s")
    line("  wall / bare", per_round(operator.truediv, "wall", "bare"), WALL_BOUND.get(name))
    line(f"basicsr, {their_threads} thread(s), {workers} worker(s): wall", median["their wall"], None, " s")
    line(f"  bare forward passes, {their_threads} thread(s)", median["their bare"], None, " s")
    line("outside the forward passes", outside, None, " s")
    line("  basicsr's", their_outside, None, " s")
    line("  ratio", outside / their_outside, OUTSIDE_BOUND)
    for key, values in times.items():
        low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
        print(f"      quartiles of {key}: {low:.3f} s, {high:.3f} s")
    return missed


def main() -> int:
    warnings.simplefilter("ignore")
    dataset = get_dataset("Set14")
    try:
        for image in dataset.image_names():
            dataset.hr(image)
        srbench.create_model(MODELS[0], scale=SCALE)
    except NetworkError as error:
        print(f"not timed: {error}")
        return 0
    print(f"evaluation of Set14 x{SCALE}, {CORES} cores, torch {torch.__version__}")
    with tempfile.TemporaryDirectory(prefix="srbench-") as text:
        folder = Path(text)
        batches = images_as_files(dataset, folder)
        missed = [compare(name, dataset, folder, batches) for name in MODELS]
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
