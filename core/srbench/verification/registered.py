"""Checks of records against installed models, weights, data sets, protocols and metrics. None of them needs torch."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from srbench.errors import SRBenchError, StoreError
from srbench.protocols import get_protocol
from srbench.registry import get_metric, tagged_source
from srbench.registry.registries import BASELINES
from srbench.results.origins import Subset
from srbench.results.records import Record
from srbench.runs.agreement import Disagreement
from srbench.runs.fingerprint import UNKEYED_NUMERICS, cell_key, is_current, training_key
from srbench.runs.replay_plan import options_of, wrong_subset
from srbench.runs.validations import contradicts
from srbench.storage import sha256_file
from srbench.training.recipe import Recipe
from srbench.untrusted import parse_json, read_text
from srbench.verification.findings import CheckResult
from srbench.verification.stored_board import Board

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset

__all__ = [
    "check_data",
    "check_images",
    "check_key",
    "check_metrics",
    "check_protocol",
    "check_tier",
    "check_training",
    "check_weights",
]


def check_key(board: Board) -> CheckResult:
    """Recompute every cell's key from its record."""
    result = CheckResult("key")
    unknown = stale = 0
    for one in board.measured:
        record = one.record
        try:
            current = is_current(record)
            key = _key(record)
        except (SRBenchError, Disagreement, ValidationError):
            result.wrong(one.name, "its record lacks the fields that its key is computed from")
            continue
        stale += not current
        if key is None and not current and record.adopted is None:
            unknown += 1  # from before the code of a training was recorded
            continue
        result.checked += 1
        if key != record.key:
            result.wrong(one.name, f"its key is {record.key[:12]}..., but its record gives {str(key)[:12]}...")
    if unknown:
        result.notes.append(f"{unknown} cells of earlier versions do not record all that their key was computed from")
    if stale:
        result.notes.append(f"{stale} cells were measured by a different version of the code; their pages mark them")
    return result


def _key(record: Record) -> str | None:
    weights = record.weights_sha256
    if record.training is not None:
        if not record.training.code_digest:
            return None
        weights = training_key(
            model=record.model,
            scales=record.scales,
            recipe_digest=Recipe.model_validate(record.training.recipe).digest,
            data_hash=record.training.data_hash,
            code=record.training.code_digest,
        )
    options = options_of(record)
    return cell_key(
        model=record.model,
        scale=record.scale,
        scales=record.scales,
        weights=weights,
        dataset_hash=record.dataset_hash,
        protocol_digest=record.protocol_digest,
        metrics=tuple(record.metrics),
        code=record.code_digest,
        inference=options,
        numerics={
            key: value
            for key, value in record.numerics.items()
            if key not in options.chosen and key not in UNKEYED_NUMERICS
        },
    )


def check_images(board: Board) -> CheckResult:
    """Check that a cell has exactly one value for each image of its data set."""
    result = CheckResult("images")
    names = _Registered(board)
    by_set: dict[str, tuple[str, list[str]]] = {}
    for one in board.measured:
        record = one.record
        if one.values is None or "image" not in one.values:
            result.wrong(one.name, "its images' values cannot be read")
            continue
        result.checked += 1
        listed = [str(name) for name in one.values["image"]]
        if record.images != len(listed):
            result.wrong(one.name, f"it states {record.images} images, but has values for {len(listed)}")
        dataset = names.dataset(record.dataset, record.subset)
        if dataset is not None and dataset.name != record.dataset:
            result.wrong(one.name, f"its data set is called '{record.dataset}', but its part '{dataset.name}'")
        if dataset is None:
            # The data set is not available here: its cells must agree with each other.
            other, known = by_set.setdefault(record.dataset, (one.name, listed))
        else:
            other, known = f"data set '{dataset.name}'", dataset.image_names()
        if listed != known:
            gone, more = sorted(set(known) - set(listed)), sorted(set(listed) - set(known))
            what = [f"without {', '.join(gone[:5])}"] * bool(gone) + [f"with {', '.join(more[:5])}"] * bool(more)
            result.wrong(
                one.name,
                f"its images are not those of {other}: {' and '.join(what) or 'in a different order, or twice'}",
            )
    result.notes += names.unknown("data sets")
    return result


def check_data(board: Board) -> CheckResult:
    """Check the hash of every test and training set against the pixels of the data set with its name."""
    result = CheckResult("data")
    names = _Registered(board)
    told: dict[str, str] = {}
    for one in board.measured:
        record = one.record
        result.checked += 1
        pairs = [(record.dataset, record.dataset_hash, record.subset)]
        if record.training is not None:
            pairs.append((record.training.data, record.training.data_hash, None))
        for name, digest, subset in pairs:
            dataset = names.dataset(name, subset)
            if dataset is not None and subset is not None and (sentence := wrong_subset(subset, dataset)):
                result.wrong(one.name, sentence)
            known = names.hash_of(name, subset) or told.setdefault(name, digest)
            if digest != known:
                result.wrong(
                    one.name, f"the recorded pixels of '{name}' have the hash {digest[:12]}..., not {known[:12]}..."
                )
    result.notes += names.unknown("data sets")
    return result


