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

# Libraries choose algorithms and allocate workspaces in their first calls, which cannot be captured.
_WARM_UP = 3


class LearningRates:
    """An optimizer's learning rates as tensors, which a captured step reads at each launch.

    Schedulers still write plain numbers to the parameter groups.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device) -> None:
        self._optimizer = optimizer
        self._tensors = [torch.zeros((), device=device) for _ in optimizer.param_groups]

    def update(self) -> None:
        """Copy the schedulers' values to the tensors."""
        for group, tensor in zip(self._optimizer.param_groups, self._tensors, strict=True):
            tensor.fill_(group["lr"])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the optimizer the tensors inside the block; outside it sees plain numbers."""
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
    """Run the first iterations normally, capture the next one, and replay it from then on.

    The graph contains cutting patches, forward and backward pass, optimizer and average; a multi-scale network has
    one graph per scale. The kernels are those of a normal step, so a resumed training, which begins with some normal
    steps, ends with the same bits.
    """

    def __init__(self, compute: Callable[[Batch], Tensor], optimizer: Optimizer, device: torch.device) -> None:
        """Prepare capturing.

        Args:
            compute: Takes one step on a batch and returns its loss, without synchronizing with the device.
            optimizer: An optimizer whose step count is a tensor on the device.
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
        # Capturing needs a stream other than the default one; keep the caller's if it has set one.
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
