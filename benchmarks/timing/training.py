"""Time a training iteration (batch, step, average of the weights) against bare network, loss and optimizer.

Bounds, with one thread, medians of interleaved rounds; exit status 1 if one is missed:

- edsr_tiny on small patches, where overhead matters most: less than 1.15 times the bare step.
- edsr_baseline, 16 LR patches of 48x48: at least 0.95 of the speed of the bare step, i.e. at most 1.053 times its time.
- The same with Partial filter-Sharing (ratio 1/4): at most 1.10 times an iteration of the dense network.

A step of edsr_baseline takes seconds on a CPU, so its rounds end after 5 minutes if there were at least 3. `--rounds N`
changes their number. `--settings` measures channels-last and 1 or 2 threads instead, without a bound.
"""

from __future__ import annotations

import os

THREADS = 1
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = str(THREADS)

import argparse  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Mapping, Sequence  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

from srbench.models.factory import create_model  # noqa: E402
from srbench.training.basicsr_model import SRBenchModel  # noqa: E402
from srbench.training.patches import TrainingPatches  # noqa: E402
from srbench.training.recipe import Recipe, make_recipe  # noqa: E402

SCALE = 2
LIMIT, LEAST_ROUNDS = 300.0, 3
PS = "edsr_baseline+ps(ratio=1/4)"
TINY = {"batch_size": 4, "gt_size": 32}
LARGE = {"batch_size": 16, "lr_size": 48}
AVERAGED = {"ema_decay": 0.999, "scheduler": {"type": "MultiStepRestartLR", "milestones": [100]}}

Step = Callable[[int], object]


@dataclass(frozen=True)
class Bound:
    """The time of one candidate may be at most `most` times that of another."""

    what: str
    to: str
    most: float


def patches_of(settings: Mapping[str, Any]) -> TrainingPatches:
    rng = np.random.default_rng(0)
    images = {str(n): rng.integers(0, 256, (256, 256, 3), dtype=np.uint8) for n in range(6)}
    return TrainingPatches(images, make_recipe({"iterations": 1000, **settings}), (SCALE,))


def iteration_of(name: str, patches: TrainingPatches) -> Step:
    """Return an iteration as a training makes it: a new batch and a step."""
    model = SRBenchModel(create_model(name, scale=SCALE, seed=0), patches.recipe, torch.device("cpu"))
    return lambda iteration: model.step(patches.batch(iteration), iteration)


def bare_step_of(name: str, patches: TrainingPatches) -> Step:
    """Return a plain PyTorch step with the same optimizer on a batch that is there already."""
    net, recipe, fixed = create_model(name, scale=SCALE, seed=0), patches.recipe, patches.batch(1)
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr, betas=recipe.betas, fused=True)

    def bare(_: int) -> None:
        optimizer.zero_grad()
        torch.nn.functional.l1_loss(net(fixed.lr), fixed.hr).backward()
        optimizer.step()

    return bare


def timed(candidates: Mapping[str, Step], warm_up: int, rounds: int) -> dict[str, list[float]]:
    """Return milliseconds per call of each candidate; each round begins with another one.

    After `LIMIT` seconds there are no more rounds, if there were `LEAST_ROUNDS`.
    """
    began = time.monotonic()
    names = list(candidates)
    times: dict[str, list[float]] = {name: [] for name in names}
    for iteration in range(1, warm_up + rounds + 1):
        if iteration > warm_up + LEAST_ROUNDS and time.monotonic() - began > LIMIT:
            break
        first = iteration % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            candidates[name](iteration)
            if iteration > warm_up:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def report(title: str, times: Mapping[str, Sequence[float]], bounds: Sequence[Bound]) -> bool:
    """Print medians, quartiles and ratios; return whether all bounds are met."""
    print(f"{title}, medians of {min(map(len, times.values()))} rounds (quartiles)")
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
        print(f"  {name:38} {middle:9.2f} ms ({low:.2f} to {high:.2f})")
    met = True
    for bound in bounds:
        ratio = statistics.median(times[bound.what]) / statistics.median(times[bound.to])
        word = "ok" if ratio <= bound.most else "MISSED"
        print(f"  {bound.what} / {bound.to}: {ratio:.3f}, bound {bound.most:.3f}: {word}")
        met = met and ratio <= bound.most
    sys.stdout.flush()
    return met


def check_bounds(rounds: int) -> bool:
    tiny, large = patches_of({**TINY, **AVERAGED}), patches_of(LARGE)
    small = {
        "bare step": bare_step_of("edsr_tiny", tiny),
        "batch": tiny.batch,
        "iteration": iteration_of("edsr_tiny", tiny),
    }
    met = report(
        f"edsr_tiny x{SCALE}, 4 patches of 32x32, {THREADS} thread",
        timed(small, 20, 200),
        [Bound("iteration", "bare step", 1.15)],
    )
    baseline = {
        "bare step": bare_step_of("edsr_baseline", large),
        "iteration": iteration_of("edsr_baseline", large),
        f"iteration of {PS}": iteration_of(PS, large),
    }
    return (
        report(
            f"edsr_baseline x{SCALE}, 16 LR patches of 48x48, {THREADS} thread",
            timed(baseline, 1, rounds),
            [Bound("iteration", "bare step", 1 / 0.95), Bound(f"iteration of {PS}", "iteration", 1.10)],
        )
        and met
    )


def measure_settings(rounds: int) -> None:
    """Print the time of an iteration with both memory formats and 1 or 2 threads."""
    for name, settings, many in (("edsr_tiny", TINY, 20 * rounds), ("edsr_baseline", LARGE, rounds)):
        candidates: dict[str, Step] = {}
        for channels_last in (False, True):
            iteration = iteration_of(name, patches_of({**settings, "channels_last": channels_last}))
            for threads in (1, 2):

                def step(number: int, iteration: Step = iteration, threads: int = threads) -> object:
                    torch.set_num_threads(threads)
                    return iteration(number)

                form = "channels last" if channels_last else "contiguous"
                candidates[f"{form}, {threads} thread{'s' if threads > 1 else ''}"] = step
        sizes = Recipe(iterations=1, **settings).patch_size
        report(f"{name} x{SCALE}, {settings['batch_size']} patches of {sizes}", timed(candidates, 1, many), [])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--settings", action="store_true", help="measure channels-last and threads; no bound")
    parser.add_argument("--rounds", type=int, default=12, help="rounds of edsr_baseline")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    if options.settings:
        measure_settings(options.rounds)
        return 0
    return int(not check_bounds(options.rounds))


if __name__ == "__main__":
    sys.exit(main())
