"""Times of many networks of very different cost, within a given time.

Every network is timed in turns with all others. A slow one takes part in fewer rounds, spread over all of them, so
that what slows the machine down for a while does not meet one network alone.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from srbench.cost.latency import timed_pass
from srbench.machine import tf32 as tf32_mode
from srbench.validation import first_line

__all__ = ["MOST_PASSES", "planned_passes", "rounds_of", "time_in_turns"]

MOST_PASSES = 51
_QUICK, _WARM_UPS = 1.0, 3  # a network that needs less than so many seconds is warmed up so many times


def planned_passes(seconds_each: Mapping[str, float], seconds: float, *, least: int) -> dict[str, int]:
    """Return how often to time each network: as often as the time allows, and at least `least` times.

    All get the same share of the time, up to `MOST_PASSES`.

    Args:
        seconds_each: Network -> about how long a pass takes.
        seconds: The time for all.
        least: The least number of passes of each.
    """

    def plan(share: float) -> dict[str, int]:
        return {name: min(max(least, int(share / each)), MOST_PASSES) for name, each in seconds_each.items()}

    low, high = 0.0, max(MOST_PASSES * max(seconds_each.values(), default=0.0), seconds)
    for _ in range(60):
        middle = (low + high) / 2
        if sum(count * seconds_each[name] for name, count in plan(middle).items()) <= seconds:
            low = middle
        else:
            high = middle
    return plan(low)


def rounds_of(passes: Mapping[str, int]) -> list[list[str]]:
    """Return which networks take part in each round, so that each is spread evenly over all of them."""
    most = max(passes.values(), default=0)
    return [
        [name for name, count in passes.items() if math.floor((turn + 1) * count / most) > turn * count // most]
        for turn in range(most)
    ]


def time_in_turns(
    networks: Mapping[str, nn.Module],
    lr: Tensor,
    *,
    threads: int,
    seconds: float,
    least: int,
    done: Mapping[str, int],
    timed: Callable[[str, float], None],
    failed: Callable[[str, str], None],
    after_round: Callable[[float, str], None],
    seed: int = 0,
    tf32: bool = False,
) -> None:
    """Time forward passes of networks in turns, in a new random order in each round.

    Args:
        networks: Name -> network in evaluation mode, on the device of `lr`.
        lr: One LR image `(1, 3, h, w)`.
        threads: CPU threads of torch.
        seconds: How long to measure, the warm-up included; exceeded where the least passes need longer.
        least: The least number of passes of each network.
        done: Network -> passes that there are already.
        timed: Receives a network and the seconds of a pass that counts.
        failed: Receives a network that fails on this image, and why.
        after_round: Called after each round with the finished share, 0..1, and the round in words.
        seed: Decides the order.
        tf32: Let a GPU round factors of float32 products to 10 bits.
    """
    order, used, start = random.Random(seed), torch.get_num_threads(), time.perf_counter()
    try:
        torch.set_num_threads(threads)
        with torch.inference_mode(), tf32_mode(tf32):
            each: dict[str, float] = {}
            for number, (name, network) in enumerate(networks.items()):
                try:
                    each[name] = _warmed_up(network, lr)
                except RuntimeError as error:
                    failed(name, first_line(error))
                after_round(0.0, f"warm-up {number + 1} of {len(networks)}: {name}")
            left = seconds - (time.perf_counter() - start) + sum(done.get(name, 0) * each[name] for name in each)
            plan = planned_passes(each, left, least=least)
            rounds = rounds_of({name: max(0, count - done.get(name, 0)) for name, count in plan.items()})
            work = sum(each[name] for names in rounds for name in names) or 1.0
            spent = 0.0
            for number, names in enumerate(rounds):
                for name in order.sample(names, len(names)):
                    timed(name, timed_pass(networks[name], lr))
                    spent += each[name]
                after_round(min(1.0, spent / work), f"round {number + 1} of {len(rounds)}, {len(names)} networks")
    finally:
        torch.set_num_threads(used)


def _warmed_up(network: nn.Module, lr: Tensor) -> float:
    """Run a network before its passes count, and return how long the last of these passes took."""
    took = timed_pass(network, lr)
    for _ in range(_WARM_UPS - 1):
        if took < _QUICK:
            took = timed_pass(network, lr)
    return took
