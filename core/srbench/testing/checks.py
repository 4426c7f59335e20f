"""The checks themselves: each a function of a way to make the model, its scales, and an example."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters
from srbench.models.surgery import checked_sites, fold
from srbench.models.weight_files import unique_state

__all__ = ["CHECKS", "CheckFailedError", "CheckSkipped", "Example", "Subject"]

# Reordered sums of a network this deep differ by this much of the output's range in float32.
_TOLERANCE = 1e-4


class CheckFailedError(AssertionError):
    """A model broke the law that a check states."""


class CheckSkipped(Exception):  # noqa: N818 - an outcome, not an error
    """A check says nothing of this model; the message says why."""


@dataclass(frozen=True)
class Example:
    """What a check is run on.

    Attributes:
        seed: Seed of the weights and the images.
        batch: Images in the batch.
        height: Height of the LR images in pixels.
        width: Width of the LR images in pixels.
    """

    seed: int = 0
    batch: int = 2
    height: int = 9
    width: int = 7

    def images(self, batch: int | None = None) -> Tensor:
        """Return random LR images `(N, 3, h, w)` in 0..1."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.rand(batch or self.batch, 3, self.height, self.width, generator=generator)


@dataclass(frozen=True)
class Subject:
    """The model under check.

    Attributes:
        make: Creates it, freshly initialised from a seed.
        scales: The scales that it is created for.
    """

    make: Callable[[int], Backbone]
    scales: tuple[int, ...]

    def fresh(self, example: Example, *, spread: bool = True) -> Backbone:
        """Return a new model in evaluation mode, its parameters moved off special initial values such as zero."""
        model = self.make(example.seed).eval()
        if spread:
            generator = torch.Generator().manual_seed(example.seed + 1)
            with torch.no_grad():
                for parameter in model.parameters():
                    noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
                    parameter.add_(noise * 0.1 / math.sqrt(max(parameter[0].numel(), 1) if parameter.dim() else 1))
        return model


Check = Callable[[Subject, Example], None]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise CheckFailedError(message)


@torch.no_grad()
def _sr(model: Backbone, lr: Tensor, scale: int) -> Tensor:
    return model.image(model(lr, scale))


def _close(a: Tensor, b: Tensor) -> tuple[bool, float]:
    if a.shape != b.shape:
        return False, float("inf")
    error = float((a - b).abs().max())
    return error <= _TOLERANCE * max(1.0, float(a.abs().max())), error


def check_sites_exist(subject: Subject, example: Example) -> None:
    """Every declared sharing site is a module of the network, named once."""
    model = subject.fresh(example, spread=False)
    try:
        sites = checked_sites(model)
    except Exception as error:
        raise CheckFailedError(str(error)) from None
    for site in sites:
        _require(
            site.kind in ("conv", "tconv", "block"), f"the site '{site.path}' is of the unknown kind '{site.kind}'"
        )


def check_output_shape(subject: Subject, example: Example) -> None:
    """An LR batch (N, 3, h, w) gives a finite SR batch (N, 3, s*h, s*w) at every scale."""
    model = subject.fresh(example)
    lr = example.images()
    for scale in subject.scales:
        sr = _sr(model, lr, scale)
        wanted = (example.batch, 3, example.height * scale, example.width * scale)
        _require(tuple(sr.shape) == wanted, f"x{scale}: the SR batch is {tuple(sr.shape)}, expected {wanted}")
        _require(bool(torch.isfinite(sr).all()), f"x{scale}: the SR batch is not finite")


def check_deterministic(subject: Subject, example: Example) -> None:
    """Two forward passes in evaluation mode give the same bits."""
    model = subject.fresh(example)
    lr = example.images()
    for scale in subject.scales:
        _require(torch.equal(_sr(model, lr, scale), _sr(model, lr, scale)), f"x{scale}: two forward passes differ")


def check_batch_independent(subject: Subject, example: Example) -> None:
    """An image's result does not depend on the others in its batch."""
    model = subject.fresh(example)
    lr = example.images(batch=2)
    for scale in subject.scales:
        together = _sr(model, lr, scale)
        alone = torch.cat([_sr(model, image, scale) for image in lr.split(1)])
        same, error = _close(together, alone)
        _require(same, f"x{scale}: an image alone and in a batch differ by {error:.2g}")


def check_input_unchanged(subject: Subject, example: Example) -> None:
    """A forward pass leaves the LR batch as it was."""
    model = subject.fresh(example)
    lr = example.images()
    before = lr.clone()
    for scale in subject.scales:
        _sr(model, lr, scale)
        _require(torch.equal(lr, before), f"x{scale}: the forward pass changed its input")


