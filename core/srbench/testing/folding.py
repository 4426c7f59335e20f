"""Checks of folding: values, device, precision and registration of a folded network."""

from __future__ import annotations

import torch

from srbench.cost.operators import on_meta
from srbench.models.backbone import Backbone
from srbench.models.surgery import fold
from srbench.testing.subject import (
    Check,
    CheckFailedError,
    CheckSkipped,
    Example,
    Subject,
    require,
    require_equal,
    require_method,
)

__all__ = ["FOLDING"]


def check_fold_on_meta(subject: Subject, example: Example) -> None:
    """A network on the meta device, whose tensors have no values, can be folded, as `srbench cost` and `audit` do."""
    model = subject.fresh(example, spread=False)
    require_method(model)
    shapes = on_meta(model)
    for scale in subject.scales:
        try:
            fold(shapes, scale)
        except Exception as error:  # a method's code may raise anything
            raise CheckFailedError(
                f"x{scale}: folding on the meta device fails ({_first_line(error)}); make the layer from the kernel's "
                "tensor, as srbench.plugin.plain_conv does, and read no values"
            ) from error


def check_fold_keeps_device(subject: Subject, example: Example) -> None:
    """A folded network is on the network's device: on `meta`, and on CUDA if available."""
    model = subject.fresh(example, spread=False)
    require_method(model)
    places = [on_meta(model)]
    if torch.cuda.is_available():
        places.append(model.to("cuda"))
    for placed in places:
        for scale in subject.scales:
            try:
                folded = fold(placed, scale)
            except Exception as error:
                raise CheckSkipped("it cannot be folded there") from error
            device = next((p.device.type for p in placed.parameters()), "meta")
            for path, name, tensor in _tensors(folded):
                require(
                    tensor.device.type == device,
                    f"x{scale}: of a network on '{device}', '{name}' of the folded layer '{path}' is on "
                    f"'{tensor.device.type}'",
                    path,
                )


def check_fold_keeps_dtype(subject: Subject, example: Example) -> None:
    """A network in bfloat16 or float64 is folded in that precision."""
    for dtype in (torch.bfloat16, torch.float64):
        model = subject.fresh(example, spread=False).to(dtype)
        require_method(model)
        for scale in subject.scales:
            for path, name, tensor in _tensors(fold(model, scale)):
                require(
                    tensor.dtype == dtype or not tensor.is_floating_point(),
                    f"x{scale}: of a network in {_short(dtype)}, '{name}' of the folded layer '{path}' is in "
                    f"{_short(tensor.dtype)}",
                    path,
                )


def check_fold_keeps_registration(subject: Subject, example: Example) -> None:
    """A folded network registers all of its tensors, shares none with the network, and leaves the network unchanged."""
    model = subject.fresh(example)
    require_method(model)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    other = subject.fresh(Example(example.seed + 1))
    for scale in subject.scales:
        folded = fold(model, scale)
        after = model.state_dict()
        require(
            after.keys() == before.keys() and all(torch.equal(after[key], before[key]) for key in before),
            f"x{scale}: folding changed the network itself; it must return a copy",
        )
        own = {tensor.data_ptr() for _, _, tensor in _tensors(model) if tensor.numel()}
        for path, name, tensor in _tensors(folded):
            require(
                not tensor.numel() or tensor.data_ptr() not in own,
                f"x{scale}: '{name}' of the folded layer '{path}' is the network's own tensor, not a copy",
                path,
            )
        second = fold(other, scale)
        try:
            second.load_state_dict({key: tensor.clone() for key, tensor in folded.state_dict().items()})
        except RuntimeError as error:
            raise CheckFailedError(
                f"x{scale}: the weights of one folded network do not fit another: {_first_line(error)}"
            ) from error
        require_equal(folded, second, (scale,), example, "after loading the weights of one folded network into another")


def _tensors(model: Backbone) -> list[tuple[str, str, torch.Tensor]]:
    """Return the path of each module, with its own parameters and buffers."""
    found = []
    for path, module in model.named_modules():
        held = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        found += [(path, name, tensor) for name, tensor in held if isinstance(tensor, torch.Tensor)]
    return found


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


FOLDING: dict[str, Check] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}
