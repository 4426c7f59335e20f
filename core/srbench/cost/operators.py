"""Trace the operators that a network executes, without computing anything.

The network is copied to torch's meta device, where tensors have shapes and no values: a forward pass takes milliseconds
whatever the size of the image. Each operator is counted by its rule (`srbench.cost.rules`), so that functional
convolutions count as modules do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from srbench.cost.rules import CONVOLUTION, FREE, OTHER, rule_for
from srbench.errors import CostError, SRBenchError
from srbench.models.backbone import Backbone
from srbench.models.nested_tensors import tensors_in

__all__ = ["Call", "Execution", "on_meta", "run"]


@dataclass(frozen=True)
class Call:
    """One executed operator that costs something or reads a parameter.

    Attributes:
        operator: Its name, such as `aten::convolution`.
        kind: Its rule's kind.
        count: Its cost for the whole batch.
        modules: Paths of the modules in whose forward pass it ran, outermost first.
        numbers: Number of the execution of each of them, unique over the whole pass.
        parameters: Names of the parameters that it read.
        synthesis: Whether its inputs do not depend on the image, so that it generates weights.
        weights: Number of input elements that are parameters or computed only from parameters.
        output: Shape of its result.
    """

    operator: str
    kind: str
    count: int
    modules: tuple[str, ...]
    numbers: tuple[int, ...]
    parameters: tuple[str, ...]
    synthesis: bool
    weights: int
    output: tuple[int, ...]

    @property
    def number(self) -> int:
        """Return which execution of the innermost module it belongs to; 0 if there is none."""
        return self.numbers[-1] if self.numbers else 0


@dataclass
class Execution:
    """Record of one forward pass.

    Attributes:
        batch: Number of images.
        calls: Operators that cost something or read a parameter, as executed.
        layers: Each execution of a module: path, its number, the module, shapes of its first input and of its output.
        peak_bytes: Peak size of images, features and results, without weights.
    """

    batch: int
    calls: list[Call] = field(default_factory=list)
    layers: list[tuple[str, int, nn.Module, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    peak_bytes: int = 0

    def total(self, kind: str, *, synthesis: bool = False) -> int:
        """Return the count of a kind for all images; with `synthesis`, only for generating weights."""
        return sum(call.count for call in self.calls if call.kind == kind and call.synthesis == synthesis)

    @property
    def activations(self) -> int:
        """Return the elements of all convolutions' outputs, for all images."""
        outputs = [call.output for call in self.calls if call.kind == CONVOLUTION and not call.synthesis]
        return sum(torch.Size(shape).numel() for shape in outputs)


def on_meta(model: Backbone) -> Backbone:
    """Return a copy of a network on the meta device in evaluation mode; sharing between modules is preserved."""
    # `Module.to` would create a separate parameter for each module that shares it, so copy with meta parameters.
    memo: dict[int, Any] = {
        id(parameter): nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
        for parameter in model.parameters()
        if not is_lazy(parameter)
    }
    memo |= {id(buffer): torch.empty_like(buffer, device="meta") for buffer in model.buffers() if not is_lazy(buffer)}
    return copy.deepcopy(model, memo).to("meta").eval()


def run(model: Backbone, scale: int, height: int, width: int, batch: int = 1) -> Execution:
    """Execute a network of `on_meta` on LR images `(batch, 3, height, width)` and return what it did.

    Raises:
        CostError: It executes an operator without a rule, or cannot run on the meta device.
    """
    execution = Execution(batch)
    with torch.no_grad():
        lr = torch.empty(batch, 3, height, width, device="meta")
        watch = _Watch(execution, model, lr)
        # Tensors created in the forward pass are on the meta device too.
        with torch.device("meta"), watch.modules(), _Averaging(watch), watch:
            try:
                model(lr, scale)
            except SRBenchError:
                raise
            except Exception as error:
                raise CostError(
                    f"the operators of '{_label(model)}' cannot be counted: a forward pass on tensors that have shapes "
                    f"and no values fails ({_first_line(error)}); it computes outside torch, or depends on values"
                ) from error
    return execution


def _label(model: Backbone) -> str:
    return str(model.model_name) if model.model_name is not None else type(model).__name__


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


