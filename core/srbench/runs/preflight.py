"""Checks of a whole run before anything is written: networks, memory, recipes, weights and images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from srbench.errors import NetworkError, SRBenchError
from srbench.results.store import RunStore
from srbench.runs.plan import ModelPlan

if TYPE_CHECKING:
    from srbench.models.backbone import Backbone

__all__ = ["check_trainings", "preflight"]


def check_trainings(todo: Sequence[ModelPlan], store: RunStore, devices: Sequence[str], *, here: bool) -> None:
    """Refuse trainings with settings that a network or a device does not support.

    Args:
        todo: The models; those whose training is finished are not checked.
        store: The run's store, with its trainings.
        devices: The devices; any of them may get any model.
        here: Whether they are devices of this machine, not of a cluster's nodes.

    Raises:
        SRBenchError: A setting is not supported; the message gives the line of the suite's file.
    """
    from srbench.models.factory import create_model
    from srbench.training.device_support import check_training, depends_on_device

    for model in todo:
        training = model.training
        if training is None or not depends_on_device(training.recipe) or training.finished(store):
            continue
        with _placed(model):
            network = create_model(model.name, scales=model.scales)
            for device in devices:
                check_training(training.recipe, network, device, here=here)


@contextmanager
def _placed(model: ModelPlan) -> Iterator[None]:
    """Put a model's line in the suite's file before an error's message."""
    try:
        yield
    except SRBenchError as error:
        raise type(error)(f"{model.place}: {error}") from error


def preflight(
    todo: Sequence[ModelPlan],
    devices: Sequence[str],
    *,
    note: Callable[[str], None],
    fetch: bool,
    skip_missing_weights: bool,
) -> dict[str, str]:
    """Build every network and fetch all weights and images, to find errors before hours of work.

    Args:
        todo: The models.
        devices: The devices whose memory is checked.
        note: Called with a description of each step.
        fetch: Download weights and images.
        skip_missing_weights: Skip models whose weights cannot be downloaded, instead of refusing the suite.

    Returns:
        The models to skip because their weights cannot be downloaded: label -> reason. Empty unless
        `skip_missing_weights`.

    Raises:
        SRBenchError: There is an error; the message gives the line of the suite's file.
    """
    from srbench.evaluation.deployment import on_path
    from srbench.models.factory import create_model
    from srbench.models.weight_files import load_into

    skipped: dict[str, str] = {}
    for model in todo:
        note(f"checking {model.label}")
        with _placed(model):
            network = create_model(model.name, scales=model.scales, pretrained=False)
            for scale in model.measured:
                for device in devices:  # any of them may get the model
                    _check_memory(model, network.at_scale(scale), scale, device)
            for path in {cell.inference.path for cell in model.cells} - {None}:
                on_path(network, str(path))
            if model.weights is not None:
                load_into(network, model.weights)
            try:
                if fetch:
                    _fetch_weights(model)
            except NetworkError as error:
                if not skip_missing_weights:
                    raise
                skipped[model.label] = str(error)
    if fetch:
        _fetch_data([model for model in todo if model.label not in skipped], note)
    return skipped


def _fetch_weights(model: ModelPlan) -> None:
    from srbench.registry import tagged_source

    if model.name.tag is not None:
        tagged_source(model.name).serving(model.measured[0]).file()


def _fetch_data(todo: Sequence[ModelPlan], note: Callable[[str], None]) -> None:
    from srbench.metrics.base import prepare
    from srbench.registry import get_metric

    for name in sorted({metric for model in todo for cell in model.cells for metric in cell.metrics}):
        prepare(get_metric(name))
    sources = {(data.source, data.pattern): data for model in todo for data in model.data}
    for _, data in sorted(sources.items()):
        dataset = data.open()
        for image in dataset.missing():
            note(f"fetching {dataset.name}: {image}")
            dataset.hr(image)


def _check_memory(model: ModelPlan, network: Backbone, scale: int, device: str) -> None:
    from srbench.cost.fits import check_fits
    from srbench.evaluation.execution import overlap_of

    for data, inference in {(cell.data, cell.inference): None for cell in model.cells if cell.scale == scale}:
        check_fits(
            network,
            scale,
            data.open(),
            device=device,
            tile=inference.tile,
            overlap=overlap_of(network, inference),
            bytes_per_number=4 if inference.dtype == "fp32" else 2,
        )