def check_gradients_reach_every_parameter(subject: Subject, example: Example) -> None:
    """After one backward pass per scale every trainable parameter has a finite gradient."""
    model = subject.fresh(example).train()
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise CheckSkipped("no trainable parameters")
    lr = example.images()
    for scale in subject.scales:
        hr = torch.zeros(example.batch, 3, example.height * scale, example.width * scale)
        loss = model.loss(model(lr, scale), model.targets(hr, scale), nn.functional.l1_loss)
        extra = model.auxiliary_loss()
        (loss if extra is None else loss + extra).backward()
    without = [name for name, p in trainable.items() if p.grad is None]
    _require(not without, f"no gradient reaches {', '.join(without)}")
    nonfinite = [name for name, p in trainable.items() if p.grad is not None and not torch.isfinite(p.grad).all()]
    _require(not nonfinite, f"the gradient of {', '.join(nonfinite)} is not finite")


def check_each_tensor_stored_once(subject: Subject, example: Example) -> None:
    """No two keys of the state dict hold the same memory."""
    try:
        unique_state(subject.fresh(example, spread=False))
    except Exception as error:
        raise CheckFailedError(str(error)) from None


def check_state_dict_round_trip(subject: Subject, example: Example) -> None:
    """A fresh model that loads another's state dict computes the same bits."""
    model = subject.fresh(example)
    other = subject.fresh(Example(example.seed + 1))
    other.load_state_dict({key: tensor.clone() for key, tensor in model.state_dict().items()})
    _require_equal(model, other, subject.scales, example, "after a state-dict round trip")


def check_deepcopy_keeps_sharing(subject: Subject, example: Example) -> None:
    """A deep copy has as many parameters, none of the original's, and computes the same bits."""
    model = subject.fresh(example)
    copied = copy.deepcopy(model)
    _require(
        count_parameters(model) == count_parameters(copied),
        f"a deep copy has {count_parameters(copied)} parameters instead of {count_parameters(model)}: sharing was lost",
    )
    _require_equal(model, copied, subject.scales, example, "after a deep copy")
    lr = example.images()
    for changed, kept, which in ((copied, model, "a deep copy"), (model, copied, "the original of a deep copy")):
        before = [_sr(kept, lr, scale) for scale in subject.scales]
        with torch.no_grad():
            for parameter in changed.parameters():
                parameter.mul_(0.5)
        after = [_sr(kept, lr, scale) for scale in subject.scales]
        _require(all(map(torch.equal, before, after)), f"changing {which} changed the other")


def check_dtype_reaches_everything(subject: Subject, example: Example) -> None:
    """`to(dtype)` reaches every tensor that the forward pass uses: all are registered."""
    model = subject.fresh(example).double()
    lr = example.images().double()
    for scale in subject.scales:
        try:
            sr = _sr(model, lr, scale)
        except RuntimeError as error:
            raise CheckFailedError(f"x{scale}: in float64 the forward pass fails: {error}") from None
        _require(sr.dtype == torch.float64, f"x{scale}: a float64 network returned {sr.dtype}")


def check_fold_equals_unfolded(subject: Subject, example: Example) -> None:
    """A folded network computes what the network computes."""
    model = subject.fresh(example)
    if model.method is None:
        raise CheckSkipped("no sharing method")
    lr = example.images()
    for scale in subject.scales:
        same, error = _close(_sr(model, lr, scale), _sr(fold(model, scale), lr, scale))
        _require(same, f"x{scale}: the folded network differs by {error:.2g}")


def check_single_scale_view_equals_network(subject: Subject, example: Example) -> None:
    """What one scale deploys computes the same bits as the whole multi-scale network."""
    if len(subject.scales) < 2:
        raise CheckSkipped("a network for one scale")
    model = subject.fresh(example)
    lr = example.images()
    for scale in subject.scales:
        view = model.at_scale(scale)
        _require(view.scales == (scale,), f"x{scale}: the single-scale view says it has the scales {view.scales}")
        _require(
            torch.equal(_sr(model, lr, scale), _sr(view, lr, scale)),
            f"x{scale}: the single-scale view computes otherwise",
        )


def _require_equal(a: Backbone, b: Backbone, scales: tuple[int, ...], example: Example, when: str) -> None:
    lr = example.images()
    for scale in scales:
        _require(torch.equal(_sr(a, lr, scale), _sr(b, lr, scale)), f"x{scale}: the outputs differ {when}")


CHECKS: dict[str, Check] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}
