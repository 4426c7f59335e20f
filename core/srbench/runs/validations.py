"""Validations of a run's trainings: which images they were made on, and how records store them.

A training's checkpoint holds the figures of its validations, but not the images, which do not affect the weights. So a
note beside it names the images, and a training that is resumed with others keeps only the validations made on these.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import StoreError
from srbench.results.records import Validation
from srbench.storage import disk_errors, write_atomic
from srbench.untrusted import parse_json, read_text

if TYPE_CHECKING:
    from srbench.runs.plan import ValidationPlan
    from srbench.training.train import TrainResult

__all__ = ["NOTE", "begin_validation", "contradicts", "stored_validation"]

NOTE = "validation.json"


def begin_validation(folder: Path, plan: ValidationPlan) -> None:
    """Note the validation images of a training that is about to start or to be resumed.

    Args:
        folder: The folder of the training.
        plan: Its validation.

    Raises:
        StoreError: The note cannot be written.
    """
    if (folder / "training.json").exists():
        return
    about = {
        "data": plan.data.name,
        "data_hash": plan.data.content_hash,
        "images": plan.data.images,
        "protocol": plan.protocol.name,
    }
    resumed = (folder / "checkpoint.pt").exists()
    known = _note(folder)
    if resumed and known is not None and known["about"] == about:
        return
    # Of a training that already has validations on other images, how many iterations it has is known at its end.
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / NOTE, json.dumps({"about": about, "after": None if resumed else 0}).encode())


def stored_validation(folder: Path, result: TrainResult) -> Validation | None:
    """Return the validations of a finished training for its record; None if there are none.

    Args:
        folder: The folder of the training.
        result: Its result.
    """
    note = _note(folder)
    if note is None:
        return None
    after = note["after"]
    if after is None:
        after = result.iterations if result.complete_before else result.resumed_from
    points = [point for point in result.validations if point["iteration"] > after]
    if not points:
        return None
    names = [name for name in points[0] if name != "iteration" and all(name in point for point in points)]
    return Validation(
        **note["about"],
        iterations=[int(point["iteration"]) for point in points],
        metrics={name: [point[name] for point in points] for name in names},
    )


def contradicts(validation: Validation, points: object, folder: Path) -> bool:
    """Return whether a record's validations differ from those in the folder of the training.

    Args:
        validation: Of the record.
        points: The `validations` in `training.json`, as read; there may be more of them.
        folder: The folder.
    """
    note = _note(folder)
    listed = [point for point in points if isinstance(point, dict)] if isinstance(points, list) else []
    kept = {point["iteration"]: point for point in listed if isinstance(point.get("iteration"), int)}
    return (note is not None and note["about"] != validation.model_dump(include=set(note["about"]))) or any(
        kept.get(iteration, {}).get(name) != mean
        for name, means in validation.metrics.items()
        for iteration, mean in zip(validation.iterations, means, strict=True)
    )


def _note(folder: Path) -> dict[str, Any] | None:
    """Return the note of a training's folder; None if there is none, or none that can be used."""
    try:
        note = parse_json(read_text(folder / NOTE, error=StoreError))
        Validation(**note["about"], iterations=[], metrics={})
        return note if isinstance(note["after"], int | None) else None
    except (StoreError, ValueError, KeyError, TypeError):
        return None
