"""Sharing audit: which layers use which tensors, how often, and the size of the network without sharing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from srbench.cost.operators import Call, Execution, on_meta, run
from srbench.cost.rules import CONVOLUTION, PRODUCT
from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters, count_stored
from srbench.models.shared_modules import SharedModuleRef
from srbench.models.surgery import fold

__all__ = ["Audit", "TensorUse", "audit", "compact_paths"]

_SIDE = 48  # side of the LR image: enough for any pooling or window; how often a layer runs does not depend on it


@dataclass(frozen=True)
class TensorUse:
    """One parameter and the layers that use it.

    Attributes:
        name: Its name in the state dict.
        shape: Its shape.
        numbers: Its number of elements.
        layers: Paths of the layers that read it, in the order of their first execution.
        executions: Scale -> how many executions of layers read it in one forward pass.
    """

    name: str
    shape: tuple[int, ...]
    numbers: int
    layers: tuple[str, ...]
    executions: dict[int, int]

    @property
    def repeated(self) -> bool:
        """Whether more than one layer, or more than one execution in a forward pass, uses it."""
        return len(self.layers) > 1 or max(self.executions.values(), default=0) > 1

    @property
    def shared(self) -> bool:
        """Whether more than one layer, execution or scale uses it."""
        return self.repeated or sum(count > 0 for count in self.executions.values()) > 1


@dataclass(frozen=True)
class Audit:
    """What a network shares.

    Attributes:
        model: Its name.
        scales: Its scales.
        tensors: Every parameter, including unused ones.
        unique: Number of parameters, each tensor counted once.
        stored: Number of values in its state dict.
        executed: Scale -> number of weights and biases applied in one forward pass, counting every execution.
        unshared: Scale -> number of parameters if each execution of a layer had its own; unused ones count once.
        depth: The largest number of executions of one layer, with identical weights, in one forward pass.
        deepest: The layers that are executed that often.
    """

    model: str
    scales: tuple[int, ...]
    tensors: tuple[TensorUse, ...]
    unique: int
    stored: int
    executed: dict[int, int]
    unshared: dict[int, int]
    depth: int
    deepest: tuple[str, ...]


def audit(model: Backbone) -> Audit:
    """Determine what a network shares, by observing a forward pass at each of its scales.

    Raises:
        CostError: It executes an operator without a rule, or cannot run on the meta device.
    """
    shapes = on_meta(model)
    users = {path for path, module in shapes.named_modules() if isinstance(module, SharedModuleRef)}
    layers: dict[str, dict[str, None]] = {}
    executions: dict[str, dict[int, int]] = {}
    executed: dict[int, int] = {}
    depth = 0
    deepest: tuple[str, ...] = ()
    for scale in model.scales:
        execution = run(shapes, scale, _SIDE, _SIDE)
        readers = _readers(execution, users)
        for names, path, _ in readers:
            for name in names:
                layers.setdefault(name, {})[path] = None
                counts = executions.setdefault(name, {})
                counts[scale] = counts.get(scale, 0) + 1
        executed[scale] = sum(call.weights for call in execution.calls if not call.synthesis)
        count, found = _most_repeated(readers)
        if count > depth:
            depth, deepest = count, found
    tensors = tuple(
        TensorUse(
            name=name,
            shape=tuple(parameter.shape),
            numbers=parameter.numel(),
            layers=tuple(layers.get(name, ())),
            executions={scale: executions.get(name, {}).get(scale, 0) for scale in model.scales},
        )
        for name, parameter in shapes.named_parameters()
    )
    return Audit(
        model=str(model.model_name) if model.model_name is not None else type(model).__name__,
        scales=model.scales,
        tensors=tensors,
        unique=count_parameters(model),
        stored=count_stored(model),
        executed=executed,
        unshared={scale: _unshared(model, shapes, scale) for scale in model.scales},
        depth=depth,
        deepest=deepest,
    )


def _unshared(model: Backbone, shapes: Backbone, scale: int) -> int:
    """Count the parameters of the folded network, each as often as it is used by executions of layers, at least once.

    A folded layer contains its generated kernel, so the kernel is counted and not the bank that it is made from.
    """
    # Folded with its weights: a method's `fold` need not work without values.
    folded = fold(shapes, scale) if model.method is None else on_meta(fold(model, scale))
    users = {path for path, module in folded.named_modules() if isinstance(module, SharedModuleRef)}
    uses = Counter(name for names, _, _ in _readers(run(folded, scale, _SIDE, _SIDE), users) for name in names)
    return sum(parameter.numel() * max(1, uses[name]) for name, parameter in folded.named_parameters())


Reader = tuple[tuple[str, ...], str, bool]


def _readers(execution: Execution, users: set[str]) -> list[Reader]:
    """Return for each execution of a layer its parameters, its path, and whether it is a convolution.

    A module that applies one weight several times in one execution counts as that many layers.
    """
    by_execution: dict[tuple[str, int], list[Call]] = {}
    for call in execution.calls:
        by_execution.setdefault(_layer(call, users), []).append(call)
    found = []
    for (path, _), calls in by_execution.items():
        again = _applied_again(calls)
        found += [(call.parameters, path, True) for call in again]
        apart = {name for call in again for name in call.parameters}
        names = tuple(dict.fromkeys(name for call in calls for name in call.parameters if name not in apart))
        if names:
            found.append((names, path, any(not call.synthesis for call in calls)))
    return found


def _applied_again(calls: Sequence[Call]) -> list[Call]:
    """Return the calls of one execution whose weights are also used by other convolutions and products in it."""
    applied = [call for call in calls if call.kind in (CONVOLUTION, PRODUCT) and not call.synthesis]
    counts = Counter(name for call in applied for name in call.parameters)
    return [call for call in applied if any(counts[name] > 1 for name in call.parameters)]


def _layer(call: Call, users: set[str]) -> tuple[str, int]:
    """Return the path of the running layer and which execution of it this is.

    The path is the layer's place in the network, not where a shared module that it uses is registered: what a shared
    module reads belongs to the layer that called it, together with the layer's own parameters.
    """
    for index in range(len(call.modules) - 2, -1, -1):
        if call.modules[index] in users and not call.modules[index + 1].startswith(f"{call.modules[index]}."):
            return call.modules[index], call.numbers[index]
    return (call.modules[-1], call.number) if call.modules else ("", 0)


def _most_repeated(readers: Iterable[Reader]) -> tuple[int, tuple[str, ...]]:
    counts: Counter[frozenset[str]] = Counter()
    paths: dict[frozenset[str], dict[str, None]] = {}
    for names, path, convolves in readers:
        if not convolves:
            continue  # it makes weights, and another layer applies them
        key = frozenset(names)
        counts[key] += 1
        paths.setdefault(key, {})[path] = None
    if not counts:
        return 0, ()
    key, count = counts.most_common(1)[0]
    return count, tuple(paths[key])


def compact_paths(paths: Iterable[str]) -> str:
    """Abbreviate paths: ranges of numbers are written once.

    Example:
        >>> compact_paths(["units.0.conv1", "units.0.conv2", "units.1.conv1", "units.1.conv2"])
        'units.0-1.conv1-2'
    """
    by_form: dict[tuple[str, ...], list[tuple[int, ...]]] = {}
    for path in paths:
        parts = re.split(r"(\d+)", path)
        by_form.setdefault(tuple(parts[::2]), []).append(tuple(int(number) for number in parts[1::2]))
    return ", ".join(_compact(form, numbers) for form, numbers in by_form.items())


def _compact(form: tuple[str, ...], numbers: list[tuple[int, ...]]) -> str:
    choices = [sorted(set(column)) for column in zip(*numbers, strict=True)]
    if set(product(*choices)) == set(numbers):
        shown = [*map(_range, choices), ""]
        return "".join(text + number for text, number in zip(form, shown, strict=True))
    # Not all combinations exist: make one group for each first number.
    first = dict.fromkeys(row[0] for row in numbers)
    if len(first) == 1:
        rest = _compact(form[1:], [row[1:] for row in numbers])
        return f"{form[0]}{next(iter(first))}{rest}"
    return ", ".join(_compact(form, [row for row in numbers if row[0] == number]) for number in first)


def _range(numbers: list[int]) -> str:
    if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}-{numbers[-1]}"
    return str(numbers[0]) if len(numbers) == 1 else "{" + ",".join(map(str, numbers)) + "}"