def check_protocol(board: Board) -> CheckResult:
    """Check a cell's protocol against the one of that name, combined with the cell's inference options."""
    result = CheckResult("protocol")
    for one in board.measured:
        record = one.record
        result.checked += 1
        try:
            protocol, options = get_protocol(record.protocol.partition("+")[0]), options_of(record)
        except (SRBenchError, Disagreement) as error:
            result.wrong(one.name, str(error))
            continue
        if record.protocol != options.label(protocol.name):
            label = options.label(protocol.name)
            result.wrong(one.name, f"its protocol is named '{record.protocol}' instead of '{label}'")
        digest = options.digest(protocol.digest)
        if record.protocol_digest != digest:
            told = record.protocol_digest[:12]
            result.wrong(one.name, f"its protocol's digest is {told}..., not {digest[:12]}... of '{record.protocol}'")
        elif board.info is not None and digest not in board.info.explanations:
            result.wrong(one.name, f"run.json does not explain '{record.protocol}'")
    return result


def check_metrics(board: Board) -> CheckResult:
    """Check units and directions of metrics against the installed ones, and that values are possible."""
    result = CheckResult("metrics")
    known: dict[str, tuple[str, bool] | None] = {}
    for one in board.measured:
        result.checked += 1
        for name, kind in one.record.metric_kinds.items():
            if name not in known:
                try:
                    metric = get_metric(name)
                    known[name] = (metric.unit, metric.higher_is_better)
                except SRBenchError as error:
                    known[name] = None
                    result.notes.append(f"'{name}' cannot be checked: {error}")
            if known[name] not in (None, (kind.unit, kind.higher_is_better)):
                result.wrong(one.name, f"its {name} has another unit or direction than the metric of that name")
        for name, value in one.record.metrics.items():
            if math.isnan(value) or (name.startswith("ssim") and not -1 <= value <= 1):
                result.wrong(one.name, f"its {name} is {value}, which is impossible")
        if one.record.metric_kinds and set(one.record.metric_kinds) != set(one.record.metrics):
            result.wrong(one.name, "it describes other metrics than it has values for")
    return result


def check_tier(board: Board) -> CheckResult:
    """Check that a cell's record supports its tier."""
    result = CheckResult("tier")
    for one in board.cells:
        if one.cell is None:
            continue
        result.checked += 1
        for sentence in _tier(one.record, board):
            result.wrong(one.name, sentence)
    return result


def _tier(record: Record, board: Board) -> list[str]:
    if record.tier == "reported":
        return ["it is of tier 'reported', but a paper's figure is not a measurement and cannot be a cell"]
    if record.status != "ok":
        return []
    if record.tier == "trained":
        said = [] if record.training is not None else ["it is of tier 'trained' but does not describe its training"]
        said += [] if record.tag is None else [f"it is of tier 'trained' but has the published weights '{record.tag}'"]
        return said + ([] if record.weights_sha256 else ["it is of tier 'trained' but its weights have no hash"])
    if record.training is not None:
        return [f"it is of tier '{record.tier}' but was trained here"]
    if record.tag is not None:
        return [] if record.weights_sha256 else ["it is of tier 'reproduced' but its weights have no hash"]
    if record.backbone in BASELINES:
        return [] if not record.weights_sha256 else ["it is a baseline but has weights"]
    if board.sources.weights_named(record.weights_sha256) is None:
        return ["it is of tier 'reproduced', but its weights have no tag and are not in models/"]
    return []


def check_weights(board: Board) -> CheckResult:
    """Check weight hashes: of tags against their metadata, of trainings against their file and their other cells."""
    result = CheckResult("weights")
    of_network: dict[object, tuple[str | None, str]] = {}
    absent = 0
    kept = _kept_weights(board)
    for one in board.measured:
        record = one.record
        if record.weights_sha256 is None:
            if record.tag is not None:
                result.wrong(one.name, "it has a tag but its weights have no hash")
            continue
        result.checked += 1
        if record.tag is not None:
            try:
                expected = str(tagged_source(board.name(record.model)).serving(record.scale).sha256)
            except SRBenchError as error:
                result.wrong(one.name, str(error))
                continue
            if record.weights_sha256 != expected:
                result.wrong(
                    one.name,
                    f"its weights are {record.weights_sha256[:12]}..., not {expected[:12]}... of '{record.model}'",
                )
            continue
        network = (record.model, tuple(record.scales), record.identity[2])
        digest, other = of_network.setdefault(network, (record.weights_sha256, one.name))
        if digest != record.weights_sha256:
            result.wrong(one.name, f"it was measured with other weights than '{other}' from the same training")
        if record.weights_sha256 not in kept:
            absent += 1
            if kept and record.training is not None and any(record.model == model for model in kept.values()):
                result.wrong(one.name, "the weights in models/ of this model have another hash")
    if absent:
        result.notes.append(
            f"the weights of {absent} cells are not in models/: only a repeated training can check them"
        )
    return result


