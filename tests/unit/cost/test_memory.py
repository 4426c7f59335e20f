"""Peak memory as the kernel sees it, beside what shapes say."""

from __future__ import annotations

import pytest

from srbench.cost.counts import work_at
from srbench.cost.memory import peak_on_cpu
from srbench.cost.operators import on_meta
from srbench.errors import CostError
from srbench.factory import create_model


def test_a_process_grows_by_at_least_what_lives_at_once() -> None:
    # From shapes 20 MiB; operators hold copies besides, in a layout of their own.
    expected = work_at(on_meta(create_model("edsr_tiny", scale=2, seed=0)), 2, 136, 136).peak_bytes
    measured = peak_on_cpu("edsr_tiny", 2, 136, 136)
    assert 0.9 * expected < measured < 4 * expected


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(CostError, match=r"the peak memory of 'edsr_tinny' could not be measured: .*edsr_tinny"):
        peak_on_cpu("edsr_tinny", 2, 16, 16)
