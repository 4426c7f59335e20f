"""A deliberately broken network or method fails exactly the check named for what is broken."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from mutants.methods import METHODS as BROKEN_METHODS
from mutants.methods import Explodes
from mutants.networks import NETWORKS, Noisy, WritesItsInput
from mutants.sound import Sound, SoundMethod
from torch import nn

from srbench.errors import ConfigError
from srbench.models.backbone import Backbone
from srbench.models.methods.sharing_method import SharingMethod
from srbench.registry.registries import BACKBONES, METHODS, Registry
from srbench.testing import (
    ALL_CHECKS,
    CheckFailedError,
    Outcome,
    check_model,
    conformance_test,
    parametrize_with_checks,
    run_checks,
)

WITHOUT_METHOD = {
    "fold_equals_unfolded", "fold_on_meta", "fold_keeps_device", "fold_keeps_dtype", "fold_keeps_registration",
    "replacement_shapes", "shared_modules_registered", "declared_synthesis", "laws_after_on_step",
    "auxiliary_loss_finite",
}  # fmt: skip
IDENTITY = "identity:mixtures_of_the_filters_themselves"


@contextmanager
def registered(registry: Registry, name: str, obj: object) -> Iterator[None]:
    registry.add(name, obj)
    try:
        yield
    finally:
        registry.remove(name)


@contextmanager
def present(network: type[Backbone], method: type[SharingMethod] | None = None) -> Iterator[str]:
    """Register a network, and a method, and yield the model's name."""

    def build(scales: tuple[int, ...]) -> Backbone:
        return network(scales)

    with registered(BACKBONES, "under_check", build):
        if method is None:
            yield "under_check"
        else:
            with registered(METHODS, "mutant", method):
                yield "under_check+mutant"


def outcomes(
    network: type[Backbone], method: type[SharingMethod] | None = None, *, slow: bool = False, **given: object
) -> dict[str, Outcome]:
    with present(network, method) as name:
        return {outcome.check: outcome for outcome in check_model(name, (2, 3), slow=slow, **given)}  # type: ignore[arg-type]


def failed(result: dict[str, Outcome]) -> set[str]:
    return {name for name, outcome in result.items() if outcome.status == "failed"}


def test_a_sound_network_passes_every_check() -> None:
    result = outcomes(Sound)
    assert {name for name, outcome in result.items() if outcome.status != "passed"} == WITHOUT_METHOD
    assert set(result) == set(ALL_CHECKS) - {"onnx_export_runs"}


def test_a_sound_method_passes_every_check_and_its_identity() -> None:
    result = outcomes(Sound, SoundMethod, examples=2)
    assert {name: str(outcome) for name, outcome in result.items() if outcome.status != "passed"} == {}
    assert set(result) == {*ALL_CHECKS, IDENTITY} - {"onnx_export_runs"}


@pytest.mark.parametrize("mutant", NETWORKS)
def test_a_broken_network_fails_exactly_its_check(mutant: str) -> None:
    network, check, consequences = NETWORKS[mutant]
    slow = check == "onnx_export_runs"
    if slow and any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")):
        pytest.skip("the extra onnx is not installed")
    assert failed(outcomes(network, slow=slow)) == {check, *consequences}


@pytest.mark.parametrize("mutant", BROKEN_METHODS)
def test_a_broken_method_fails_exactly_its_check(mutant: str) -> None:
    method, check, consequences = BROKEN_METHODS[mutant]
    assert failed(outcomes(Sound, method)) == {check, *consequences}


def test_every_check_has_a_mutant_that_it_catches() -> None:
    mutants = [*NETWORKS.values(), *BROKEN_METHODS.values()]
    assert {check for _, check, _ in mutants} == {*ALL_CHECKS, IDENTITY}
    assert len(mutants) >= 25


def test_an_outcome_names_the_layer_and_where_the_error_was_raised() -> None:
    outcome = outcomes(Sound, Explodes)["output_shape"]
    assert (outcome.status, outcome.layer) == ("failed", "second")
    assert outcome.detail == "ZeroDivisionError: no kernel today (in the layer 'second')"
    assert "in kernel\n" in outcome.traceback


