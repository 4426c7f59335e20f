"""Trainings that differ only in the seed: how they are recognized, and their joined record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from srbench.leaderboard.statistics import SeedNoise, pooled_noise
from srbench.results.cost_figures import joined_cost
from srbench.results.records import Record
from srbench.results.store import Cell
from srbench.storage import canonical_json

__all__ = ["NOT_A_SETTING", "joined_record", "noise_by_model", "replicas_by_model", "seed_note", "setting"]

# An estimate with fewer degrees of freedom is so uncertain that nothing would be separated.
MIN_FREEDOM = 4
# Keys of a recipe that replicas may differ in: the seed, and what does not affect the weights.
NOT_A_SETTING = frozenset({"seed", "checkpoint_every", "validate_every"})


def setting(record: Record) -> str:
    """Return everything that determines a network except the seed of its training, as a text.

    For weights from a file, which the model's name does not identify, this is their hash; empty for a tag's weights.
    """
    training = record.training
    if training is None:
        return "" if record.tag is not None else record.weights_sha256 or ""
    recipe = {key: value for key, value in training.recipe.items() if key not in NOT_A_SETTING}
    return canonical_json([recipe, training.iterations, training.data_hash, sorted(record.scales)])


def replicas_by_model(cells: Iterable[Cell]) -> tuple[list[dict[tuple[str, str], list[Cell]]], list[Cell]]:
    """Return for each model and tier: name and hash of a data set -> a cell per seed; then the cells left out.

    Only seeds that all data sets of the model have are averaged. Of trainings that differ in more than the seed, and of
    weight files, only the latest is used.
    """
    models: dict[tuple[str, str], list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.record.model, cell.record.tier, cell.record.created)):
        models.setdefault((cell.record.model, cell.record.tier), []).append(cell)
    kept, left_out = [], []
    for members in models.values():
        latest = setting(members[-1].record)
        left_out += [cell for cell in members if setting(cell.record) != latest]
        by_data: dict[tuple[str, str], list[Cell]] = {}
        for cell in members:
            if setting(cell.record) == latest:
                by_data.setdefault((cell.record.dataset, cell.record.dataset_hash), []).append(cell)
        common = set.intersection(*({_seed(cell) for cell in several} for several in by_data.values()))
        kept.append(
            {
                key: sorted((cell for cell in several if not common or _seed(cell) in common), key=_seed)
                for key, several in by_data.items()
            }
        )
    return kept, left_out


def _seed(cell: Cell) -> int:
    seed = cell.record.identity[2]
    return -1 if seed is None else seed


def joined_record(records: Sequence[Record]) -> Record:
    """Return one record for all trainings of a model on one data set: mean figures, all seeds, keys and weights."""
    first = records[0]
    if len(records) == 1:
        return first
    trainings = [record.training for record in records if record.training is not None]
    # The metrics that all of them have; another set of metrics would give another key.
    metrics = [name for name in first.metrics if all(name in record.metrics for record in records)]
    return first.model_copy(
        update={
            "key": " ".join(record.key for record in records),
            "seed": None,
            "metrics": {name: float(np.mean([record.metrics[name] for record in records])) for name in metrics},
            "weights_sha256": " ".join(record.weights_sha256 or "?" for record in records),
            "training": trainings[0].model_copy(
                update={
                    "seeds": [seed for training in trainings for seed in training.seeds],
                    "seconds": sum(training.seconds for training in trainings),
                    "validation": None,  # each training has its own; see `Entry.validations`
                }
            ),
            "cost": joined_cost([record.cost for record in records]),
            "created": max(record.created for record in records),
        }
    )


def noise_by_model(figures: Mapping[str, Sequence[float]], families: Mapping[str, str]) -> dict[str, SeedNoise]:
    """Estimate the training noise, for each family with enough trainings, otherwise over all.

    Args:
        figures: For each model, its figure for each training.
        families: For each model, its family, which shares an estimate: its backbone.
    """
    pooled = pooled_noise(list(figures.values()))
    noises = {}
    for family in dict.fromkeys(families[name] for name in figures):
        own = pooled_noise([several for name, several in figures.items() if families[name] == family])
        noises[family] = own if own.freedom >= MIN_FREEDOM else pooled
    return {name: noises[families[name]] for name in figures}


def seed_note(noise: Mapping[str, SeedNoise], families: Mapping[str, str], counts: Iterable[int], unit: str) -> str:
    """Return a note on the number of averaged trainings and their variation; empty if no model has several."""
    known = {count for count in counts if count}
    by_family = {families[name]: one for name, one in noise.items() if one.freedom}
    if not by_family:
        return ""
    several = f"{min(known)} to {max(known)}" if len(known) > 1 else str(max(known))
    same = len(set(by_family.values())) == 1
    deviations = [
        f"{one.deviation:.3g} {unit}".rstrip()
        + ("" if same else f" for {family}")
        + f" ({one.freedom} degree{'s' if one.freedom > 1 else ''} of freedom)"
        for family, one in (list(by_family.items())[:1] if same else sorted(by_family.items()))
    ]
    return (
        f"Averaged over {several} trainings of each model with different seeds. Intervals include the variation "
        f"between trainings, a standard deviation of {', '.join(deviations)}."
    )
