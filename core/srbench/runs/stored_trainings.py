"""Outdated trainings in a run directory: find them by their weights, and adopt them after a replay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srbench.errors import StoreError
from srbench.results.records import Record
from srbench.results.store import RunStore
from srbench.runs.agreement import Disagreement
from srbench.runs.plan import ModelPlan, TrainingPlan
from srbench.runs.validations import NOTE
from srbench.storage import sha256_file, write_atomic
from srbench.untrusted import parse_json, read_text

__all__ = ["StoredTraining", "how_checked", "stored_training", "take_over"]


@dataclass(frozen=True)
class StoredTraining:
    """A finished training in a run's `models/`.

    Attributes:
        folder: The folder of the training.
        content: The content of its `training.json`.
    """

    folder: Path
    content: dict[str, Any]

    @property
    def weights(self) -> Path:
        """The weights file."""
        return self.folder / str(self.content["result"]["weights"])

    @property
    def trace(self) -> dict[str, Any] | None:
        """The trace, or None if none was stored."""
        found: dict[str, Any] | None = self.content["result"].get("trace")
        return found


def stored_training(
    model: ModelPlan, store: RunStore, records: Sequence[Record], *, retrain: bool
) -> StoredTraining | None:
    """Return the training that produced the weights of some records, or None if the training is to be repeated.

    Raises:
        Disagreement: It is missing or has no trace, and is not to be repeated; or it was altered.
    """
    training = model.training
    assert training is not None
    if training.finished(store):
        return None  # by the current code, or adopted before
    hashes = {record.weights_sha256 for record in records}
    found = [kept for kept in _all(store.models_path) if _same(kept.content["identity"], model, training)]
    found.sort(key=lambda kept: kept.content["result"].get("weights_sha256") not in hashes)
    if found:
        kept = found[0]
        if not kept.weights.is_file() or sha256_file(kept.weights) != kept.content["result"].get("weights_sha256"):
            raise Disagreement(f"the weights in '{kept.folder.name}' have changed since they were trained")
        if kept.trace is not None:
            return kept
        if not retrain:
            raise Disagreement(
                f"its training in '{kept.folder.name}' has no trace to replay; repeat it completely with --retrain"
            )
    if retrain:
        return None
    raise Disagreement(
        f"its weights are not in '{store.models_path}', so that nothing can be measured again; put them there, or "
        "repeat the training with --retrain and compare"
    )


def take_over(kept: StoredTraining, model: ModelPlan, models_path: Path, device: str) -> str:
    """Replay a training, and copy it to the location that the plan expects.

    Returns:
        How it was checked: `replayed`.

    Raises:
        Disagreement: The replay gives different losses or weights.
    """
    from srbench.training.train import replay

    training = model.training
    assert training is not None
    assert kept.trace is not None
    found = replay(model.name, scales=model.scales, data=training.data.source, recipe=training.recipe, device=device)
    for number, (before, after) in enumerate(zip(kept.trace["losses"], found["losses"], strict=False), 1):
        if before != after:
            raise Disagreement(
                f"its training, replayed from seed {training.seed}, has the loss {after!r} at iteration {number}, and "
                f"had {before!r}"
            )
    if kept.trace != found:
        raise Disagreement(
            f"its training, replayed from seed {training.seed}, has other weights after iteration "
            f"{len(found['losses'])} than it had"
        )
    folder = models_path / training.directory
    folder.mkdir(parents=True)
    shutil.copyfile(kept.weights, folder / "weights.safetensors")
    if (kept.folder / NOTE).is_file():
        shutil.copyfile(kept.folder / NOTE, folder / NOTE)
    content = {**kept.content, "result": {**kept.content["result"], "weights": "weights.safetensors"}}
    content["checked"] = "replayed"
    content["identity"] = {**content["identity"], "recipe": training.recipe.hashed_settings}
    write_atomic(folder / "training.json", json.dumps(content, indent=2).encode())
    return "replayed"


def how_checked(model: ModelPlan, store: RunStore) -> str:
    """Return how the training under the current key is checked: `replayed` if it was replayed before, or `repeated`."""
    assert model.training is not None
    there = [kept for kept in _all(store.models_path) if kept.folder.name == model.training.directory]
    return str(there[0].content.get("checked", "repeated")) if there else "repeated"


def _all(models_path: Path) -> Iterator[StoredTraining]:
    for path in sorted(models_path.glob("*/training.json")):
        try:
            content = parse_json(read_text(path, error=StoreError))
            complete = isinstance(content["identity"], dict) and content["result"]["weights"]
        except (StoreError, ValueError, KeyError, TypeError):
            continue
        if complete:
            yield StoredTraining(path.parent, content)


def _same(identity: dict[str, Any], model: ModelPlan, training: TrainingPlan) -> bool:
    """Return whether a training is the one in the plan, regardless of its code."""
    from pydantic import ValidationError

    from srbench.training.recipe import Recipe

    try:
        recipe = Recipe.model_validate(identity.get("recipe")).digest
    except ValidationError:
        return False
    return (
        identity.get("model") == str(model.name)
        and identity.get("scales") == list(model.scales)
        and recipe == training.recipe.digest
        and identity.get("training data") == training.data.content_hash
        and identity.get("starting weights") is None
    )
