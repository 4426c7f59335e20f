"""Peak memory as the kernel sees it, beside what shapes say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from srbench.cost.counts import work_at
from srbench.cost.memory import peak_on_cpu, peak_on_cuda
from srbench.cost.operators import on_meta
from srbench.errors import ConfigError, CostError
from srbench.models.factory import create_model


def test_a_process_grows_by_at_least_what_lives_at_once() -> None:
    # From shapes 20 MiB; operators hold copies besides, in a layout of their own.
    expected = work_at(on_meta(create_model("edsr_tiny", scale=2, seed=0)), 2, 136, 136).peak_bytes
    measured = peak_on_cpu("edsr_tiny", 2, 136, 136)
    assert 0.9 * expected < measured < 4 * expected


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(CostError, match=r"the peak memory of 'edsr_tinny' could not be measured: .*edsr_tinny"):
        peak_on_cpu("edsr_tinny", 2, 16, 16)


def test_a_process_of_no_sensible_number_of_threads_is_not_started() -> None:
    with pytest.raises(ConfigError, match="threads=99999999999 is not a whole number of at least 1 and at most 1,024"):
        peak_on_cpu("edsr_tiny", 2, 16, 16, threads=99_999_999_999)


def test_a_network_that_fails_on_the_gpu_is_an_error() -> None:
    with pytest.raises(CostError, match=r"the network fails on an LR batch of 1x3x2x2 \(Given groups=1, .*--lr-size"):
        peak_on_cuda(nn.Conv2d(4, 1, 1), torch.zeros(1, 3, 2, 2))
