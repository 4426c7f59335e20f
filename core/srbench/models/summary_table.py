"""Table of models as in papers: size, depth, filters, reconstruction and skip connections. Creates every model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from srbench.errors import ConfigError, SRBenchError
from srbench.models.architecture import Architecture
from srbench.models.counting import count_parameters
from srbench.models.factory import create_model
from srbench.models.loading import load_at_scale
from srbench.models.surgery import fold

__all__ = ["ModelRow", "model_rows", "trained_row"]

# Scales that multi-scale networks are trained on together.
_TOGETHER = ((2, 3, 4), (2, 4, 8))


@dataclass(frozen=True)
class ModelRow:
    """Describe one model.

    Attributes:
        model: The model's name.
        parameters: Number of parameters, each counted once, including biases and frozen ones; a multi-scale network
            counts those of all its scales. None if the model does not exist at the scale.
        deployed: Those needed at this one scale; with weights, those of the folded network.
        architecture: Its declared architecture; None if not declared.
        absent: Why it does not exist at the scale, or `""`.
    """

    model: str
    parameters: int | None
    deployed: int | None
    architecture: Architecture | None
    absent: str = ""


def model_rows(names: Iterable[str], scale: int) -> list[ModelRow]:
    """Create models, without loading weights, and return a row for each.

    The row of a model that does not support the scale, or whose method finds nothing to share, says so.
    """
    return [_row(name, scale) for name in names]


def trained_row(name: str, weights: Path, scale: int) -> ModelRow:
    """Return the row of a model with the weights of a file, deployed as folding leaves it.

    Raises:
        SRBenchError: There is no such model, or the weights are not available, not for this scale, or do not fit.
    """
    model = load_at_scale(name, weights, scale)
    return ModelRow(name, count_parameters(model), count_parameters(fold(model, scale)), model.architecture)


def _row(name: str, scale: int) -> ModelRow:
    try:
        model = create_model(name, scale=scale, pretrained=False)
    except SRBenchError as error:  # of a broken plugin too, which must not hide the others
        return ModelRow(name, None, None, None, str(error))
    deployed = count_parameters(model.at_scale(scale))
    architecture = model.architecture
    together = count_parameters(model)
    if architecture is not None and architecture.multi_scale:
        for scales in _TOGETHER:
            if scale not in scales:
                continue
            try:
                together = count_parameters(create_model(name, scales=scales, pretrained=False))
                break
            except ConfigError:
                continue
    return ModelRow(name, together, deployed, architecture)
