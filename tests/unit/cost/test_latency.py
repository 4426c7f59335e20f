"""Times: taken in turns, compared in pairs, and a network against itself is a tie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from srbench.cost.latency import LEAST_ROUNDS, WARM_UP, Timing, compare, measure
from srbench.cost.latency_rounds import time_in_turns
from srbench.errors import ConfigError, CostError
from srbench.machine import check_tf32


class Logged(nn.Module):
    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__()
        self.name, self.log = name, log

    def forward(self, lr: Tensor) -> Tensor:
        self.log.append(self.name)
        return lr


def test_networks_take_turns_in_changing_order_and_the_warm_up_does_not_count() -> None:
    log: list[str] = []
    threads = torch.get_num_threads()
    found = measure([Logged("a", log), Logged("b", log)], torch.zeros(1, 3, 4, 5), seconds=1e-6, threads=1)
    assert found.rounds == LEAST_ROUNDS
    assert found.shape == (1, 3, 4, 5)
    assert (found.threads, torch.get_num_threads()) == (1, threads)
    rounds = ["".join(log[i : i + 2]) for i in range(0, len(log), 2)]
    assert len(rounds) == WARM_UP + LEAST_ROUNDS
    assert set(rounds[WARM_UP:]) == {"ab", "ba"}
    assert {"device", "governor", "clock_mhz", "turbo", "load", "cores", "torch"} <= set(found.before)


def times(seed: int, factor: float = 1.0, *, rounds: int = 40) -> Timing:
    """Draw times of one network: a common drift of the machine, and noise of its own."""
    drift = 1 + 0.3 * np.sin(np.arange(rounds) / 5)
    noise = np.random.default_rng(seed).lognormal(0, 0.01, rounds)
    return Timing(tuple(0.05 * factor * drift * noise))


def test_a_network_against_itself_is_a_tie_whatever_the_machine_does(seed: int) -> None:
    verdicts = [compare(times(seed + 2 * i), times(seed + 2 * i + 1)).verdict for i in range(50)]
    assert verdicts == ["tie"] * 50


def test_a_real_difference_is_none(seed: int) -> None:
    slow, fast = times(seed, 1.4), times(seed + 1)
    assert compare(slow, fast).verdict == "slower"
    assert compare(fast, slow).verdict == "faster"
    found = compare(slow, fast)
    assert found.low <= found.ratio <= found.high
    assert found.ratio == pytest.approx(1.4, rel=0.15)


def test_equal_times_have_a_ratio_of_one() -> None:
    same = Timing((0.1, 0.2, 0.3, 0.1, 0.2))
    assert (compare(same, same).ratio, compare(same, same).low, compare(same, same).high) == (1, 1, 1)
    assert same.median == 0.2
    assert same.quartiles == (0.1, 0.2)


def test_what_cannot_be_measured_is_refused() -> None:
    lr = torch.zeros(1, 3, 4, 4)
    with pytest.raises(ConfigError, match="no network to time"):
        measure([], lr)
    with pytest.raises(ConfigError, match="seconds=0"):
        measure([nn.Identity()], lr, seconds=0)
    with pytest.raises(ConfigError, match="threads=0"):
        measure([nn.Identity()], lr, threads=0)
    with pytest.raises(ConfigError, match="times of 2 and of 3 rounds cannot be compared"):
        compare(Timing((1.0, 2.0)), Timing((1.0, 2.0, 3.0)))
    with pytest.raises(CostError, match="fails on an LR batch of 1x3x4x4"):
        measure([nn.Conv2d(4, 4, 3)], lr)


class SeesTF32(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[bool, bool]] = set()

    def forward(self, lr: Tensor) -> Tensor:
        self.seen.add((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
        return lr


def by_measure(network: nn.Module, tf32: bool) -> bool:
    return measure([network], torch.zeros(1, 3, 4, 4), seconds=1e-6, tf32=tf32).tf32


def by_turns(network: nn.Module, tf32: bool) -> bool:
    passes: list[str] = []
    time_in_turns(
        {"a": network}, torch.zeros(1, 3, 4, 4), threads=1, seconds=1e-6, least=3, done={}, tf32=tf32,
        timed=lambda name, _: passes.append(name), failed=lambda name, why: None, after_round=lambda share, words: None,
    )  # fmt: skip
    assert len(passes) >= 3
    return tf32


@pytest.mark.parametrize("time", [by_measure, by_turns])
@pytest.mark.parametrize("tf32", [False, True])
def test_tf32_is_off_while_networks_are_timed_unless_it_is_asked_for(
    time: Callable[[nn.Module, bool], bool], tf32: bool
) -> None:
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    try:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, True  # torch's defaults
        network = SeesTF32()
        assert time(network, tf32) is tf32
        assert network.seen == {(tf32, tf32)}
        assert [backend.allow_tf32 for backend in backends] == [False, True]
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def test_tf32_is_refused_where_it_changes_nothing() -> None:
    with pytest.raises(ConfigError, match="TF32 is a mode of NVIDIA GPUs, and the device is cpu; leave out --tf32"):
        check_tf32("cpu")
    with pytest.raises(ConfigError, match="a mode of float32 products, and the type is float16"):
        check_tf32("cuda", "float16")
