"""Checks of a board as a whole: whether it has everything its suite asks for, and whether that suite is unaltered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from srbench.errors import SRBenchError
from srbench.registry.registries import BASELINES
from srbench.suite.definition import ModelEntry, Suite
from srbench.verification.findings import CheckResult
from srbench.verification.stored_board import Board

__all__ = ["check_coverage", "check_seeds", "check_suite"]

# Descriptions, and keys that only affect how a suite is used: they do not affect any figure.
_WORDS = frozenset({"name", "title", "description", "budget", "budgets", "requires", "reported"})
_GROWING = frozenset({"models", "datasets", "protocol", "metrics", "seeds", "scale"})

Place = tuple[str, int, str, str]  # model, scale, data set, protocol


def check_coverage(board: Board) -> CheckResult:
    """Check that every model is measured on every data set under every protocol of the board, and nothing else."""
    result = CheckResult("coverage", "rows")
    suite = board.suite
    if suite is None:
        result.wrong("", "run.json holds no suite, so missing cells cannot be determined")
        return result
    present = _present(board)
    measured_on = {place[2] for place in present}
    expected: set[Place] = set()
    for place, _, whole in _expected(board, suite, result):
        expected.add(place)
        result.checked += 1
        if place in present or place[2] not in measured_on:
            continue
        if whole or not any(other[0] == place[0] and other[2:] == place[2:] for other in present):
            result.wrong("", f"{_said(place)} is in the suite but has no result")
    absent = sorted({place[2] for place in expected} - measured_on)
    if absent:
        result.notes.append(f"of the suite's data sets, not measured at all: {', '.join(absent)}")
    for place in sorted(present.keys() - expected):
        result.wrong("", f"{_said(place)} has a result but is not in the suite")
    for one in board.measured:
        part = one.record.subset
        if part is not None and part.pattern != suite.images:
            asked = f"for the images '{suite.images}'" if suite.images else "for all images"
            result.wrong(one.name, f"it was measured on the images '{part.pattern}', and run.json asks {asked}")
        if suite.metrics and set(one.record.metrics) != set(suite.metrics):
            listed = ", ".join(sorted(one.record.metrics))
            result.wrong(one.name, f"it has the metrics {listed}; the suite has {', '.join(suite.metrics)}")
    failed = sum(1 for one in board.cells if one.cell is not None and one.record.status == "failed")
    if failed:
        result.notes.append(f"{failed} cells are recorded as failed")
    return result


def check_seeds(board: Board) -> CheckResult:
    """Check that a model trained with several seeds has a result for each, with consistent seeds in its records."""
    result = CheckResult("seeds", "rows")
    suite, present = board.suite, _present(board)
    if suite is not None:
        for place, seeds, _ in _expected(board, suite, CheckResult("")):
            if place not in present:
                continue  # reported by `coverage`
            result.checked += 1
            missing = sorted(map(str, seeds - present[place]))
            if missing:
                result.wrong("", f"{_said(place)} has no result with seed {', '.join(missing)}")
            extra = sorted(str(seed) for seed in present[place] - seeds) if seeds else []
            if extra:
                result.wrong("", f"{_said(place)} has a result with seed {', '.join(extra)}, none of the suite's")
    for one in board.measured:
        record = one.record
        told = {record.seed} if record.training is None else {
            record.seed, *record.training.seeds, record.training.recipe.get("seed")
        }  # fmt: skip
        if len(told) > 1 or (record.training is None and record.seed is not None):
            result.wrong(one.name, f"its records state different seeds: {', '.join(sorted(map(str, told)))}")
    return result


def check_suite(board: Board) -> CheckResult:
    """Check that the suite in `run.json` agrees with the installed suite of its name.

    Suites grow, so keys or models that a board lacks are errors only if the suite was given explicitly.
    """
    result = CheckResult("suite", "keys")
    if board.info is None or board.suite is None:
        result.notes.append("run.json holds no suite")
        return result
    installed = board.installed
    if installed is None:
        result.notes.append(board.not_installed)
        return result
    stored, wanted = board.suite.definition(), installed.definition()
    for key in sorted((stored.keys() | wanted.keys()) - _WORDS):
        result.checked += 1
        has, asked = (_listed(suite.get(key)) for suite in (stored, wanted))
        if has == asked:
            continue
        missing, more = [one for one in asked if one not in has], [one for one in has if one not in asked]
        if key in _GROWING and (key == "models" or not more):
            if missing and board.suite_given:
                result.wrong("", f"the suite has {key} that run.json lacks: {_joined(missing)}")
            elif missing:
                result.notes.append(f"the suite has {key} that the board was not asked for: {_joined(missing)}")
            if more:
                result.notes.append(f"{key} beside the suite's: {_joined(more)}")
        elif key == "train" and key in stored and _without_data(stored[key]) == _without_data(wanted.get(key)):
            result.notes.append(f"trained on '{stored[key].get('data')}', where the suite names other images")
        else:
            result.wrong("", f"its {key} is {_joined(has)}, and that of the suite {_joined(asked)}")
    result.checked += 1
    try:
        if any(figure not in installed.reported_figures() for figure in board.info.reported):
            result.wrong("", "run.json shows papers' figures that the suite does not have")
    except SRBenchError as error:
        result.notes.append(str(error))
    return result


def _present(board: Board) -> dict[Place, set[int | None]]:
    """Return the seeds of each place with a cell; failed cells are included, since their records state the failure."""
    found: dict[Place, set[int | None]] = defaultdict(set)
    for one in board.cells:
        if one.cell is not None:
            model, scale, seed, dataset, protocol = one.record.identity[:5]
            found[model, scale, dataset, protocol].add(seed)
    return dict(found)


def _expected(board: Board, suite: Suite, result: CheckResult) -> Iterator[tuple[Place, set[int | None], bool]]:
    """Yield each place in a suite, its seeds, and whether each of its scales is required.

    A weights file may be for some of the scales only. Seeds are empty if any seed is allowed.
    """
    # Of a part of a data set, the name of the whole is the suite's.
    known = {
        record.dataset if record.subset is None else record.subset.of: record.dataset
        for record in (one.record for one in board.cells if one.cell is not None)
    }
    datasets = [_name_of(source, known) for source in suite.datasets]
    protocols = [suite.inference.label(protocol) for protocol in suite.protocols]
    for entry in suite.models:
        try:
            name = board.name(entry.model)
            scales = suite.scales_of(entry)
        except SRBenchError as error:
            result.notes.append(f"'{entry.model}' cannot be looked for: {error}")
            continue
        seeds: set[int | None] = set()
        if suite.seeds is not None:
            seeds = set(suite.seeds) if _trains(entry, name.tag, name.backbone) else {None}
        for scale in scales:
            for dataset in datasets:
                for protocol in protocols:
                    yield (str(name), scale, dataset, protocol), seeds, entry.weights is None


def _trains(entry: ModelEntry, tag: str | None, backbone: str) -> bool:
    return tag is None and entry.weights is None and backbone not in BASELINES


def _name_of(source: str, known: Mapping[str, str]) -> str:
    """Return the name of a suite's data set in records: its own, or that of its folder or list.

    Args:
        source: Its name in the suite.
        known: Name of a data set -> its name in records, which is another one for a part.
    """
    path = Path(source)
    for name in (source, path.name, f"{path.name}-folder", path.stem):
        if name in known:
            return known[name]
    return source


def _said(place: Place) -> str:
    model, scale, dataset, protocol = place
    return f"'{model}' x{scale} on {dataset}, {protocol},"


def _without_data(train: Any) -> Any:
    return {key: value for key, value in train.items() if key != "data"} if isinstance(train, dict) else train


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _joined(values: list[Any]) -> str:
    shown = [
        str(value["model"]) if isinstance(value, dict) and set(value) == {"model"} else str(value) for value in values
    ]
    return ", ".join(shown)[:500] or "nothing"
