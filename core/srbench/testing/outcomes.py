"""Run checks on one model, and describe their outcomes."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from srbench.errors import ConfigError, suggest
from srbench.models.backbone import Backbone
from srbench.models.sites import SharingSite
from srbench.testing.accounts import ACCOUNTS, SLOW
from srbench.testing.checks import CHECKS
from srbench.testing.folding import FOLDING
from srbench.testing.isolation import ISOLATION, preserved_state
from srbench.testing.schedules import TRAINING
from srbench.testing.structure import STRUCTURE
from srbench.testing.subject import Check, CheckFailedError, CheckSkipped, Example, Subject, close, require, sr_image

__all__ = ["ALL_CHECKS", "Outcome", "checks_of", "expected_failures_of", "outcome_of"]

ALL_CHECKS: dict[str, Check] = CHECKS | FOLDING | STRUCTURE | TRAINING | ACCOUNTS | ISOLATION

IDENTITY = "identity:"


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check.

    Attributes:
        check: Name of the check.
        status: `passed`, `failed`, `skipped`, or `expected failure`.
        detail: The reason, unless it passed.
        layer: Path of the layer at fault; "" if unknown.
        traceback: Traceback of an unexpected error; "" if the law was merely violated.
    """

    check: str
    status: str
    detail: str = ""
    layer: str = ""
    traceback: str = ""

    def __str__(self) -> str:
        """Return the outcome as stored in records: `passed`, `failed: why`."""
        return self.status + (f": {self.detail}" if self.detail else "")


def checks_of(subject: Subject, *, slow: bool) -> dict[str, Check]:
    """Return name -> check for a model: the general checks, and the identities that its method declares.

    Args:
        subject: The model.
        slow: Whether to include checks that take seconds.
    """
    checks = {name: check for name, check in ALL_CHECKS.items() if slow or name not in SLOW}
    method = subject.make(0).method
    if method is not None and subject.name is not None:
        checks |= {f"{IDENTITY}{name}": partial(_identity, name) for name in method.identities()}
    return checks


def _identity(name: str, subject: Subject, example: Example) -> None:
    """Two networks that a method declares to be identical have the same outputs."""
    method = subject.make(example.seed).method
    assert method is not None  # ensured by `checks_of`
    assert subject.name is not None
    pair = method.identities()[name](subject.name.backbone, subject.scales, example.seed)
    if pair is None:
        raise CheckSkipped("it does not apply to this network")
    lr = example.images()
    for scale in subject.scales:
        same, error = close(*(sr_image(network.eval(), lr, scale) for network in pair))
        require(same, f"x{scale}: the two networks differ by {error:.2g}")


def expected_failures_of(subject: Subject, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return check -> reason, as declared by the network, its method and the caller.

    Raises:
        ConfigError: A check is unknown, or no reason is given.
    """
    model = subject.make(0)
    expected = {
        **model.expected_failures(),
        **({} if model.method is None else model.method.expected_failures()),
        **(given or {}),
    }
    known = checks_of(subject, slow=True)
    for name, reason in expected.items():
        if name not in known:
            raise ConfigError(f"expected_failures names the check '{name}', which there is not{suggest(name, known)}")
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigError(f"expected_failures gives no reason for '{name}'; say why it fails")
    return expected


def outcome_of(name: str, check: Check, subject: Subject, example: Example, expected: Mapping[str, str]) -> Outcome:
    """Run one check on one example and return its outcome; global state is restored."""
    found = _run(name, check, subject, example)
    if name not in expected or found.status == "skipped":
        return found
    if found.status == "failed":
        return Outcome(name, "expected failure", f"{expected[name]} ({found.detail})", found.layer, found.traceback)
    reason = f"it passes, and is declared to fail ({expected[name]}); take it out of expected_failures"
    return Outcome(name, "failed", reason)


def _run(name: str, check: Check, subject: Subject, example: Example) -> Outcome:
    with preserved_state():
        try:
            check(subject, example)
        except CheckSkipped as skipped:
            return Outcome(name, "skipped", str(skipped))
        except CheckFailedError as failed:
            cause = failed.__cause__
            layer = failed.layer or (layer_at_fault(cause) if cause is not None else "")
            text = "" if cause is None else "".join(traceback.format_exception(cause))
            return Outcome(name, "failed", _with_layer(str(failed), layer), layer, text)
        except Exception as error:  # a model's code may raise anything
            layer = layer_at_fault(error)
            text = "".join(traceback.format_exception(error))
            return Outcome(name, "failed", _with_layer(f"{type(error).__name__}: {error}", layer), layer, text)
        return Outcome(name, "passed")


def _with_layer(message: str, layer: str) -> str:
    return message if not layer or f"'{layer}'" in message else f"{message} (in the layer '{layer}')"


def layer_at_fault(error: BaseException) -> str:
    """Return the path of the innermost layer that was running when an error was raised, or ""."""
    network: Backbone | None = None
    module: nn.Module | None = None
    path = ""
    step = error.__traceback__
    while step is not None:
        names: dict[str, Any] = step.tb_frame.f_locals
        this, site = names.get("self"), names.get("site")
        if isinstance(this, Backbone):
            network = this
        elif isinstance(this, nn.Module):
            module = this
        if isinstance(site, SharingSite):
            path = site.path
        step = step.tb_next
    if network is not None and module is not None:
        users = [name for name, held in network.named_modules() if held is module]
        path = next(iter(users), "") or path
    return path
