"""What a model was trained on, as far as its record or its authors say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from srbench.results.published_figures import Published
from srbench.results.records import Record

__all__ = ["NOT_KNOWN", "TrainedOn", "trained_on"]

NOT_KNOWN = "not known here"


@dataclass(frozen=True)
class TrainedOn:
    """The training of a model; empty where it is not known.

    Attributes:
        data: The training set.
        iterations: Optimizer steps.
        batch: Patches per step.
        patch: Side of a patch in pixels, and of which image.
        source: Where that is published.
        note: Anything else that matters in comparing.
    """

    data: str
    iterations: int | None = None
    batch: str = ""
    patch: str = ""
    source: str = ""
    note: str = ""

    @property
    def brief(self) -> str:
        """Return the iterations in a word or two; empty where they are not known."""
        if self.iterations is None:
            return ""
        for size, unit in ((10**6, "M"), (10**3, "k")):
            if self.iterations >= size:
                return f"{self.iterations / size:.3g}{unit} iterations"
        return f"{self.iterations} iterations"


def trained_on(record: Record, published: Published) -> TrainedOn | None:
    """Return what a model was trained on; None for a model without parameters.

    Of published weights it is what is published, of a training here what the record says.
    """
    if record.params_unique == 0:
        return None
    training = record.training
    if training is not None:
        recipe = training.recipe
        return TrainedOn(
            data=training.data,
            iterations=training.iterations,
            batch=_text(recipe, "batch_size"),
            patch=f"HR {size}" if (size := _text(recipe, "gt_size")) else "",
            source="trained here",
        )
    facts = published.training_of(record.model, record.scale)
    if facts is None:
        return TrainedOn(NOT_KNOWN)
    iterations = int(facts.iterations) if facts.iterations else None
    return TrainedOn(facts.data, iterations, facts.batch, facts.patch, facts.source, facts.note)


def _text(recipe: Mapping[str, Any], name: str) -> str:
    value = recipe.get(name)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
