"""Training images of a run, prepared once for all of its trainings."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

from srbench.results.store import RunStore
from srbench.runs.job import Progress
from srbench.runs.plan import ModelPlan

__all__ = ["prepare_training_images", "scales_by_data"]


def scales_by_data(todo: Sequence[ModelPlan], store: RunStore) -> dict[str, tuple[int, ...]]:
    """Return the scales of the unfinished trainings on each data set: source -> scales."""
    found: dict[str, set[int]] = {}
    for model in todo:
        if model.training is not None and not model.training.finished(store):
            found.setdefault(model.training.data.source, set()).update(model.scales)
    return {source: tuple(sorted(scales)) for source, scales in found.items()}


def prepare_training_images(
    todo: Sequence[ModelPlan],
    scales: Mapping[str, tuple[int, ...]],
    progressed: Callable[[ModelPlan, Progress], None],
) -> None:
    """Fill the cache before workers start, which could not decode in several processes of their own.

    Args:
        todo: The models in the order in which they start.
        scales: Result of `scales_by_data`.
        progressed: Called with the first model that is trained on the images.
    """
    from srbench.data.datasets import open_dataset
    from srbench.training.prepare_once import prepare_once

    first = {model.training.data.source: model for model in reversed(todo) if model.training is not None}
    for source, wanted in scales.items():
        model = first[source]

        def tell(done: int, total: int, model: ModelPlan = model) -> None:
            assert model.training is not None
            progressed(model, Progress("prepare", done, total, model.training.data.name))

        # An error is met again by the trainings, which record it.
        with contextlib.suppress(Exception):
            prepare_once(open_dataset(source), wanted, progress=tell)
