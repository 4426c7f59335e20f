"""A whole training step as one CUDA graph: recorded once, then launched with a single call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from srbench.training.patches import Batch, PatchTable

__all__ = ["GraphedStep", "LearningRates"]

# Libraries choose algorithms and allocate workspaces in their first calls, which a recording cannot contain.
_WARM_UP = 3


class LearningRates:
    """Hold an optimiser's learning rates as tensors, which a recorded step reads anew at each launch.

    Schedulers go on writing plain numbers into the parameter groups.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device) -> None:
        self._optimizer = optimizer
        self._tensors = [torch.zeros((), device=device) for _ in optimizer.param_groups]

    def update(self) -> None:
        """Copy the schedulers' numbers into the tensors."""
        for group, tensor in zip(self._optimizer.param_groups, self._tensors, strict=True):
            tensor.fill_(group["lr"])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the optimiser see the tensors; what it reads outside is plain numbers."""
        groups = self._optimizer.param_groups  # loading a state replaces the list
        numbers = [group["lr"] for group in groups]
        for group, tensor in zip(groups, self._tensors, strict=True):
            group["lr"] = tensor
        try:
            yield
        finally:
            for group, number in zip(groups, numbers, strict=True):
                group["lr"] = number


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    table: Tensor
    loss: Tensor


class GraphedStep:
    """Run the first iterations as they are, record the next, and replay it from then on.

    Cutting the patches, forward and backward pass, optimiser and average are in the graph; each scale of a multi-scale
    network has a graph of its own. The kernels are those of a plain step, so a training that was interrupted and goes
    on with some plain steps ends with the same bits.
    """

    def __init__(self, compute: Callable[[Batch], Tensor], optimizer: Optimizer, device: torch.device) -> None:
        """Prepare to record.

        Args:
            compute: Takes one step on a batch and returns its loss; it must not wait for the device.
            optimizer: One whose step count is a tensor on the device.
            device: A CUDA device.
        """
        for group in optimizer.param_groups:
            group["capturable"] = True
        self._compute = compute
        self._rates = LearningRates(optimizer, device)
        self._device = device
        self._own_stream = torch.cuda.Stream(device)
        self._plain_steps: Counter[int] = Counter()
        self._recordings: dict[int, _Recording] = {}

    def __call__(self, patches: PatchTable) -> Tensor:
        """Take one step and return its loss, on the device."""
        current = torch.cuda.current_stream(self._device)
        # Recording needs another stream than the default one; a caller that brought one keeps it.
        if current != torch.cuda.default_stream(self._device):
            return self._step(patches)
        self._own_stream.wait_stream(current)
        with torch.cuda.stream(self._own_stream):
            loss = self._step(patches)
        current.wait_stream(self._own_stream)
        return loss

    def _step(self, patches: PatchTable) -> Tensor:
        self._rates.update()
        scale = patches.scale
        if self._plain_steps[scale] < _WARM_UP:
            self._plain_steps[scale] += 1
            with self._rates.in_place():
                return self._compute(patches.cut())
        if scale not in self._recordings:
            self._recordings[scale] = self._record(patches)
        recording = self._recordings[scale]
        recording.table.copy_(patches.table)
        recording.graph.replay()
        return recording.loss.clone()  # the next launch overwrites it

    def _record(self, patches: PatchTable) -> _Recording:
        table = patches.table.clone()
        graph = torch.cuda.CUDAGraph()
        with (
            self._rates.in_place(),
            torch.cuda.graph(graph, stream=torch.cuda.current_stream(self._device), capture_error_mode="thread_local"),
        ):
            loss = self._compute(patches.with_table(table).cut())
        return _Recording(graph, table, loss)