def _kept_weights(board: Board) -> dict[str, str]:
    """Return the content of `models/`: hash of weights -> name of the trained model, empty if unknown."""
    found: dict[str, str] = {}
    for content, folder in _trainings(board):
        try:
            path = folder / str(content["result"]["weights"])
            found[sha256_file(path)] = str(content["identity"]["model"])
        except (OSError, KeyError, TypeError):
            continue
    return found


def _trainings(board: Board) -> list[tuple[dict[str, Any], Path]]:
    found = []
    for path in sorted(board.store.models_path.glob("*/training.json")):
        try:
            content = parse_json(read_text(path, error=StoreError))
        except (StoreError, ValueError):
            continue
        if isinstance(content, dict):
            found.append((content, path.parent))
    return found


def check_training(board: Board) -> CheckResult:
    """Check that descriptions of trainings are consistent: recipe, iterations, cells of one network, `models/`."""
    result = CheckResult("training")
    of_network: dict[object, list[tuple[str, Record]]] = defaultdict(list)
    kept = {
        content["result"].get("weights_sha256"): (content["result"], folder)
        for content, folder in _trainings(board)
        if isinstance(content.get("result"), dict)
    }
    for one in board.measured:
        record, training = one.record, one.record.training
        if training is None:
            continue
        result.checked += 1
        try:
            recipe = Recipe.model_validate(training.recipe)
        except ValidationError:
            result.wrong(one.name, "its recipe is invalid")
            continue
        if training.iterations != recipe.iterations:
            result.wrong(
                one.name, f"it was trained for {training.iterations} iterations, but its recipe has {recipe.iterations}"
            )
        if not 0 <= training.seconds < math.inf:
            result.wrong(one.name, f"its training took {training.seconds} seconds")
        if training.validation is not None and training.validation.iterations[-1:] > [training.iterations]:
            result.wrong(one.name, "it was validated after more iterations than it was trained for")
        of_network[record.model, tuple(record.scales), record.identity[2]].append((one.name, record))
        if record.weights_sha256 in kept:
            there, folder = kept[record.weights_sha256]
            trace = None if training.trace is None else training.trace.model_dump()
            if training.seconds != there.get("seconds") or (trace is not None and trace != there.get("trace")):
                result.wrong(one.name, "it describes its training differently from the file in models/")
            if training.validation is not None and contradicts(training.validation, there.get("validations"), folder):
                result.wrong(one.name, "it describes its validations differently from the files in models/")
    for cells in of_network.values():
        first, record = cells[0]
        for name, other in cells[1:]:
            if not _same_training(record, other):
                result.wrong(name, f"it describes its training differently from '{first}', which has the same weights")
    return result


class _Registered:
    """Registered data sets by their names in records."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.found: dict[tuple[str, str], Dataset | None] = {}
        self.hashes: dict[tuple[str, str], str | None] = {}

    def dataset(self, name: str, subset: Subset | None = None) -> Dataset | None:
        key = _part(name, subset)
        if key not in self.found:
            try:
                self.found[key] = self.board.sources.dataset(name, subset=subset)[1]
            except SRBenchError:
                self.found[key] = None
        return self.found[key]

    def hash_of(self, name: str, subset: Subset | None = None) -> str | None:
        key = _part(name, subset)
        if key not in self.hashes:
            dataset = self.dataset(name, subset)
            try:
                self.hashes[key] = None if dataset is None else dataset.content_hash()
            except SRBenchError:
                self.hashes[key] = None
        return self.hashes[key]

    def unknown(self, noun: str) -> list[str]:
        listed = sorted({name for (name, _), dataset in self.found.items() if dataset is None})
        return [f"{noun} not available here, compared only between cells: {', '.join(listed)}"] if listed else []


def _part(name: str, subset: Subset | None) -> tuple[str, str]:
    """Return the name of a data set, of a part that of the whole, and how its images were chosen."""
    return (name, "") if subset is None else (subset.of, subset.pattern)


def _same_training(one: Record, other: Record) -> bool:
    """Return whether two records of one network describe the same training.

    An adopted result keeps the time of its own training, which may differ from that of another with equal weights.
    """
    own = {"seconds", "code_digest", "trace"} if one.adopted is not None or other.adopted is not None else None
    told, expected = (
        None if record.training is None else record.training.model_dump(exclude=own) for record in (other, one)
    )
    return told == expected
