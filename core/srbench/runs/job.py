"""The job for one model of a run: check it, train it if it has no weights, and measure it on every data set."""

from __future__ import annotations

import errno
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import SRBenchError, WeightsError
from srbench.evaluation.options import TilingWarning
from srbench.results.cost_figures import CostFigures
from srbench.results.records import MetricKind, Record, Training, TrainingTrace, Validation
from srbench.runs.page_crops import PageCrops
from srbench.runs.plan import CellPlan, ModelPlan, TrainingPlan
from srbench.runs.recording import ModelFacts, cell_record, cost_figures, executed, failed_record, hardware, licences
from srbench.runs.validations import begin_validation, stored_validation
from srbench.storage import sha256_file

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from srbench.models.backbone import Backbone
    from srbench.protocols import Protocol
    from srbench.training.session import Progress as Iteration
    from srbench.training.train import TrainResult

    Collector = Callable[[Protocol, str, NDArray[np.uint8], NDArray[np.uint8]], None]

__all__ = ["DiskFull", "Finished", "Job", "Progress", "perform"]


@dataclass(frozen=True)
class Job:
    """A model's part of a run, with everything that a worker process needs.

    Attributes:
        model: The plan of the model.
        models_path: The folder of trainings.
        device: `cpu`, `cuda` or `cuda:N`.
        train_threads: CPU threads for training.
        threads: CPU threads for evaluation.
        images_path: Folder for whole SR images, with a folder per cell; None to discard them.
        prepared_scales: Scales of all trainings of the run on the same images, for which LR images are made at once.
    """

    model: ModelPlan
    models_path: Path
    device: str = "cpu"
    train_threads: int = 1
    threads: int = 1
    images_path: Path | None = None
    prepared_scales: tuple[int, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Progress of a step of a job.

    Attributes:
        step: `check`, `prepare` (training images), `train` or `evaluate`.
        done: Number of finished checks, iterations or images.
        total: Total number; 0 if unknown.
        detail: Additional information, such as the loss.
    """

    step: str
    done: int
    total: int
    detail: str = ""


@dataclass(frozen=True)
class Finished:
    """A measured or failed cell, with everything to be stored."""

    record: Record
    per_image: pd.DataFrame | None = None
    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    speed: dict[str, Any] | None = None


@dataclass(frozen=True)
class DiskFull:
    """The disk is full, so the run has to stop.

    Attributes:
        message: The message for the user.
    """

    message: str


class CheckFailedError(Exception):
    """A conformance check of the model failed, so its figures would be meaningless."""


@dataclass
class _State:
    """The state of a job: facts for records, and the network, both complete and as it is deployed for a cell."""

    facts: ModelFacts = field(default_factory=ModelFacts)
    network: Backbone | None = None
    deployed: Backbone | None = None
    deployed_for: tuple[object, ...] = ()


Emit = Callable[[Progress | Finished | DiskFull], None]


def perform(job: Job, emit: Emit) -> None:
    """Run a job: emit `Progress`, one `Finished` per cell, and `DiskFull` if the disk is full; raise nothing."""
    model = job.model
    state = _State()
    cells = list(model.cells)
    try:
        _prepare(job, state, emit)
        while cells:
            group = _sharing_outputs(cells)
            try:
                measured = _evaluate(job, group, state, emit)
            except Exception as error:
                if _is_full(error):
                    raise
                text = traceback.format_exc()
                measured = [Finished(failed_record(model, cell, text, state.facts)) for cell in group]
            for cell, finished in zip(group, measured, strict=True):
                emit(finished)
                cells.remove(cell)
    except Exception as error:
        if _is_full(error):
            emit(DiskFull(str(error) if isinstance(error, SRBenchError) else f"no space left on the disk: {error}"))
            return
        text = str(error) if isinstance(error, CheckFailedError) else traceback.format_exc()
        for cell in cells:
            emit(Finished(failed_record(model, cell, text, state.facts)))


def _is_full(error: BaseException | None) -> bool:
    """Return whether an error means that the disk is full, or was caused by that."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        error = error.__cause__
    return False


def _prepare(job: Job, state: _State, emit: Emit) -> None:
    """Check the model, train it if needed, and load it."""
    import torch

    from srbench.models.counting import count_parameters, count_stored
    from srbench.models.factory import create_model
    from srbench.models.weight_files import load_into
    from srbench.testing import run_checks

    model = job.model
    torch.set_num_threads(job.threads)
    if job.device.startswith("cuda:"):
        torch.cuda.set_device(job.device)  # for what is allocated or captured on the current GPU
    emit(Progress("check", 0, 0))
    facts = state.facts
    facts.checks = run_checks(str(model.name), model.scales)
    if broken := {check: result for check, result in facts.checks.items() if result.startswith("failed")}:
        listed = "; ".join(f"{check}: {result}" for check, result in broken.items())
        raise CheckFailedError(f"the conformance checks of '{model.name}' must pass before it is measured; {listed}")
    if model.training is not None:
        result, validation = _train(job, model.training, emit)
        facts.weights_sha256 = result.weights_sha256
        facts.training = Training(
            recipe=result.recipe,
            iterations=result.iterations,
            seeds=[int(result.recipe["seed"])],
            data=result.data,
            data_hash=result.data_hash,
            seconds=result.seconds,
            code_digest=model.training.code,
            trace=None if result.trace is None else TrainingTrace(**result.trace),
            validation=validation,
        )
        network = create_model(model.name, scales=model.scales)
        load_into(network, result.weights)
    elif model.weights is not None:
        facts.weights_sha256 = sha256_file(model.weights)
        if facts.weights_sha256 != model.weights_sha256:
            raise WeightsError(f"'{model.weights.name}' was changed after the run began; run the suite again")
        network = create_model(model.name, scales=model.scales)
        load_into(network, model.weights)
    else:
        facts.weights_sha256 = model.weights_sha256
        network = create_model(model.name, scales=model.scales)
    facts.params_unique = count_parameters(network)
    facts.params_stored = count_stored(network)
    state.network = network.eval()


def _deploy(job: Job, cell: CellPlan, state: _State) -> Backbone:
    """Return the network as it is deployed for a cell, on the device."""
    from srbench.evaluation.deployment import deploy
    from srbench.models.counting import count_parameters

    wanted = cell.scale, cell.inference.fold, cell.inference.path
    if state.deployed is None or state.deployed_for != wanted:
        assert state.network is not None  # created by `_prepare`
        network, counted, state.facts.folded = deploy(state.network, cell.scale, cell.inference)
        state.facts.params_deployed = count_parameters(counted)
        state.facts.cost = cost_figures(counted)
        state.deployed, state.deployed_for = network.to(job.device), wanted
    return state.deployed


def _train(job: Job, training: TrainingPlan, emit: Emit) -> tuple[TrainResult, Validation | None]:
    from srbench.data.datasets import open_dataset
    from srbench.training.prepare_once import prepare_once
    from srbench.training.train import train

    def preparing(done: int, total: int) -> None:
        emit(Progress("prepare", done, total, training.data.name))

    folder, planned = job.models_path / training.directory, training.validation
    validated: dict[str, Any] = {}
    if planned is not None:
        begin_validation(folder, planned)
        validated = {"val": planned.data.open(), "protocol": planned.protocol.name}
    data = open_dataset(training.data.source)
    if not (folder / "training.json").exists():  # a finished training needs no images
        data = prepare_once(data, job.prepared_scales or job.model.scales, progress=preparing)
    result = train(
        job.model.name,
        scales=job.model.scales,
        data=data,
        recipe=training.recipe,
        out_dir=folder,
        device=job.device,
        threads=job.train_threads,
        progress=lambda at: emit(Progress("train", at.iteration, at.iterations, _said(at))),
        preparing=preparing,
        **validated,
    )
    return result, stored_validation(folder, result)


def _said(at: Iteration) -> str:
    validated = "".join(f", {name} {mean:.2f}" for name, mean in at.validation.items() if "psnr" in name)
    return f"loss {at.loss:.4f}{validated}"


def _sharing_outputs(cells: Sequence[CellPlan]) -> list[CellPlan]:
    """Return the first cell and those that need the same network outputs: same images, same LR images, same scale."""

    def needs(cell: CellPlan) -> tuple[object, ...]:
        return cell.data.source, cell.scale, cell.metrics, cell.inference, cell.protocol.lr_digest

    return [cell for cell in cells if needs(cell) == needs(cells[0])]


def _collector(cells: Sequence[CellPlan], crops: PageCrops | None, images_path: Path | None) -> Collector | None:
    """Return a callback for the SR images of some cells, which keeps page crops, whole images or both; or None."""
    if images_path is None:
        return crops
    from srbench.images.files import write_png

    folders = {cell.protocol.name: images_path / cell.directory for cell in cells}

    def keep(protocol: Protocol, image: str, sr: NDArray[np.uint8], hr: NDArray[np.uint8]) -> None:
        write_png(sr, folders[protocol.name] / f"{image}.png")
        if crops is not None:
            crops(protocol, image, sr, hr)

    return keep


def _evaluate(job: Job, cells: Sequence[CellPlan], state: _State, emit: Emit) -> list[Finished]:
    """Measure cells that differ only in the protocol, with one pass of the network."""
    from srbench.evaluation.device_metrics import metrics_for
    from srbench.evaluation.evaluate import evaluate_protocols
    from srbench.evaluation.warm_up import warm_up
    from srbench.registry import get_metric

    data, scale = cells[0].data, cells[0].scale
    network = _deploy(job, cells[0], state)
    dataset = data.open()
    protocols = [cell.protocol for cell in cells]
    metrics, on_gpu = metrics_for([get_metric(name) for name in cells[0].metrics], job.device)
    inference = cells[0].inference.inference
    label = f"{data.label}, {' + '.join(cell.shown_protocol for cell in cells)}"
    if len(job.model.measured) > 1:
        label = f"x{scale}, {label}"
    emit(Progress("evaluate", 0, data.images, label))
    warm = warm_up(network, dataset, scale, protocols[0], device=job.device, inference=inference)
    started = time.perf_counter()
    crops = PageCrops(scale) if dataset.redistributable else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TilingWarning)  # its message is stored in the record
        evaluations = evaluate_protocols(
            network,
            dataset,
            scale,
            protocols,
            metrics,
            device=job.device,
            threads=job.threads,
            progress=lambda _, done, total: emit(Progress("evaluate", done, total, label)),
            collect=_collector(cells, crops, job.images_path),
            inference=inference,
        )
    seconds = round(time.perf_counter() - started, 3)
    cost = executed(network, dataset, scale, protocols[0], state.facts.cost or CostFigures())
    measured = []
    for cell, found in zip(cells, evaluations, strict=True):
        record = cell_record(
            job.model,
            cell,
            status="ok",
            images=len(found.table),
            metrics=found.means,
            metric_kinds={
                metric.name: MetricKind(unit=metric.unit, higher_is_better=metric.higher_is_better)
                for metric in metrics
            },
            tile_error=None if found.tile_error is None else asdict(found.tile_error),
            redistributable=dataset.redistributable,
            licence=licences(dataset),
            numerics={"metrics_on_gpu": ",".join(on_gpu)} if on_gpu else {},
            **state.facts.fields() | {"cost": cost},
        )
        speed = {
            "schema_version": 1,
            "hardware": hardware(job.device, job.threads),
            "forward_seconds": found.forward_seconds,
            "wall_seconds": seconds,
            "warm_up": warm,
            "protocols": [protocol.name for protocol in protocols],  # the hardware on which these times were measured
        }
        measured.append(Finished(record, found.scores, crops.under(found.protocol) if crops else {}, speed))
    return measured
