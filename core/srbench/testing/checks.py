"""The laws of every network, each a function of a subject (factory and scales of a model) and an example."""

from __future__ import annotations

import copy

import torch
from torch import nn

from srbench.models.counting import count_parameters
from srbench.models.surgery import checked_sites, fold
from srbench.models.weight_files import unique_state
from srbench.testing.subject import (
    Check,
    CheckFailedError,
    CheckSkipped,
    Example,
    Subject,
    close,
    require,
    require_equal,
    require_method,
    sr_image,
)

__all__ = ["CHECKS", "CheckFailedError", "CheckSkipped", "Example", "Subject"]


def check_sites_exist(subject: Subject, example: Example) -> None:
    """Every declared sharing site is a module of the network and declared only once."""
    model = subject.fresh(example, spread=False)
    try:
        sites = checked_sites(model)
    except Exception as error:
        raise CheckFailedError(str(error)) from None
    for site in sites:
        require(site.kind in ("conv", "tconv", "block"), f"the site '{site.path}' has the unknown kind '{site.kind}'")


def check_output_shape(subject: Subject, example: Example) -> None:
    """An LR batch (N, 3, h, w) gives a finite SR batch (N, 3, s*h, s*w) at every scale s."""
    model = subject.fresh(example)
    lr = example.images()
    for scale in subject.scales:
        sr = sr_image(model, lr, scale)
        wanted = (example.batch, 3, example.height * scale, example.width * scale)
        require(tuple(sr.shape) == wanted, f"x{scale}: the SR batch is {tuple(sr.shape)}, expected {wanted}")
        require(bool(torch.isfinite(sr).all()), f"x{scale}: the SR batch is not finite")


def check_deterministic(subject: Subject, example: Example) -> None:
    """Two forward passes in evaluation mode are bitwise equal."""
    model = subject.fresh(example)
    lr = example.images()
    for scale in subject.scales:
        require(
            torch.equal(sr_image(model, lr, scale), sr_image(model, lr, scale)), f"x{scale}: two forward passes differ"
        )


def check_batch_independent(subject: Subject, example: Example) -> None:
    """An image's result does not depend on the others in its batch."""
    model = subject.fresh(example)
    lr = example.images(batch=2)
    for scale in subject.scales:
        together = sr_image(model, lr, scale)
        alone = torch.cat([sr_image(model, image, scale) for image in lr.split(1)])
        same, error = close(together, alone)
        require(same, f"x{scale}: an image alone and in a batch differ by {error:.2g}")


def check_input_unchanged(subject: Subject, example: Example) -> None:
    """A forward pass does not modify the LR batch."""
    model = subject.fresh(example)
    lr = example.images()
    before = lr.clone()
    for scale in subject.scales:
        sr_image(model, lr, scale)
        require(torch.equal(lr, before), f"x{scale}: the forward pass changed its input")


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
    require(not without, f"no gradient reaches {', '.join(without)}")
    nonfinite = [name for name, p in trainable.items() if p.grad is not None and not torch.isfinite(p.grad).all()]
    require(not nonfinite, f"the gradient of {', '.join(nonfinite)} is not finite")


def check_each_tensor_stored_once(subject: Subject, example: Example) -> None:
    """No two keys of the state dict share memory."""
    try:
        unique_state(subject.fresh(example, spread=False))
    except Exception as error:
        raise CheckFailedError(str(error)) from None


def check_state_dict_round_trip(subject: Subject, example: Example) -> None:
    """A new model that loads another's state dict gives bitwise equal outputs."""
    model = subject.fresh(example)
    other = subject.fresh(Example(example.seed + 1))
    other.load_state_dict({key: tensor.clone() for key, tensor in model.state_dict().items()})
    require_equal(model, other, subject.scales, example, "after a state-dict round trip")


def check_deepcopy_keeps_sharing(subject: Subject, example: Example) -> None:
    """A deep copy has as many parameters, none of them the original's, and gives bitwise equal outputs."""
    model = subject.fresh(example)
    copied = copy.deepcopy(model)
    require(
        count_parameters(model) == count_parameters(copied),
        f"a deep copy has {count_parameters(copied)} parameters instead of {count_parameters(model)}: sharing was lost",
    )
    require_equal(model, copied, subject.scales, example, "after a deep copy")
    lr = example.images()
    for changed, kept, which in ((copied, model, "a deep copy"), (model, copied, "the original of a deep copy")):
        before = [sr_image(kept, lr, scale) for scale in subject.scales]
        with torch.no_grad():
            for parameter in changed.parameters():
                parameter.mul_(0.5)
        after = [sr_image(kept, lr, scale) for scale in subject.scales]
        require(all(map(torch.equal, before, after)), f"changing {which} changed the other")


def check_dtype_reaches_everything(subject: Subject, example: Example) -> None:
    """`to(dtype)` converts every tensor that the forward pass uses, i.e. all are registered."""
    model = subject.fresh(example).double()
    lr = example.images().double()
    for scale in subject.scales:
        try:
            sr = sr_image(model, lr, scale)
        except RuntimeError as error:
            raise CheckFailedError(f"x{scale}: in float64 the forward pass fails: {error}") from error
        require(sr.dtype == torch.float64, f"x{scale}: a float64 network returned {sr.dtype}")


def check_fold_equals_unfolded(subject: Subject, example: Example) -> None:
    """A folded network has the same outputs as the original."""
    model = subject.fresh(example)
    require_method(model)
    lr = example.images()
    for scale in subject.scales:
        same, error = close(sr_image(model, lr, scale), sr_image(fold(model, scale), lr, scale))
        require(same, f"x{scale}: the folded network differs by {error:.2g}")


def check_single_scale_view_equals_network(subject: Subject, example: Example) -> None:
    """The network deployed for one scale is bitwise equal to the whole multi-scale network."""
    if len(subject.scales) < 2:
        raise CheckSkipped("a network for one scale")
    model = subject.fresh(example)
    lr = example.images()
    for scale in subject.scales:
        view = model.at_scale(scale)
        require(view.scales == (scale,), f"x{scale}: the single-scale view has the scales {view.scales}")
        require(
            torch.equal(sr_image(model, lr, scale), sr_image(view, lr, scale)),
            f"x{scale}: the single-scale view gives a different output",
        )


CHECKS: dict[str, Check] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}
