"""Latency of networks, measured so that networks can be compared.

All networks are timed in turns in one process, in a new random order each round, so that anything that slows down the
machine affects all of them alike. Times of one round are paired, so differences are judged by resampling rounds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from srbench.errors import ConfigError, CostError
from srbench.machine import check_threads, describe
from srbench.machine import tf32 as tf32_mode
from srbench.validation import first_line

__all__ = ["TIE", "Comparison", "Latencies", "Timing", "compare", "measure", "timed_pass"]

# A smaller difference is a tie even if it is significant: the placement of arrays in memory has effects of this size.
TIE = 0.02
WARM_UP = 3
LEAST_ROUNDS, MOST_ROUNDS = 7, 101
_RESAMPLED = 2000
_CONFIDENCE = 0.99


@dataclass(frozen=True)
class Timing:
    """The times of one network.

    Attributes:
        seconds: Time of one forward pass in each round.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median in seconds."""
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile in seconds."""
        low, high = np.quantile(self.seconds, [0.25, 0.75])
        return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """Ratio of two networks' times.

    Attributes:
        ratio: Ratio of the medians.
        low: Lower end of its 99% interval.
        high: Upper end.
    """

    ratio: float
    low: float
    high: float

    @property
    def tie(self) -> bool:
        """Whether the two cannot be distinguished: the interval reaches to within 2% of 1."""
        return self.low <= 1 + TIE and self.high >= 1 - TIE

    @property
    def verdict(self) -> str:
        """Return `tie`, `slower` or `faster`."""
        return "tie" if self.tie else "slower" if self.ratio > 1 else "faster"


@dataclass(frozen=True)
class Latencies:
    """Times of several networks, and how they were measured.

    Attributes:
        timings: One for each network, in their order.
        shape: Shape of the LR batch, `(N, 3, h, w)`.
        threads: CPU threads of torch.
        warm_up: Number of warm-up rounds, which do not count.
        tf32: Whether float32 products used TF32, which only GPUs have.
        before: The machine's state at the start (`machine.describe`).
        after: The same at the end.
    """

    timings: tuple[Timing, ...]
    shape: tuple[int, ...]
    threads: int
    device: str
    warm_up: int
    tf32: bool
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def rounds(self) -> int:
        """Number of times that each network was timed."""
        return len(self.timings[0].seconds)


def measure(
    models: Sequence[nn.Module],
    lr: Tensor,
    *,
    threads: int | None = None,
    seconds: float = 20.0,
    seed: int = 0,
    tf32: bool = False,
    progress: Callable[[int, float], None] | None = None,
) -> Latencies:
    """Time forward passes of several networks in turns.

    Rounds are repeated until the time is used up, at least 7 and at most 101 times.

    Args:
        models: Networks in evaluation mode, on the device of `lr`.
        lr: LR images `(N, 3, h, w)`.
        threads: CPU threads of torch; unchanged if not given.
        seconds: How long to measure, without the warm-up.
        seed: Seed of the order within rounds.
        tf32: Let a GPU round factors of float32 products to 10 bits.
        progress: Called with the round and the finished fraction of the work, 0..1.

    Raises:
        ConfigError: There is no network, or the number of threads or seconds is invalid.
        CostError: A network fails on these images.
    """
    if not models:
        raise ConfigError("there is no network to time; give at least one")
    if threads is not None:
        check_threads(threads)
    if not seconds > 0:
        raise ConfigError(f"seconds={seconds} is not a time; give a number above 0")
    order, device = random.Random(seed), lr.device
    before, used = describe(str(device)), torch.get_num_threads()
    times: list[list[float]] = [[] for _ in models]
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        with torch.inference_mode(), tf32_mode(tf32):
            _warm_up(models, lr)
            start = time.perf_counter()
            for number in range(MOST_ROUNDS):
                spent = time.perf_counter() - start
                if progress is not None:
                    progress(number, min(1.0, max(spent / seconds, number / MOST_ROUNDS)))
                if number >= LEAST_ROUNDS and spent >= seconds:
                    break
                for index in order.sample(range(len(models)), len(models)):
                    times[index].append(timed_pass(models[index], lr))
        after = describe(str(device))
        return Latencies(
            timings=tuple(Timing(tuple(several)) for several in times),
            shape=tuple(lr.shape),
            threads=torch.get_num_threads(),
            device=str(device),
            warm_up=WARM_UP,
            tf32=tf32,
            before=before,
            after=after,
        )
    finally:
        torch.set_num_threads(used)


def _warm_up(models: Sequence[nn.Module], lr: Tensor) -> None:
    for _ in range(WARM_UP):
        for model in models:
            try:
                timed_pass(model, lr)
            except RuntimeError as error:
                shape = "x".join(map(str, lr.shape))
                raise CostError(
                    f"a network cannot be timed: it fails on an LR batch of {shape} ({first_line(error)})"
                ) from error


def timed_pass(model: nn.Module, lr: Tensor) -> float:
    """Return the seconds of one forward pass, on a GPU until its work is done."""
    # GPU calls return before the work is done: synchronize before and after.
    _wait(lr)
    start = time.perf_counter()
    model(lr)
    _wait(lr)
    return time.perf_counter() - start


def _wait(lr: Tensor) -> None:
    if lr.device.type == "cuda":
        torch.cuda.synchronize(lr.device)


def compare(one: Timing, other: Timing, *, seed: int = 0) -> Comparison:
    """Return the ratio of the times of `one` and `other`, with a bootstrap interval over rounds.

    Raises:
        ConfigError: They were not timed in the same rounds.
    """
    if len(one.seconds) != len(other.seconds):
        raise ConfigError(
            f"times of {len(one.seconds)} and of {len(other.seconds)} rounds cannot be compared; time both together"
        )
    pairs = np.array([one.seconds, other.seconds])
    chosen = np.random.default_rng(seed).integers(0, pairs.shape[1], (_RESAMPLED, pairs.shape[1]))
    medians = np.median(pairs[:, chosen], axis=-1)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(medians[0] / medians[1], [tail, 1 - tail])
    return Comparison(one.median / other.median, float(low), float(high))
