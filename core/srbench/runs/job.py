"""What is done with one model of a run: check it, train it if it has no weights, measure it on every data set."""

from __future__ import annotations

import errno
import platform
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench import __version__
from srbench.errors import CostError, SRBenchError, WeightsError
from srbench.evaluation.options import TilingWarning
from srbench.images.crops import crop_box
from srbench.results.cost_figures import CostFigures
from srbench.results.records import MetricKind, Record, Training, now, slugify
from srbench.runs import fingerprint
from srbench.runs.plan import CellPlan, ModelPlan
from srbench.storage import sha256_file

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from srbench.data.datasets import Dataset
    from srbench.models.backbone import Backbone
    from srbench.protocols import Protocol
    from srbench.training.train import TrainResult

__all__ = ["DiskFull", "Finished", "Job", "Progress", "failed_record", "perform"]

CROP = 96  # side of a crop in HR pixels


@dataclass(frozen=True)
class Job:
    """A model's part of a run, with what a process needs to do it.

    Attributes:
        model: What to do.
        models_path: Where trainings are kept.
        device: `cpu`, `cuda` or `cuda:N`.
        train_threads: CPU threads of a training.
        threads: CPU threads of an evaluation.
    """

    model: ModelPlan
    models_path: Path
    device: str = "cpu"
    train_threads: int = 1
    threads: int = 1


@dataclass(frozen=True)
class Progress:
    """Tell how far a step of a job is.

    Attributes:
        step: `check`, `train` or `evaluate`.
        done: Checks, iterations or images.
        total: How many there are; 0 where it is not known.
        detail: What a reader may want to know beside it, such as a loss.
    """

    step: str
    done: int
    total: int
    detail: str = ""


@dataclass(frozen=True)
class Finished:
    """A cell is measured, or has failed: everything that is to be stored."""

    record: Record
    per_image: pd.DataFrame | None = None
    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    speed: dict[str, Any] | None = None


@dataclass(frozen=True)
class DiskFull:
    """The disk is full: no use in going on.

    Attributes:
        message: The sentence for the user.
    """

    message: str


class CheckFailedError(Exception):
    """A conformance check of the model failed, so that its figures would mean nothing."""


Emit = Callable[[Any], None]


def perform(job: Job, emit: Emit) -> None:
    """Do a job: emit `Progress`, one `Finished` per cell, and `DiskFull` where the disk has no room; raise nothing."""
    model = job.model
    state: dict[str, Any] = {}
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
                measured = [Finished(failed_record(model, cell, text, **_known(state))) for cell in group]
            for cell, finished in zip(group, measured, strict=True):
                emit(finished)
                cells.remove(cell)
    except Exception as error:
        if _is_full(error):
            emit(
                DiskFull(
                    str(error) if isinstance(error, SRBenchError) else f"there is no room left on the disk: {error}"
                )
            )
            return
        text = str(error) if isinstance(error, CheckFailedError) else traceback.format_exc()
        for cell in cells:
            emit(Finished(failed_record(model, cell, text, **_known(state))))


def failed_record(model: ModelPlan, cell: CellPlan, error: str, **known: Any) -> Record:
    """Return the record of a cell that could not be measured."""
    return _record(model, cell, status="failed", error=error, **known)


