"""A run's description tells the models that were added to a suite from those that it names."""

from __future__ import annotations

from srbench.results.origins import Planned
from srbench.runs.planner import make_plan
from srbench.suite.definition import Suite

SUITE = Suite.model_validate(
    {
        "name": "some",
        "scale": 2,
        "models": ["bicubic", "edsr_tiny"],
        "datasets": ["embedded-test"],
        "train": {"data": "embedded-train", "iterations": 1},
    }
)
ADDED = "edsr_tiny+recursive"


def described(suite: Suite, models: str | None = None) -> Planned:
    return make_plan(suite, models_glob=models).described


def test_models_that_were_added_are_told_from_the_suites() -> None:
    larger = SUITE.with_models([ADDED])
    assert described(SUITE).added == []
    assert described(larger).added == [ADDED]
    assert list(described(larger).models) == ["bicubic", "edsr_tiny", ADDED]
    assert described(larger, "bicubic").added == []


def test_a_later_run_keeps_what_an_earlier_one_added() -> None:
    earlier = described(SUITE.with_models([ADDED]))
    later = make_plan(SUITE, models_glob="bicubic").described_after(earlier)
    assert later.added == [ADDED]
    assert ADDED not in later.models
    more = make_plan(SUITE.with_models(["edsr_tiny+dense"])).described_after(earlier)
    assert more.added == [ADDED, "edsr_tiny+dense"]


def test_a_model_that_the_suite_has_come_to_name_is_not_added() -> None:
    earlier = described(SUITE.with_models([ADDED]))
    grown = SUITE.model_copy(update={"models": SUITE.with_models([ADDED]).models})
    assert make_plan(grown).described_after(earlier).added == []