def test_one_check_does_not_disturb_the_next() -> None:
    before = torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    for name in ("SeedsTorch", "ChangesThreads"):
        outcomes(NETWORKS[name][0])
    for name in ("ChangesTheDefaultDtype", "TurnsGradientsOff"):
        outcomes(Sound, BROKEN_METHODS[name][0])
    after = torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


class NoisyByDesign(Noisy):
    """Declare what it fails."""

    def expected_failures(self) -> dict[str, str]:
        return {"deterministic": "it dithers"}


def test_a_declared_failure_is_expected_with_its_reason() -> None:
    outcome = outcomes(NoisyByDesign)["deterministic"]
    assert str(outcome) == "expected failure: it dithers (x2: two forward passes differ)"
    given = outcomes(Noisy, expected_failures={"deterministic": "known"})["deterministic"]
    assert given.status == "expected failure"


def test_a_declared_failure_that_passes_is_a_failure() -> None:
    result = outcomes(Sound, expected_failures={"output_shape": "it is odd"})
    assert failed(result) == {"output_shape"}
    assert "take it out of expected_failures" in result["output_shape"].detail


@pytest.mark.parametrize(
    ("expected", "said"), [({"output_shap": "x"}, "did you mean 'output_shape'"), ({"output_shape": ""}, "no reason")]
)
def test_wrong_expected_failures_are_refused(expected: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        outcomes(Sound, expected_failures=expected)


def test_one_line_makes_a_test_of_a_plugin() -> None:
    test = conformance_test(("under_check", (2, 3)), expected_failures={})
    ((_, cases),) = [mark.args for mark in test.pytestmark]  # type: ignore[attr-defined]
    assert [case.id for case in cases] == ["under_check-x2x3"]
    with present(WritesItsInput), pytest.raises(CheckFailedError, match="changed its input") as caught:
        test(cases[0].values[0])
    assert "'under_check-x2x3' fails the check 'input_unchanged'" in caught.value.__notes__


def test_what_a_run_stores_says_why() -> None:
    with present(WritesItsInput) as name:
        result = run_checks(name, (2, 3))
    assert result["input_unchanged"] == "failed: x2: the forward pass changed its input"
    assert "onnx_export_runs" not in result


class NoisyAndUnused(Noisy):
    """Break two laws at once."""

    def __init__(self, scales: tuple[int, ...]) -> None:
        super().__init__(scales)
        self.unused = nn.Conv2d(1, 1, 1)


def check_under_pytest(cls: type[Backbone]) -> None:
    """Do what the decorated test of a plugin does for one model."""
    (case,) = parametrize_with_checks([("under_check", (2, 3))]).mark.args[1]  # type: ignore[attr-defined]
    assert case.id == "under_check-x2x3"
    model, check = case.values

    with present(cls):
        check(model, max_examples=2)


def test_a_plugin_has_one_test_for_each_model() -> None:
    names, cases = parametrize_with_checks(["edsr_tiny", ("edsr_tiny", (3,))]).mark.args  # type: ignore[attr-defined]
    assert (names, [case.id for case in cases]) == (("model", "check"), ["edsr_tiny", "edsr_tiny-x3"])
    check_under_pytest(Sound)


def test_one_failing_check_is_raised_as_it_is_and_named() -> None:
    with pytest.raises(CheckFailedError, match="changed its input") as caught:
        check_under_pytest(WritesItsInput)
    assert "'under_check-x2x3' fails the check 'input_unchanged'" in caught.value.__notes__


def test_several_failing_checks_are_all_reported() -> None:
    with pytest.raises(ExceptionGroup, match=f"fails 2 of {len(ALL_CHECKS) - 1} checks") as caught:
        check_under_pytest(NoisyAndUnused)
    notes = [note for error in caught.value.exceptions for note in error.__notes__ if "fails the check" in note]
    assert [note.rpartition(" ")[2] for note in notes] == ["'deterministic'", "'gradients_reach_every_parameter'"]
