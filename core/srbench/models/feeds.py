"""Trace which layers feed which, channel by channel, for methods that remove channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from srbench.models.backbone import Backbone
from srbench.models.nested_tensors import tensors_in

__all__ = ["Feed", "trace_feeds"]

_SIDE = 24  # side of the LR image in pixels: enough for the windows and strides of the networks here

# Operators that map each channel of the first argument to the same channel of the result, for any number of channels.
_CHANNELWISE = """
    _adaptive_avg_pool2d _to_copy abs alias avg_pool2d celu clamp clamp_ clamp_max clamp_min clone detach elu elu_ exp
    gelu hardsigmoid hardswish hardswish_ hardtanh hardtanh_ leaky_relu leaky_relu_ lift_fresh max_pool2d_with_indices
    mish neg pow reciprocal reflection_pad2d relu relu_ replication_pad2d rsqrt rsub sigmoid sigmoid_ silu silu_
    softplus sqrt tanh tanh_ upsample_bicubic2d upsample_bilinear2d upsample_nearest2d
"""
# The same for several arguments, which broadcast.
_ELEMENTWISE = "_prelu_kernel add add_ copy_ div div_ maximum minimum mul mul_ sub sub_"
# The same, with parameters for each channel.
_NORMALISATIONS = "_native_batch_norm_legit_no_training _native_batch_norm_legit cudnn_batch_norm native_batch_norm"
# The same, if they reduce height and width only.
_REDUCTIONS = "amax amin mean std sum var"
_PARTS = "slice split split_with_sizes"
# The results of these do not depend on the values of a tensor.
_SHAPE_ONLY = frozenset({"new_empty", "new_full", "new_ones", "new_zeros"})
_KINDS = {
    name: kind
    for kind, names in {
        "channelwise": _CHANNELWISE,
        "elementwise": _ELEMENTWISE,
        "normalisation": _NORMALISATIONS,
        "reduction": _REDUCTIONS,
        "part": _PARTS,
    }.items()
    for name in names.split()
}


@dataclass(frozen=True)
class Feed:
    """The input and output channels of a layer.

    Channels with the same number must be removed together: one is computed from the other, or they are added or
    multiplied. Numbers count from 0 over the whole network.

    Attributes:
        inputs: Number of each input channel.
        outputs: Number of each output channel.
        inputs_shrink: Whether channels of the layer's input can be removed from the tensor itself: all layers that
            produce it are among the traced ones, and all operators in between work with any number of channels.
        outputs_shrink: The same for the layer's output, and all layers that read it.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    inputs_shrink: bool
    outputs_shrink: bool


@torch.no_grad()
def trace_feeds(model: Backbone, paths: Sequence[str]) -> dict[str, Feed]:
    """Trace the channels that layers pass to one another, by running the network once at each of its scales.

    Activations, pooling, padding and interpolation keep channels separate; sums and products (residual connections,
    attention) join them; concatenations and slices are followed. All other operators, including layers that are not
    among `paths`, end the trace: their results are new channels.

    Args:
        model: The network; it is not changed.
        paths: Paths of convolutions, or of other modules that map one tensor `(N, C, h, w)` to another.

    Returns:
        Path -> the layer's channels, without layers that are not executed.
    """
    parameter = next(model.parameters())
    lr = torch.full((1, 3, _SIDE, _SIDE), 0.5, device=parameter.device, dtype=parameter.dtype)
    trace = _Trace(model)
    trained = [module for module in model.modules() if module.training]
    handles = []
    for path in paths:
        module = model.get_submodule(path)
        handles.append(module.register_forward_pre_hook(trace.entering(path)))
        handles.append(module.register_forward_hook(trace.leaving(path)))
    try:
        model.eval()
        for scale in model.scales:
            with trace:
                result = model(lr, scale)
            trace.open(*tensors_in(result))
    finally:
        for handle in handles:
            handle.remove()
        for module in trained:
            module.training = True
        model._active_scale = None  # the next forward pass selects its scale again
    return trace.feeds()


class _Sets:
    """Disjoint sets of numbers."""

    def __init__(self) -> None:
        self.parents: list[int] = []

    def new(self) -> int:
        self.parents.append(len(self.parents))
        return self.parents[-1]

    def find(self, number: int) -> int:
        while self.parents[number] != number:
            self.parents[number] = self.parents[self.parents[number]]
            number = self.parents[number]
        return number

    def join(self, one: int, other: int) -> None:
        self.parents[self.find(other)] = self.find(one)


@dataclass
class _Channels:
    """The channels of a tensor, and the number of its bundle: tensors that can only shrink together."""

    tensor: Tensor  # kept, so that no other tensor gets its id
    numbers: list[int]
    bundle: int


