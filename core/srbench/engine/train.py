"""Train a model: from a name and images to a file of weights, whatever interrupts it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from srbench.engine.checkpoint import (
    check_identity,
    load_checkpoint,
    random_state,
    restore_random_state,
    save_checkpoint,
)
from srbench.engine.recipe import Recipe
from srbench.engine.train_data import TrainingPatches
from srbench.errors import ConfigError, StoreError
from srbench.factory import create_model
from srbench.registry import canonical_name
from srbench.storage import disk_errors, exclusive, write_atomic
from srbench.weights import save_state

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset
    from srbench.engine.model import SRBenchModel

__all__ = ["Progress", "TrainResult", "train"]

# Reading the loss waits for the device, so it is read for the eyes only, this often (seconds).
_PROGRESS_INTERVAL = 0.25


@dataclass(frozen=True)
class Progress:
    """Tell how far a training is.

    Attributes:
        iteration: The last iteration that is done.
        iterations: How many there are.
        loss: Its loss.
        lr: Its learning rate.
        seconds_left: Expected time to the end, at this session's speed.
        validation: Means per metric of the last validation, keys such as `psnr_y x2`; empty before the first.
    """

    iteration: int
    iterations: int
    loss: float
    lr: float
    seconds_left: float
    validation: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainResult:
    """Say what a training left behind.

    Attributes:
        model: The model's canonical name.
        scales: What it was trained for.
        weights: The file of weights (safetensors).
        weights_sha256: Hash of its content.
        iterations: Optimiser steps in all.
        seconds: Time spent training, over all sessions, without validation.
        loss: Loss of the last iteration.
        recipe: The recipe as plain values.
        recipe_digest: Its digest.
        data: Name of the training images.
        data_hash: Hash of their pixels.
        validations: One mapping per validation: `iteration` and means per metric and scale.
        resumed_from: The iteration this session went on from; 0 for a fresh start.
        complete_before: Nothing was left to do.
    """

    model: str
    scales: tuple[int, ...]
    weights: Path
    weights_sha256: str
    iterations: int
    seconds: float
    loss: float
    recipe: dict[str, Any]
    recipe_digest: str
    data: str
    data_hash: str
    validations: list[dict[str, float]]
    resumed_from: int = 0
    complete_before: bool = False


def train(
    model_name: str,
    *,
    scales: Sequence[int],
    data: str | Path | Dataset,
    recipe: Recipe,
    out_dir: Path,
    resume: bool = True,
    val: str | Path | Dataset | None = None,
    protocol: str = "matlab-y",
    device: str = "cpu",
    threads: int = 1,
    progress: Callable[[Progress], None] | None = None,
    tensorboard: bool = False,
) -> TrainResult:
    """Train a model and write its weights.

    Killed at any moment and called again, it goes on from the last checkpoint and ends with the same weights, bit for
    bit, as if it had not been interrupted (on the same machine, with the same number of threads). Called again after
    the end, it does nothing.

    Args:
        model_name: A model without a tag, such as `edsr_tiny+ps(ratio=1/4)`.
        scales: One scale, or several for a multi-scale network: each iteration then draws one.
        data: A registered data set or a folder of HR images.
        recipe: How to train.
        out_dir: Where `checkpoint.pt`, `weights.safetensors` and `training.json` (the mark of completion) go.
        resume: Go on from a checkpoint; if false, start again and overwrite.
        val: Images to validate on, every `recipe.validate_every` iterations.
        protocol: How to validate.
        device: `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads of torch. Small networks are fastest with one.
        progress: Called a few times a second, after validations and at the end.
        tensorboard: Also write loss, learning rate and validations for TensorBoard to `out_dir/tensorboard`.

    Raises:
        ConfigError: An argument is wrong, the folder holds another training, or the loss is no longer a number.
        DataError: The training images are not usable.
        StoreError: A file cannot be written or read; the last checkpoint is still good.
    """
    from srbench.data.datasets import open_dataset

    scales = tuple(scales)
    name = canonical_name(model_name)
    if name.tag:
        raise ConfigError(
            f"'{model_name}' names trained weights ('.{name.tag}'); leave the tag out to train the model."
        )
    _check(scales, recipe, threads)
    where = _device(device)
    dataset = open_dataset(data) if isinstance(data, str | Path) else data
    validator = None if val is None else _Validator(val, scales, protocol, device, threads)
    identity = {
        "model": str(name),
        "scales": list(scales),
        "recipe": recipe.digest,
        "training data": dataset.content_hash(),
    }
    finished = out_dir / "training.json"
    if resume and finished.exists():
        return _finished(finished, identity)

    with _reproducible(recipe.seed, threads, where):
        from srbench.engine.model import SRBenchModel

        net = create_model(name, scales=scales, seed=recipe.seed)
        if not any(parameter.requires_grad for parameter in net.parameters()):
            raise ConfigError(f"'{name}' has no parameters to train.")
        patches = TrainingPatches(_images(dataset), recipe, scales, device=where)
        model = SRBenchModel(net, recipe, where)
        with _own(out_dir, keep=resume):
            session = _Session(model, patches, identity, out_dir, where, validator, progress, tensorboard)
            session.run()
            weights = out_dir / "weights.safetensors"
            result = TrainResult(
                model=str(name),
                scales=scales,
                weights=weights,
                weights_sha256=save_state(model.trained, weights),
                iterations=recipe.iterations,
                seconds=round(session.seconds, 3),
                loss=session.loss,
                recipe=recipe.model_dump(mode="json"),
                recipe_digest=recipe.digest,
                data=dataset.name,
                data_hash=identity["training data"],
                validations=session.validations,
                resumed_from=session.resumed_from,
            )
            record = {"identity": identity, "result": {**asdict(result), "weights": weights.name}}
            write_atomic(finished, json.dumps(record, indent=2).encode())
            session.checkpoint.unlink(missing_ok=True)
    return result


def _images(dataset: Dataset) -> dict[str, npt.NDArray[np.uint8]]:
    """Return the decoded images in an order that their names do not decide: the hash of the data leaves names out."""
    from srbench.data.images import pixels_sha256

    images = {name: dataset.hr(name) for name in dataset.image_names()}
    return dict(sorted(images.items(), key=lambda item: pixels_sha256(item[1])))


@contextlib.contextmanager
def _own(out_dir: Path, *, keep: bool) -> Iterator[None]:
    """Keep other processes out of a training's folder, and remove what a killed one or an unwanted one left there."""
    with disk_errors(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
    with exclusive(out_dir / ".lock", owner=f"'{out_dir}'"):
        with disk_errors(out_dir):
            stale = [*out_dir.glob(".tmp-*"), *out_dir.glob(".*.tmp")]
            if not keep:
                stale += [out_dir / name for name in ("training.json", "checkpoint.pt", "weights.safetensors")]
            for path in stale:
                path.unlink(missing_ok=True)
        yield


def _check(scales: tuple[int, ...], recipe: Recipe, threads: int) -> None:
    if not scales or len(set(scales)) != len(scales):
        raise ConfigError(f"scales must be one or several different numbers, got {list(scales)}.")
    recipe.check_scales(scales)
    if threads < 1:
        raise ConfigError(f"threads must be 1 or more, got {threads}.")


def _device(device: str) -> torch.device:
    try:
        where = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"unknown device '{device}'; expected cpu, cuda or cuda:N.") from None
    if where.type not in ("cpu", "cuda"):
        raise ConfigError(f"training runs on cpu or cuda, got '{device}'.")
    if where.type == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError(f"device '{device}' was asked for, but this torch ({torch.__version__}) sees no GPU.")
        if (where.index or 0) >= torch.cuda.device_count():
            raise ConfigError(f"there is no '{device}': {torch.cuda.device_count()} GPUs are visible.")
    return where


def _finished(path: Path, identity: dict[str, Any]) -> TrainResult:
    """Return the result of a training that was completed before."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        values = record["result"]
        weights = path.parent / values["weights"]
        sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} or the weights beside it cannot be read ({error}); train with --no-resume."
        ) from error
    check_identity(path, record["identity"], identity)
    if sha256 != values["weights_sha256"]:
        raise StoreError(f"{weights} is not what the training that ended in {path} wrote; train with --no-resume.")
    known = {**values, "weights": weights, "scales": tuple(values["scales"]), "complete_before": True}
    return TrainResult(**known)


@contextlib.contextmanager
def _reproducible(seed: int, threads: int, device: torch.device) -> Iterator[None]:
    """Seed everything and have torch compute the same bits every time; put all back afterwards."""
    before = random_state(device)
    old_threads = torch.get_num_threads()
    old_modes = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    old_cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    # cuBLAS reads this when it starts; without it, its matrix products may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # Only a warning where an operation has no deterministic form (on GPUs, some backward passes of interpolation).
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(old_threads)
        torch.use_deterministic_algorithms(old_modes[0], warn_only=old_modes[1])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = old_cudnn
        restore_random_state(before, device)


class _Validator:
    """Measure a network on held-out images, leaving no trace in the training."""

    def __init__(
        self, val: str | Path | Dataset, scales: tuple[int, ...], protocol: str, device: str, threads: int
    ) -> None:
        from srbench.data.datasets import open_dataset
        from srbench.protocols import get_protocol
        from srbench.registry import get_metric

        self.dataset = open_dataset(val) if isinstance(val, str | Path) else val
        self.protocol = get_protocol(protocol)
        self.metrics = [get_metric(name) for name in ("psnr_y", "ssim_y")]
        self.scales, self.device, self.threads = scales, device, threads

    def __call__(self, net: Any) -> dict[str, float]:
        from srbench.engine.evaluate import evaluate

        device = torch.device(self.device)
        state = random_state(device)
        training = net.training
        net.eval()
        means: dict[str, float] = {}
        for scale in self.scales:
            deployed = net.at_scale(scale) if len(self.scales) > 1 else net
            table = evaluate(
                deployed, self.dataset, scale, self.protocol, self.metrics, device=self.device, threads=self.threads
            )
            for metric in self.metrics:
                means[f"{metric.name} x{scale}"] = float(table[metric.name].mean())
        net.train(training)
        restore_random_state(state, device)
        return means


class _Session:
    """Run the iterations that are left."""

    def __init__(
        self,
        model: SRBenchModel,
        patches: TrainingPatches,
        identity: dict[str, Any],
        out_dir: Path,
        device: torch.device,
        validator: _Validator | None,
        progress: Callable[[Progress], None] | None,
        tensorboard: bool,
    ) -> None:
        self.model, self.patches, self.identity, self.device = model, patches, identity, device
        self.recipe = patches.recipe
        self.checkpoint = out_dir / "checkpoint.pt"
        self.validator, self.progress = validator, progress
        self.iteration = self.resumed_from = 0
        self.seconds = 0.0
        self.loss = math.nan
        self.validations: list[dict[str, float]] = []
        if self.checkpoint.exists():
            self._load()
        self.board = _tensorboard(out_dir, self.iteration) if tensorboard else None

    def run(self) -> None:
        """Iterate to the end, with a checkpoint at least there."""
        recipe, total, before = self.recipe, self.recipe.iterations, self.seconds
        mark = time.monotonic()
        for iteration in range(self.iteration + 1, total + 1):
            loss = self.model.step(self.patches.batch(iteration), iteration)
            validating = self.validator and (iteration % recipe.validate_every == 0 or iteration == total)
            saving = iteration % recipe.checkpoint_every == 0 or iteration == total
            if not validating and not saving and time.monotonic() - mark < _PROGRESS_INTERVAL:
                continue
            self.iteration, self.loss = iteration, float(loss)
            self._check_loss()
            self.seconds += time.monotonic() - mark
            if validating and self.validator:
                self.validations.append({"iteration": iteration, **self.validator(self.model.trained)})
            if saving:
                self._save()
            self._report((self.seconds - before) / (iteration - self.resumed_from) * (total - iteration))
            mark = time.monotonic()
        if self.board is not None:
            self.board.close()

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
            "random": random_state(self.device),
            "model": self.model.state_dict(),
        }
        save_checkpoint(self.checkpoint, self.identity, state)

    def _load(self) -> None:
        state = load_checkpoint(self.checkpoint, self.identity)
        self.model.load_state_dict(state["model"])
        restore_random_state(state["random"], self.device)
        self.iteration = self.resumed_from = state["iteration"]
        self.seconds, self.loss = state["seconds"], state["loss"]
        self.validations = state["validations"]


def _tensorboard(out_dir: Path, iteration: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "TensorBoard output was asked for, but tensorboard is not installed: `pip install tensorboard`."
        ) from None
    # What a killed session wrote after its last checkpoint is written again by this one.
    return SummaryWriter(str(out_dir / "tensorboard"), purge_step=iteration + 1)  # type: ignore[no-untyped-call]
