"""Run the checks: before a measurement, in `srbench check`, or with Hypothesis in a plugin's tests."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from srbench.models.backbone import Backbone
from srbench.models.factory import create_model
from srbench.registry import canonical_name, tagged_source
from srbench.registry.names import ModelName
from srbench.testing.checks import CHECKS
from srbench.testing.outcomes import Outcome, checks_of, expected_failures_of, outcome_of
from srbench.testing.subject import Check, CheckFailedError, Example, Subject

__all__ = ["check_model", "conformance_test", "parametrize_with_checks", "run_checks"]

Model = str | tuple[str, tuple[int, ...]]


def run_checks(model_name: str, scales: tuple[int, ...]) -> dict[str, str]:
    """Run every fast check once on a newly initialized model.

    Args:
        model_name: The model's name; weights of a tag are not loaded, since the laws hold for any weights.
        scales: The scales that it is created for; for a tagged model, those of its weights.

    Returns:
        Check -> `passed`, `failed: why`, `skipped: why` or `expected failure: reason (why)`.

    Raises:
        ConfigError: It declares expected failures of unknown checks.
        SRBenchError: The model cannot be created.
    """
    return {outcome.check: str(outcome) for outcome in check_model(model_name, scales, slow=False)}


def check_model(
    model_name: str,
    scales: tuple[int, ...] = (2,),
    *,
    examples: int = 1,
    slow: bool = True,
    expected_failures: Mapping[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Outcome]:
    """Run every check on a newly initialized model.

    Args:
        model_name: The model's name, as for `run_checks`.
        scales: The scales that it is created for.
        examples: Number of examples per check, 1 or more: the first is fixed, the others have different seeds and
            sizes, which are equal in every call.
        slow: Whether to include checks that take seconds.
        expected_failures: Check -> reason of its failure, in addition to those that the model declares.
        progress: Called with the name of each check before it runs.

    Returns:
        An outcome for each check: that of the first failing example, or of the first example.

    Raises:
        ConfigError: `expected_failures` names an unknown check.
        SRBenchError: The model cannot be created.
    """
    subject = subject_of(model_name, scales)
    subject.make(0)  # a model that cannot be created is not a failed check
    expected = expected_failures_of(subject, expected_failures)
    drawn = _examples(examples)
    found = []
    for name, check in checks_of(subject, slow=slow).items():
        if progress is not None:
            progress(name)
        outcomes: list[Outcome] = []
        for example in drawn:
            outcomes.append(outcome_of(name, check, subject, example, expected))
            if outcomes[-1].status != "passed":
                break
        found.append(next((outcome for outcome in outcomes if outcome.status == "failed"), outcomes[0]))
    return found


def _examples(count: int) -> list[Example]:
    generator = random.Random(0)
    drawn = [Example()]
    while len(drawn) < count:
        sizes = {
            "batch": generator.randint(1, 2),
            "height": generator.randint(4, 12),
            "width": generator.randint(4, 12),
        }
        drawn.append(Example(generator.randrange(2**16), **sizes))
    return drawn


def subject_of(model_name: str, scales: tuple[int, ...]) -> Subject:
    """Return the subject for checks of a model.

    Raises:
        SRBenchError: The name is invalid.
    """
    name = canonical_name(model_name)
    if name.tag is not None:
        scales = tagged_source(name).sources[0].scales
        name = ModelName(name.backbone, name.method, name.args)

    def make(seed: int) -> Backbone:
        return create_model(name, scales=scales, seed=seed)

    return Subject(make, scales, name)


def conformance_test(
    *models: Model, examples: int = 1, expected_failures: Mapping[str, str] | None = None
) -> Callable[..., None]:
    """Create a pytest test of models, in one line of a test module.

    Example: `test_conformance = conformance_test("edsr_tiny+my_sharing")`

    Args:
        models: Model names, created at x2, or pairs of a name and its scales.
        examples: Number of examples per check.
        expected_failures: Check -> reason of its failure.
    """
    import pytest

    @pytest.mark.parametrize("model", [pytest.param(model, id=_label(model)) for model in models])
    def test_conformance(model: Model) -> None:
        name, scales = _named(model)
        outcomes = check_model(name, scales, examples=examples, expected_failures=expected_failures)
        failures = [_error(outcome, model) for outcome in outcomes if outcome.status == "failed"]
        _raise(failures, model, len(outcomes))

    return test_conformance


def _error(outcome: Outcome, model: Model) -> CheckFailedError:
    error = CheckFailedError(outcome.detail, outcome.layer)
    error.add_note(f"'{_label(model)}' fails the check '{outcome.check}'")
    if outcome.traceback:
        error.add_note(outcome.traceback)
    return error


def parametrize_with_checks(models: Sequence[Model]) -> Callable[[Callable[..., Any]], Any]:
    """Return a pytest decorator that creates one test per model, with the parameters `model` and `check`.

    Args:
        models: Model names, created at x2, or pairs of a name and its scales.

    The decorated test calls `check(model)`, or `check(model, max_examples=3)` for a slow model. This runs every check
    and reports all failures, each with the smallest example that Hypothesis found; checks that do not depend on the
    image run on one example. `conformance_test` does the same on fixed examples, without Hypothesis.
    """
    import pytest

    cases = [pytest.param(model, _check_all, id=_label(model)) for model in models]
    return pytest.mark.parametrize(("model", "check"), cases)


def _named(model: Model) -> tuple[str, tuple[int, ...]]:
    return (model, (2,)) if isinstance(model, str) else model


def _label(model: Model) -> str:
    return model if isinstance(model, str) else f"{model[0]}-x{'x'.join(map(str, model[1]))}"


def _check_all(
    model: Model, max_examples: int | None = None, expected_failures: Mapping[str, str] | None = None
) -> None:
    """Run every check on examples drawn by Hypothesis.

    Raises:
        CheckFailedError, ExceptionGroup: The error of the failing check, or the errors of several.
    """
    subject = subject_of(*_named(model))
    expected = expected_failures_of(subject, expected_failures)
    checks = checks_of(subject, slow=False)
    failures: list[Exception] = []
    for check_name, check in checks.items():
        try:
            # Structure and tools do not depend on the image: one example suffices.
            _check_examples(check_name, check, subject, expected, max_examples if check_name in CHECKS else 1)
        except CheckFailedError as error:
            error.add_note(f"'{_label(model)}' fails the check '{check_name}'")
            failures.append(error)
    _raise(failures, model, len(checks))


def _raise(failures: Sequence[Exception], model: Model, count: int) -> None:
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup(f"'{_label(model)}' fails {len(failures)} of {count} checks", failures)


def _check_examples(
    name: str, check: Check, subject: Subject, expected: Mapping[str, str], max_examples: int | None
) -> None:
    from hypothesis import given, settings
    from hypothesis import strategies as st

    examples = st.builds(
        Example,
        seed=st.integers(0, 2**16),
        batch=st.integers(1, 2),
        height=st.integers(4, 12),
        width=st.integers(4, 12),
    )

    # No deadline: time is not part of the law, and the first example is slower because of imports.
    @settings(max_examples=max_examples or min(settings().max_examples, 20), deadline=None)
    @given(example=examples)
    def law(example: Example) -> None:
        outcome = outcome_of(name, check, subject, example, expected)
        if outcome.status == "failed":
            error = CheckFailedError(outcome.detail, outcome.layer)
            if outcome.traceback:
                error.add_note(outcome.traceback)
            raise error

    law()