class _Trace(TorchDispatchMode):
    """Dispatch mode that follows channels through the operators between layers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.constants = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
        self.known: dict[int, _Channels] = {}
        self.channels, self.bundles = _Sets(), _Sets()
        self.opened: set[int] = set()  # bundles that must keep all channels
        self.inputs: dict[str, _Channels] = {}
        self.outputs: dict[str, _Channels] = {}
        self.depth = 0  # of layers that are running

    def entering(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self.depth += 1
            found = self._of(inputs[0])
            self._join(self.inputs.setdefault(path, found), found)
            if getattr(module, "groups", 1) != 1:  # all groups need the same number of channels
                self.open(inputs[0])

        return enter

    def leaving(self, path: str) -> Callable[..., None]:
        def leave(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.depth -= 1
            if path not in self.outputs:
                self.outputs[path] = _Channels(output, self._new(output.shape[1]), self.bundles.new())
            made = self.outputs[path]
            self.known[id(output)] = _Channels(output, made.numbers, made.bundle)
            if getattr(module, "groups", 1) != 1:
                self.open(output)

        return leave

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.depth == 0 and not self._followed(func, args, kwargs or {}, result):
            self.open(*tensors_in(args), *tensors_in(list((kwargs or {}).values())))
        return result

    def _followed(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> bool:
        """Record what an operator does with channels; return False if that is not known."""
        name = func._schema.name.removeprefix("aten::")
        made = list(tensors_in(result))
        first = args[0] if args else None
        if name == "cat":
            dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
            if made[0].dim() != 4 or dim not in (1, -3):
                return False
            parts = [self._of(tensor) for tensor in first or ()]
            for part in parts[1:]:
                self.bundles.join(parts[0].bundle, part.bundle)
            self._set(made[0], [number for part in parts for number in part.numbers], parts[0].bundle)
            return True
        if name in _SHAPE_ONLY:
            return True
        if not isinstance(first, Tensor) or not made or made[0].dim() != 4:
            return False
        kind = _KINDS.get(name, "channelwise" if name == "constant_pad_nd" and len(args[1]) <= 4 else "")
        if kind == "elementwise":
            return self._elementwise(list(tensors_in(args)), made[0])
        if first.dim() != 4 or id(first) in self.constants:
            return False
        if kind == "part":
            return self._parts(func, args, kwargs, self._of(first), made)
        if kind == "reduction":
            dims = args[1] if len(args) > 1 else kwargs.get("dim")
            kind = "channelwise" if isinstance(dims, list | tuple) and set(dims) <= {2, 3, -1, -2} else ""
        if kind not in ("channelwise", "normalisation"):
            return False
        source = self._of(first)
        self._set(made[0], source.numbers, source.bundle)
        if kind == "normalisation":
            self.open(first)
        return True

    def _elementwise(self, operands: list[Tensor], made: Tensor) -> bool:
        count = made.shape[1]
        full = [tensor for tensor in operands if tensor.dim() >= 3 and tensor.shape[-3] == count]
        followed = [self._of(tensor) for tensor in full if tensor.dim() == 4 and id(tensor) not in self.constants]
        if not followed:
            return False
        for other in followed[1:]:
            self._join(followed[0], other)
        self._set(made, followed[0].numbers, followed[0].bundle)
        if len(followed) < len(full):  # a parameter for each channel
            self.open(made)
        self.open(*(tensor for tensor in operands if tensor.dim() == 4 and tensor.shape[1] != count))
        return True

    def _parts(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], source: _Channels, made: list[Tensor]
    ) -> bool:
        given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
        if given.get("dim", 0) not in (1, -3):
            for part in made:
                self._set(part, source.numbers, source.bundle)
            return True
        first = (given.get("start") or 0) if "start" in given else 0
        first, step = first + (len(source.numbers) if first < 0 else 0), given.get("step", 1)
        for part in made:
            numbers = source.numbers[first::step][: part.shape[1]]
            self._set(part, numbers, source.bundle)
            first += part.shape[1]
        self.open(source.tensor)  # the positions of slices are fixed
        return True

    def open(self, *tensors: Tensor) -> None:
        """Record that these tensors must keep all channels."""
        self.opened.update(self.known[id(tensor)].bundle for tensor in tensors if id(tensor) in self.known)

    def feeds(self) -> dict[str, Feed]:
        opened = {self.bundles.find(bundle) for bundle in self.opened}
        order: dict[int, int] = {}

        def numbered(found: _Channels) -> tuple[tuple[int, ...], bool]:
            numbers = [order.setdefault(self.channels.find(number), len(order)) for number in found.numbers]
            return tuple(numbers), self.bundles.find(found.bundle) not in opened

        found = {}
        for path, made in self.outputs.items():
            (inputs, inputs_shrink), (outputs, outputs_shrink) = numbered(self.inputs[path]), numbered(made)
            found[path] = Feed(inputs, outputs, inputs_shrink, outputs_shrink)
        return found

    def _new(self, count: int) -> list[int]:
        return [self.channels.new() for _ in range(count)]

    def _of(self, tensor: Tensor) -> _Channels:
        """Return a tensor's channels; new ones, which must all be kept, if it is not known."""
        if id(tensor) not in self.known:
            self._set(tensor, self._new(tensor.shape[1]), self.bundles.new())
            self.open(tensor)
        return self.known[id(tensor)]

    def _set(self, tensor: Tensor, numbers: list[int], bundle: int) -> None:
        self.known[id(tensor)] = _Channels(tensor, numbers, bundle)

    def _join(self, one: _Channels, other: _Channels) -> None:
        for mine, its in zip(one.numbers, other.numbers, strict=True):
            self.channels.join(mine, its)
        self.bundles.join(one.bundle, other.bundle)
