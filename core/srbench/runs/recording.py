"""Create records of cells from the plan, the model and the machine."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from srbench import __version__
from srbench.errors import CostError
from srbench.registry.names import format_value
from srbench.results.cost_figures import CostFigures
from srbench.results.records import Record, Training, now
from srbench.runs.checkout import checkout
from srbench.runs.fingerprint import NUMERICS
from srbench.runs.plan import CellPlan, ModelPlan

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset
    from srbench.models.backbone import Backbone
    from srbench.protocols import Protocol

__all__ = ["ModelFacts", "cell_record", "cost_figures", "executed", "failed_record", "hardware", "licences", "versions"]


@dataclass
class ModelFacts:
    """The facts about a model in a record, as far as they are known when the cell is stored."""

    checks: dict[str, str] = field(default_factory=dict)
    training: Training | None = None
    weights_sha256: str | None = None
    params_unique: int | None = None
    params_deployed: int | None = None
    params_stored: int | None = None
    cost: CostFigures | None = None
    folded: bool | None = None

    def fields(self) -> dict[str, Any]:
        """Return the facts as fields of a record."""
        return dict(vars(self))


def cell_record(model: ModelPlan, cell: CellPlan, **values: Any) -> Record:
    """Return the record of a cell from its plan and the given fields; `numerics` are added to those of the plan."""
    name = model.name
    numerics = {**NUMERICS, **cell.inference.chosen, **values.pop("numerics", {})}
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
        code_digest=cell.code,
        dtype=cell.inference.record_dtype,
        numerics=numerics,
        versions=versions(),
        created=now(),
        primary_metric=cell.protocol.primary_metric if cell.protocol.primary_metric in cell.metrics else "",
        checkout=checkout(),
        weights=model.origin,
        plan=model.plan,
        subset=cell.data.subset,
        dataset_source=cell.data.path_hash,
        **values,
    )


def failed_record(model: ModelPlan, cell: CellPlan, error: str, facts: ModelFacts | None = None) -> Record:
    """Return the record of a failed cell."""
    known = {} if facts is None else facts.fields()
    return cell_record(model, cell, status="failed", error=error, **known)


def versions() -> dict[str, str]:
    """Return the versions for a record."""
    from importlib.metadata import version

    return {
        "srbench": __version__,
        "torch": version("torch"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
    }


def cost_figures(deployed: Backbone) -> CostFigures:
    """Return the cost of a network, or why it could not be counted."""
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


def executed(network: Backbone, dataset: Dataset, scale: int, protocol: Protocol, cost: CostFigures) -> CostFigures:
    """Return a cost with the work executed on these images, if the network has masks."""
    from srbench.cost.executed import executed_on

    counts = executed_on(network, dataset, scale, protocol)
    if not counts:
        return cost
    return cost.model_copy(update={"macs_executed": round(sum(counts.values()) / len(counts))})


def licences(dataset: Dataset) -> str | None:
    """Return author and licence of each redistributable image, in one line."""
    known = [(name, dataset.licence(name)) for name in dataset.image_names()] if dataset.redistributable else []
    return "; ".join(f"{name}: {terms.author}, {terms.licence}" for name, terms in known if terms is not None) or None


def hardware(device: str, threads: int) -> dict[str, Any]:
    """Return a description of the hardware, for timings."""
    import torch

    from srbench.machine import processor_name

    cuda = device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name(device) if cuda else processor_name(),
        "kind": "cuda" if cuda else "cpu",
        "threads": threads,
        "torch": str(torch.__version__),
    }
