"""Checks of training: the laws after `on_step`, and auxiliary losses."""

from __future__ import annotations

import torch

from srbench.models.backbone import Backbone
from srbench.models.methods.sharing_method import SharingMethod
from srbench.testing.accounts import ACCOUNTS, SLOW
from srbench.testing.checks import CHECKS
from srbench.testing.folding import FOLDING
from srbench.testing.structure import STRUCTURE
from srbench.testing.subject import Check, CheckFailedError, CheckSkipped, Example, Subject, require

__all__ = ["TRAINING"]

_ITERATIONS = 100

# `site_kinds` looks at the network without its method, which no step has changed. `fold_keeps_registration` loads the
# weights of one folded network into another, which pruning may have left with other shapes.
_NOT_REPEATED = SLOW | {"site_kinds", "fold_keeps_registration"}
_LAWS = {name: law for name, law in (CHECKS | FOLDING | STRUCTURE | ACCOUNTS).items() if name not in _NOT_REPEATED}


def check_laws_after_on_step(subject: Subject, example: Example) -> None:
    """Every law of a new network also holds after `on_step` has been called for a whole training."""
    model = subject.make(example.seed)
    by_method = model.method is not None and type(model.method).on_step is not SharingMethod.on_step
    if not by_method and type(model).on_step is Backbone.on_step:
        raise CheckSkipped("nothing overrides on_step")

    def make(seed: int) -> Backbone:
        stepped = subject.make(seed).train()
        for iteration in (1, _ITERATIONS // 2, _ITERATIONS):
            stepped.on_step(iteration, _ITERATIONS)
        return stepped

    later = Subject(make, subject.scales, subject.name)
    for name, law in _LAWS.items():
        try:
            law(later, example)
        except CheckSkipped:
            continue
        except Exception as error:  # a model's code may raise anything
            if _holds(law, subject, example):
                layer = error.layer if isinstance(error, CheckFailedError) else ""
                raise CheckFailedError(f"after on_step the check '{name}' fails: {error}", layer) from error


def check_auxiliary_loss_finite(subject: Subject, example: Example) -> None:
    """The auxiliary loss of a sharing method is a single finite number."""
    model = subject.fresh(example).train()
    found = False
    for scale in subject.scales:
        model(example.images(), scale)
        loss = model.auxiliary_loss()
        if loss is None:
            continue
        found = True
        one = isinstance(loss, torch.Tensor) and loss.numel() == 1
        require(one, f"x{scale}: auxiliary_loss returned {loss!r}, not a tensor of one number")
        require(bool(torch.isfinite(loss)), f"x{scale}: the auxiliary loss is {loss.item()}")
    if not found:
        raise CheckSkipped("no auxiliary loss")


def _holds(law: Check, subject: Subject, example: Example) -> bool:
    try:
        law(subject, example)
    except Exception:
        return False
    return True


TRAINING: dict[str, Check] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}