def _record(model: ModelPlan, cell: CellPlan, **values: Any) -> Record:
    name = model.name
    from srbench.registry.names import format_value

    return Record(
        key=cell.key,
        model=str(name),
        backbone=name.backbone,
        method=name.method,
        tag=name.tag,
        args={key: format_value(value) for key, value in name.args},
        scale=cell.scale,
        scales=list(model.scales),
        seed=None if model.training is None else model.training.seed,
        dataset=cell.data.name,
        dataset_hash=cell.data.content_hash,
        protocol=cell.shown_protocol,
        protocol_digest=cell.protocol_digest,
        tier=model.tier,
        plugins=model.plugins,
        code_digest=model.code_digest,
        dtype=cell.inference.record_dtype,
        numerics={**fingerprint.NUMERICS, **cell.inference.chosen},
        versions=_versions(),
        created=now(),
        **values,
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {
        "srbench": __version__,
        "torch": version("torch"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
    }


def _known(state: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a record that are known by now."""
    known = {"checks", "training", "weights_sha256", "params_unique", "params_deployed", "params_stored", "cost"}
    return {key: value for key, value in state.items() if key in known}


def _is_full(error: BaseException | None) -> bool:
    """Say whether an error is the disk's lack of room, or was caused by it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        error = error.__cause__
    return False


def _prepare(job: Job, state: dict[str, Any], emit: Emit) -> None:
    """Check the model, train it if need be, and load it."""
    import torch

    from srbench.models.counting import count_parameters, count_stored
    from srbench.models.factory import create_model
    from srbench.models.weight_files import load_into
    from srbench.testing import run_checks

    model = job.model
    torch.set_num_threads(job.threads)
    emit(Progress("check", 0, 0))
    state["checks"] = run_checks(str(model.name), model.scales)
    if broken := {check: result for check, result in state["checks"].items() if result.startswith("failed")}:
        listed = "; ".join(f"{check}: {result}" for check, result in broken.items())
        raise CheckFailedError(f"the conformance checks of '{model.name}' must pass before it is measured; {listed}")
    if model.training is not None:
        result = _train(job, emit)
        state["weights_sha256"] = result.weights_sha256
        state["training"] = Training(
            recipe=result.recipe,
            iterations=result.iterations,
            seeds=[int(result.recipe["seed"])],
            data=result.data,
            data_hash=result.data_hash,
            seconds=result.seconds,
        )
        network = create_model(model.name, scales=model.scales)
        load_into(network, result.weights)
    elif model.weights is not None:
        state["weights_sha256"] = sha256_file(model.weights)
        if state["weights_sha256"] != model.weights_sha256:
            raise WeightsError(f"'{model.weights.name}' was changed after the run began; run the suite again")
        network = create_model(model.name, scales=model.scales)
        load_into(network, model.weights)
    else:
        state["weights_sha256"] = model.weights_sha256
        network = create_model(model.name, scales=model.scales)
    state["params_unique"] = count_parameters(network)
    state["params_stored"] = count_stored(network)
    state["network"] = network.eval()


def _deploy(job: Job, scale: int, state: dict[str, Any]) -> Backbone:
    """Return what one scale needs of the network, on the device."""
    from srbench.models.counting import count_parameters
    from srbench.models.surgery import deployed

    if state.get("scale") != scale:
        network: Backbone = deployed(state["network"], scale)
        state["params_deployed"] = count_parameters(network)
        state["cost"] = _cost(network)
        state["deployed"], state["scale"] = network.to(job.device), scale
    view: Backbone = state["deployed"]
    return view


def _cost(deployed: Backbone) -> CostFigures:
    from srbench.cost.counts import cost_of

    try:
        cost = cost_of(deployed)
    except CostError as error:
        return CostFigures(not_counted=str(error))
    return CostFigures(
        macs=cost.hd.macs,
        macs_256=cost.ntire.macs,
        synthesis=round(cost.hd.synthesis),
        activations=round(cost.hd.activations),
        activations_256=round(cost.ntire.activations),
    )


def _executed(network: Backbone, dataset: Dataset, scale: int, protocol: Protocol, cost: CostFigures) -> CostFigures:
    """Return a cost with what the network's masks leave of it on these images, if it has masks."""
    from srbench.cost.executed import executed_on

    counts = executed_on(network, dataset, scale, protocol)
    if not counts:
        return cost
    return cost.model_copy(update={"macs_executed": round(sum(counts.values()) / len(counts))})


def _train(job: Job, emit: Emit) -> TrainResult:
    from srbench.training.recipe import Recipe
    from srbench.training.train import train

    model, training = job.model, job.model.training
    if training is None:
        raise ValueError(f"{model.label} has nothing to train")
    return train(
        str(model.name),
        scales=model.scales,
        data=training.data.source,
        recipe=Recipe.model_validate(training.recipe),
        out_dir=job.models_path / training.directory,
        device=job.device,
        threads=job.train_threads,
        progress=lambda at: emit(Progress("train", at.iteration, at.iterations, f"loss {at.loss:.4f}")),
    )


def _sharing_outputs(cells: Sequence[CellPlan]) -> list[CellPlan]:
    """Return the first cell and those that need the same outputs of the network: same images, same LR, same scale."""
    from srbench.protocols import get_protocol

    def needs(cell: CellPlan) -> tuple[object, ...]:
        return cell.data.source, cell.scale, cell.metrics, cell.inference, get_protocol(cell.protocol).lr_digest

    return [cell for cell in cells if needs(cell) == needs(cells[0])]


def _evaluate(job: Job, cells: Sequence[CellPlan], state: dict[str, Any], emit: Emit) -> list[Finished]:
    """Measure cells that differ in the protocol only, with one pass of the network."""
    from srbench.data.datasets import open_dataset
    from srbench.evaluation.evaluate import evaluate
    from srbench.protocols import get_protocol
    from srbench.registry import get_metric

    data, scale = cells[0].data, cells[0].scale
    network = _deploy(job, scale, state)
    dataset = open_dataset(data.source)
    protocols = [get_protocol(cell.protocol) for cell in cells]
    metrics = [get_metric(name) for name in cells[0].metrics]
    label = f"{data.name}, {' + '.join(cell.shown_protocol for cell in cells)}"
    if len(job.model.measured) > 1:
        label = f"x{scale}, {label}"
    emit(Progress("evaluate", 0, data.images, label))
    started = time.perf_counter()
    crops: list[dict[str, NDArray[np.uint8]]] = [{} for _ in cells]
    with tempfile.TemporaryDirectory(prefix="srbench-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", TilingWarning)  # what it says is in the record
        tables = evaluate(
            network,
            dataset,
            scale,
            protocols,
            metrics,
            device=job.device,
            threads=job.threads,
            progress=lambda _, done, total: emit(Progress("evaluate", done, total, label)),
            save_images=Path(folder) if dataset.redistributable else None,
            inference=cells[0].inference,
        )
        if dataset.redistributable:
            crops = [_crops(Path(folder, protocol.name), dataset, protocol, scale) for protocol in protocols]
    seconds = round(time.perf_counter() - started, 3)
    cost = _executed(network, dataset, scale, protocols[0], state["cost"])
    columns = [metric.name for metric in metrics]
    measured = []
    for cell, table, images in zip(cells, tables, crops, strict=True):
        record = _record(
            job.model,
            cell,
            status="ok",
            images=len(table),
            metrics={name: float(table[name].mean()) for name in columns},
            metric_kinds={
                metric.name: MetricKind(unit=metric.unit, higher_is_better=metric.higher_is_better)
                for metric in metrics
            },
            tile_error=table.attrs["tile_error"],
            redistributable=dataset.redistributable,
            licence=_licences(dataset),
            **_known(state) | {"cost": cost},
        )
        speed = {
            "schema_version": 1,
            "hardware": _hardware(job),
            "forward_seconds": {str(row["image"]): float(row["forward_seconds"]) for _, row in table.iterrows()},
            "wall_seconds": seconds,
            "protocols": [protocol.name for protocol in protocols],  # that those seconds were spent on
        }
        measured.append(Finished(record, table[["image", *columns]], images, speed))
    return measured


def _licences(dataset: Dataset) -> str | None:
    """Return author and licence of each image that may be shown, in one line."""
    known = [(name, dataset.licence(name)) for name in dataset.image_names()] if dataset.redistributable else []
    return "; ".join(f"{name}: {terms.author}, {terms.licence}" for name, terms in known if terms is not None) or None


def _crops(folder: Path, dataset: Dataset, protocol: Any, scale: int) -> dict[str, NDArray[np.uint8]]:
    """Cut the liveliest part out of every image: chosen on the HR image, so the same for every model."""
    from srbench.images.files import read_rgb

    found: dict[str, NDArray[np.uint8]] = {}
    for name in dataset.image_names():
        hr = protocol.reference(dataset.hr(name), scale, grey=dataset.is_grey(name))
        if hr.ndim == 2:  # luma; its SR image was saved in grey
            hr = hr[..., None].repeat(3, 2)
        top, left, bottom, right = crop_box(hr, CROP, scale)
        sr = read_rgb(folder / f"{name}.png")
        stem = slugify(name)
        found[f"{stem}.hr.png"] = hr[top:bottom, left:right]
        found[f"{stem}.sr.png"] = sr[top:bottom, left:right]
    return found


def _hardware(job: Job) -> dict[str, Any]:
    import torch

    from srbench.cost.machine import processor_name

    cuda = job.device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name(job.device) if cuda else processor_name(),
        "kind": "cuda" if cuda else "cpu",
        "threads": job.threads,
        "torch": str(torch.__version__),
    }
