"""The time left that a run tells, where standard error is no terminal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from srbench.cli import progress as module
from srbench.runs.job import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    return clock


def test_time_left_is_reckoned_for_each_data_set_by_itself(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model = SimpleNamespace(label="net x2")
    told = module.RunProgress()

    def tell(seconds: float, *progress: Any) -> str:
        clock.now += seconds
        told.progressed(model, Progress(*progress))  # type: ignore[arg-type]
        return capsys.readouterr().err.strip()

    assert tell(0, "check", 0, 0) == "checking net x2"
    assert tell(1, "evaluate", 0, 5, "Set5") == "evaluating net x2 0/5 Set5"
    assert tell(20, "evaluate", 1, 5, "Set5") == ""  # a line every half minute at most
    assert tell(20, "evaluate", 2, 5, "Set5") == "evaluating net x2 2/5, 1:00 left Set5"
    assert tell(9, "evaluate", 5, 5, "Set5") == ""
    # Set14 begins: what Set5 took is no part of it.
    assert tell(1, "evaluate", 0, 14, "Set14") == ""
    assert tell(10, "evaluate", 1, 14, "Set14") == ""
    assert tell(10, "evaluate", 2, 14, "Set14") == "evaluating net x2 2/14, 2:00 left Set14"


def test_preparation_of_images_is_told_where_standard_error_is_no_terminal(
    clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from srbench.cli import train

    with train._bar(100) as (_, preparing):
        for seconds, done in ((1, 1), (8, 2), (2, 3), (9, 4)):
            clock.now += seconds
            preparing(done, 800)
    assert capsys.readouterr().err == "preparing images: 3/800\n"  # a line every ten seconds at most
