"""Run the checks: once before a measurement, or many times under Hypothesis in a plugin's tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from srbench.models.backbone import Backbone
from srbench.models.factory import create_model
from srbench.registry import canonical_name, tagged_source
from srbench.registry.names import ModelName
from srbench.testing.checks import CHECKS, Check, CheckFailedError, CheckSkipped, Example, Subject

__all__ = ["parametrize_with_checks", "run_checks"]

Model = str | tuple[str, tuple[int, ...]]


def run_checks(model_name: str, scales: tuple[int, ...]) -> dict[str, str]:
    """Run every check once on a freshly initialised model.

    Args:
        model_name: Its name; a tag's weights are not loaded, since the laws hold for any weights.
        scales: The scales that it is created for; a tagged model's are those of its weights.

    Returns:
        Check -> `passed`, `failed: why` or `skipped: why`.

    Raises:
        SRBenchError: The model cannot be created.
    """
    subject = _subject(model_name, scales)
    subject.make(0)  # a model that cannot be made is no failed check
    return {name: _outcome(check, subject) for name, check in CHECKS.items()}


def _outcome(check: Check, subject: Subject) -> str:
    try:
        check(subject, Example())
    except CheckSkipped as skipped:
        return f"skipped: {skipped}"
    except CheckFailedError as failed:
        return f"failed: {failed}"
    except Exception as error:  # the model's own code may fail in any way
        return f"failed: {type(error).__name__}: {error}"
    return "passed"


def _subject(model_name: str, scales: tuple[int, ...]) -> Subject:
    name = canonical_name(model_name)
    if name.tag is not None:
        scales = tagged_source(name).sources[0].scales
        name = ModelName(name.backbone, name.method, name.args)

    def make(seed: int) -> Backbone:
        return create_model(name, scales=scales, seed=seed)

    return Subject(make, scales)


def parametrize_with_checks(models: Sequence[Model]) -> Callable[[Callable[..., Any]], Any]:
    """Return a pytest decorator that makes one test of each model, with the parameters `model` and `check`.

    Args:
        models: Model names, created at x2, or pairs of a name and its scales.

    The decorated test calls `check(model)`, or `check(model, max_examples=3)` for a model that takes long. That runs
    every check and reports all that fail, each with the smallest example that Hypothesis found.
    """
    import pytest

    cases = [pytest.param(model, _check_all, id=_label(model)) for model in models]
    return pytest.mark.parametrize(("model", "check"), cases)


def _label(model: Model) -> str:
    return model if isinstance(model, str) else f"{model[0]}-x{'x'.join(map(str, model[1]))}"


def _check_all(model: Model, max_examples: int | None = None) -> None:
    """Run every check on examples that Hypothesis draws.

    Raises:
        CheckFailedError, ExceptionGroup: What the one failing check, or each of several, raised.
    """
    name, scales = (model, (2,)) if isinstance(model, str) else model
    subject = _subject(name, scales)
    failures = []
    for check_name, check in CHECKS.items():
        try:
            _check_examples(check, subject, max_examples)
        except CheckSkipped:
            continue
        except Exception as error:  # the model's own code may fail in any way
            error.add_note(f"'{_label(model)}' fails the check '{check_name}'")
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup(f"'{_label(model)}' fails {len(failures)} of {len(CHECKS)} checks", failures)


def _check_examples(check: Check, subject: Subject, max_examples: int | None) -> None:
    from hypothesis import given, settings
    from hypothesis import strategies as st

    examples = st.builds(
        Example,
        seed=st.integers(0, 2**16),
        batch=st.integers(1, 2),
        height=st.integers(4, 12),
        width=st.integers(4, 12),
    )

    @settings(max_examples=max_examples or min(settings().max_examples, 20))
    @given(example=examples)
    def law(example: Example) -> None:
        check(subject, example)

    law()
