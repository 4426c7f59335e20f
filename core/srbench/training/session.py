"""One session of a training: the remaining iterations, with validation, checkpoints and progress reports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from srbench.errors import ConfigError, StoreError
from srbench.training.basicsr_model import SRBenchModel
from srbench.training.checkpoint import load_checkpoint, save_checkpoint
from srbench.training.determinism import random_state, restore_random_state
from srbench.training.patches import TrainingPatches
from srbench.training.trace import Trace

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset

__all__ = ["Progress", "Session", "Validator"]

# Reading the loss synchronizes with the device, so between checkpoints it is read only this often, for display
# (seconds).
_PROGRESS_INTERVAL = 0.25


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Attributes:
        iteration: The last finished iteration.
        iterations: Total number of iterations.
        loss: Its loss.
        lr: Its learning rate.
        seconds_left: Estimated remaining time at this session's speed.
        validation: Means per metric of the last validation, keys such as `psnr_y x2`; empty before the first.
    """

    iteration: int
    iterations: int
    loss: float
    lr: float
    seconds_left: float
    validation: dict[str, float] = field(default_factory=dict)


class Validator:
    """Evaluate a network on validation images with the protocol's metrics, without affecting the training."""

    def __init__(
        self, val: str | Path | Dataset, scales: tuple[int, ...], protocol: str, device: str, threads: int
    ) -> None:
        from srbench.data.datasets import open_dataset
        from srbench.protocols import get_protocol
        from srbench.registry import get_metric

        self.dataset = open_dataset(val) if isinstance(val, str | Path) else val
        self.protocol = get_protocol(protocol)
        self.metrics = [get_metric(name) for name in self.protocol.metrics]
        self.scales, self.device, self.threads = scales, device, threads

    def __call__(self, net: Any) -> dict[str, float]:
        """Return the mean of each metric at each scale, with keys such as `psnr_y x2`."""
        from srbench.evaluation.evaluate import evaluate

        device = torch.device(self.device)
        state = random_state(device)
        training = net.training
        net.eval()
        means: dict[str, float] = {}
        for scale in self.scales:
            deployed = net.at_scale(scale) if len(self.scales) > 1 else net
            evaluation = evaluate(
                deployed, self.dataset, scale, self.protocol, self.metrics, device=self.device, threads=self.threads
            )
            means |= {f"{name} x{scale}": mean for name, mean in evaluation.means.items()}
        net.train(training)
        restore_random_state(state, device)
        return means


class Session:
    """Run the remaining iterations."""

    def __init__(
        self,
        model: SRBenchModel,
        patches: TrainingPatches,
        identity: dict[str, Any],
        out_dir: Path,
        device: torch.device,
        validator: Callable[[Any], dict[str, float]] | None,
        progress: Callable[[Progress], None] | None,
        tensorboard: bool,
    ) -> None:
        self.model, self.patches, self.identity, self.device = model, patches, identity, device
        self.recipe = patches.recipe
        self._next_batch = model.batches_of(patches)
        self.checkpoint = out_dir / "checkpoint.pt"
        self.validator, self.progress = validator, progress
        self.iteration = self.resumed_from = 0
        self.report_every = _PROGRESS_INTERVAL
        self.seconds = 0.0
        self._mark = time.monotonic()
        self._done: tuple[int, Tensor] | None = None
        self.loss = math.nan
        self.validations: list[dict[str, float]] = []
        self.trace = Trace()
        if self.checkpoint.exists():
            self._load()
        self.board = _tensorboard(out_dir, self.iteration) if tensorboard else None

    def run(self) -> None:
        """Iterate to the end, and write a checkpoint at least there."""
        for _ in self.iterate():
            pass

    def iterate(self) -> Iterator[int]:
        """Run the iterations and yield each number; on a GPU the iteration may still be computing then."""
        recipe, total, before = self.recipe, self.recipe.iterations, self.seconds
        self._mark = time.monotonic()
        for iteration in range(self.iteration + 1, total + 1):
            loss = self.model.step(self._next_batch(iteration), iteration)
            self.trace.take(iteration, total, loss, self.model.trained)
            self._done = (iteration, loss)
            validating = self.validator and (iteration % recipe.validate_every == 0 or iteration == total)
            saving = iteration % recipe.checkpoint_every == 0 or iteration == total
            if not validating and not saving and time.monotonic() - self._mark < self.report_every:
                yield iteration
                continue
            self._catch_up()
            if validating and self.validator:
                self.validations.append({"iteration": iteration, **self.validator(self.model.trained)})
            if saving:
                self._save()
            self._report((self.seconds - before) / (iteration - self.resumed_from) * (total - iteration))
            self._mark = time.monotonic()
            yield iteration
        if self.board is not None:
            self.board.close()

    def save(self) -> None:
        """Write a checkpoint after the last started iteration, for callers of `iterate` that stop early."""
        self._catch_up()
        self._save()

    def _catch_up(self) -> None:
        """Wait for the started iterations, and count them."""
        if self._done is not None:
            iteration, loss = self._done
            self.iteration, self.loss, self._done = iteration, float(loss), None
            self._check_loss()
            now = time.monotonic()
            self.seconds += now - self._mark
            self._mark = now

    def _check_loss(self) -> None:
        if not math.isfinite(self.loss):
            raise ConfigError(
                f"the training of {self.identity['model']} diverged: the loss is {self.loss} at iteration "
                f"{self.iteration}. Start again with a learning rate lower than {self.recipe.lr}."
            )

    def _report(self, seconds_left: float) -> None:
        lr = self.model.get_current_learning_rate()[0]
        last = dict(self.validations[-1]) if self.validations else {}
        at = last.pop("iteration", None)
        if self.board is not None:
            new = last if at == self.iteration else {}
            for name, value in {"loss": self.loss, "lr": lr, **new}.items():
                self.board.add_scalar(name.replace(" ", "/"), value, self.iteration)
        if self.progress is not None:
            self.progress(Progress(self.iteration, self.recipe.iterations, self.loss, lr, seconds_left, last))

    def _save(self) -> None:
        state = {
            "iteration": self.iteration,
            "seconds": self.seconds,
            "loss": self.loss,
            "validations": self.validations,
            "trace": asdict(self.trace),
            "random": random_state(self.device),
            "model": self.model.state_dict(),
        }
        save_checkpoint(self.checkpoint, self.identity, state)

    def _load(self) -> None:
        state = load_checkpoint(self.checkpoint, self.identity)
        try:
            self.model.load_state_dict(state["model"])
            restore_random_state(state["random"], self.device)
            self.iteration = self.resumed_from = int(state["iteration"])
            self.seconds, self.loss = float(state["seconds"]), float(state["loss"])
            self.validations = list(state["validations"])
            self.trace = Trace(**state.get("trace", {}))  # older checkpoints have none
        except Exception as error:  # raised by a state that only resembles ours
            raise StoreError(
                f"{self.checkpoint} is a damaged checkpoint ({type(error).__name__}); remove it, or train with "
                "--no-resume, to start again."
            ) from error


def _tensorboard(out_dir: Path, iteration: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    # Discard what a killed session logged after its last checkpoint; this session logs it again.
    return SummaryWriter(str(out_dir / "tensorboard"), purge_step=iteration + 1)