class _Watch(TorchDispatchMode):
    """Observe every operator, the module that runs it, and which tensors depend on the images.

    Tensors are identified by their storage, which views share: writing to a part of a tensor marks all of it.
    """

    def __init__(self, execution: Execution, model: Backbone, lr: Tensor) -> None:
        super().__init__()
        self.execution = execution
        self.model = model
        self.stack: list[tuple[str, int]] = []
        self.entered = 0
        self.averaging = False
        self.seen: dict[int, StorageWeakRef] = {}
        self.from_image: set[int] = set()
        self.from_weights: set[int] = set()
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.parameters: dict[int, list[str]] = {}
        self.weights: set[int] = set()
        for name, parameter in model.named_parameters():
            self.parameters.setdefault(self._storage(parameter), []).append(name)
        self.from_weights.update(self.parameters)
        self.weights.update(self._storage(tensor) for tensor in (*model.parameters(), *model.buffers()))
        self.from_image.add(self._storage(lr))
        self._allocate([lr])

    def _storage(self, tensor: Tensor) -> int:
        """Return a number unique to the storage; the weak reference prevents its address from being reused."""
        storage = tensor.untyped_storage()
        key = int(storage._cdata)
        if key not in self.seen:
            self.seen[key] = StorageWeakRef(storage)
        return key

    def _allocate(self, results: Sequence[Tensor]) -> None:
        for tensor in results:
            key = self._storage(tensor)
            if key not in self.alive and key not in self.weights:
                self.alive[key] = (self.seen[key], tensor.untyped_storage().nbytes())
        self.alive = {key: (ref, size) for key, (ref, size) in self.alive.items() if not ref.expired()}
        self.execution.peak_bytes = max(self.execution.peak_bytes, sum(size for _, size in self.alive.values()))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        operator = func._schema.name
        rule = rule_for(operator)
        if rule is None:
            where = f" in '{self.stack[-1][0]}'" if self.stack and self.stack[-1][0] else ""
            raise CostError(
                f"'{_label(self.model)}' executes the operator '{operator}'{where}, whose cost is unknown; register it "
                "with srbench.plugin.register_rule"
            )
        result = func(*args, **kwargs)
        inputs = {self._storage(tensor): tensor for tensor in tensors_in((args, kwargs))}
        results = list(tensors_in(result))
        seen_image = not self.from_image.isdisjoint(inputs)
        if seen_image or not self.from_weights.isdisjoint(inputs):
            touched = {*map(self._storage, results), *_written(self, func, args, kwargs)}
            (self.from_image if seen_image else self.from_weights).update(touched)
        self._allocate(results)
        kind, count = (OTHER, _averaged) if self.averaging and operator == "aten::mean" else rule
        read = [name for key in inputs for name in self.parameters.get(key, ())]
        weights = [tensor for key, tensor in inputs.items() if key in self.from_weights and key not in self.from_image]
        if kind != FREE or weights:
            self.execution.calls.append(
                Call(
                    operator=operator,
                    kind=kind,
                    count=count(args, result),
                    modules=tuple(path for path, _ in self.stack),
                    numbers=tuple(number for _, number in self.stack),
                    parameters=tuple(read),
                    synthesis=not seen_image,
                    weights=sum(map(_numbers, weights)),
                    output=tuple(results[0].shape) if results else (),
                )
            )
        return result

    @contextmanager
    def modules(self) -> Iterator[None]:
        """Track the running modules."""
        handles = []
        for path, module in self.model.named_modules():
            handles.append(module.register_forward_pre_hook(self._enter(path)))
            handles.append(module.register_forward_hook(self._leave(path)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, inputs: Any) -> None:
            self.entered += 1
            self.stack.append((path, self.entered))

        return enter

    def _leave(self, path: str) -> Callable[..., None]:
        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            _, number = self.stack.pop()
            if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
                self.execution.layers.append((path, number, module, tuple(inputs[0].shape), tuple(output.shape)))

        return leave


def _numbers(tensor: Tensor) -> int:
    # An expanded tensor has no more elements than its storage.
    return min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size())


def _averaged(args: tuple[Any, ...], result: Any) -> int:
    return int(args[0].numel())


def _written(watch: _Watch, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[int]:
    """Yield the storages that an operator writes to."""
    for index, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[index] if index < len(args) else kwargs.get(argument.name)
            for tensor in tensors_in(value):
                yield watch._storage(tensor)


class _Averaging(TorchFunctionMode):
    """Mark a mean as adaptive average pooling, because the dispatcher sees only a plain mean."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") != "adaptive_avg_pool2d":
            return func(*args, **(kwargs or {}))
        self.watch.averaging = True
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.watch.averaging = False
