"""Several trainings at once on one device: a single small network leaves most of a GPU idle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from srbench.errors import SRBenchError
from srbench.training.train import Training, TrainResult

__all__ = ["run_side_by_side"]

# Iterations of one training that may be queued on the device: enough to keep it busy while another one validates.
_DEPTH = 32
# The first iterations choose kernels and record steps; benchmarking kernels needs an otherwise idle device.
_ALONE = 5


@dataclass
class _Lane:
    """One training with its own stream.

    Attributes:
        waiting: One event for each iteration that the device may not have finished.
    """

    training: Training
    stream: torch.cuda.Stream | None
    iterations: Iterator[int]
    waiting: deque[torch.cuda.Event] = field(default_factory=deque)

    def full(self) -> bool:
        """Return whether enough iterations are queued on the device."""
        while self.waiting and self.waiting[0].query():
            self.waiting.popleft()
        return len(self.waiting) >= _DEPTH

    def advance(self) -> bool:
        """Launch one iteration; return False after the last one."""
        with torch.cuda.stream(self.stream):
            if next(self.iterations, None) is None:
                return False
            if self.stream is not None:
                event = torch.cuda.Event()
                event.record(self.stream)
                self.waiting.append(event)
        return True


def run_side_by_side(
    trainings: Iterator[Training],
    device: torch.device,
    *,
    jobs: int,
    finished: Callable[[Training, TrainResult | SRBenchError], None],
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Run trainings in this process, each in its own stream on a GPU and at its own pace.

    The trainings' random choices depend only on seed and iteration. A network that draws from torch's generators is
    not bit-reproducible this way.

    Args:
        trainings: Results of `open_training`, requested when there is room; all with the same precision settings.
        device: The device.
        jobs: How many run at a time.
        finished: Called with a training and its result when it is complete, or with the exception that ended it.
        stop: Called before each round; if it returns true, every incomplete training writes a checkpoint and stops.

    Returns:
        Whether all trainings have ended.
    """
    lanes: list[_Lane] = []
    while not stop():
        while len(lanes) < jobs and (training := next(trainings, None)) is not None:
            stream = torch.cuda.Stream(device) if device.type == "cuda" else None
            lanes.append(_Lane(training, stream, training.session.iterate()))
            for _ in range(_ALONE):
                if not _advance(lanes[-1], lanes, finished):
                    break
        if not lanes:
            return True
        launched = 0
        for lane in lanes.copy():
            if not lane.full():
                _advance(lane, lanes, finished)
                launched += 1
        if not launched:
            lanes[0].waiting[0].synchronize()
    for lane in lanes:
        _wait(lane)
        with torch.cuda.stream(lane.stream):
            lane.training.session.save()
    return False


def _advance(lane: _Lane, lanes: list[_Lane], finished: Callable[[Training, TrainResult | SRBenchError], None]) -> bool:
    try:
        if lane.advance():
            return True
        _wait(lane)
        ended: TrainResult | SRBenchError = lane.training.finish()
    except SRBenchError as error:
        ended = error
    lanes.remove(lane)
    finished(lane.training, ended)
    return False


def _wait(lane: _Lane) -> None:
    if lane.stream is not None:
        lane.stream.synchronize()
