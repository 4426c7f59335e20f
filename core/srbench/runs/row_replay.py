"""Replay: measure rows again from their weights and data, and compare them with the stored results."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from srbench.errors import SRBenchError, StoreError
from srbench.machine import check_device
from srbench.results.records import now, slugify
from srbench.results.replays import Outcome, Replay, stored_sha256
from srbench.results.store import Cell
from srbench.runs.agreement import (
    Disagreement,
    ValueDifference,
    check_plan,
    compared,
    counted_differences,
    same_platform,
    wrong_means,
)
from srbench.runs.checkout import checkout
from srbench.runs.job import DiskFull, Finished, Job, Progress, perform
from srbench.runs.plan import ModelPlan
from srbench.runs.recording import versions
from srbench.runs.replay_plan import Sources, replay_plan
from srbench.storage import disk_errors, remove_leftovers

__all__ = ["Replayed", "entry", "replay"]

KEY = 12  # characters of a place, as required by records


@dataclass(frozen=True)
class Replayed:
    """The outcome of measuring one row again.

    Attributes:
        cell: The row.
        outcome: `equal`, `within tolerance`, `differs` or `failed`.
        differences: Per-image values that are not bitwise equal.
        reasons: Other disagreements, or why the row could not be measured, as sentences.
        other_code: Which code has changed since the row was measured: `measuring`, `training`.
        exact: Whether platform, versions and threads are equal to those of the row.
        training: `repeated` if the model was retrained; otherwise empty.
        hardware: The hardware of the new measurement.
    """

    cell: Cell
    outcome: Outcome
    differences: list[ValueDifference] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    other_code: list[str] = field(default_factory=list)
    exact: bool = False
    training: str = ""
    hardware: dict[str, Any] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether the row was confirmed."""
        return self.outcome in ("equal", "within tolerance")

    @property
    def largest_difference(self) -> dict[str, float]:
        """Metric -> largest difference of one image; empty if all are equal."""
        largest: dict[str, float] = {}
        for one in self.differences:
            largest[one.metric] = max(largest.get(one.metric, 0.0), one.size)
        return largest


def replay(
    cells: Sequence[Cell],
    sources: Sources,
    *,
    train: bool = False,
    device: str = "cpu",
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Replayed]:
    """Measure rows again, with the same number of threads as originally, and yield the outcome of each.

    Args:
        cells: The rows.
        sources: The sources of their data and weights.
        train: Retrain models of tier `trained`, and compare their weights as well.
        device: `cpu`, `cuda` or `cuda:N`.
        note: Called with a short description of each step.

    Raises:
        SRBenchError: The device is not available, or the disk is full.
    """
    check_device(device)
    groups: dict[tuple[object, ...], list[tuple[Cell, ModelPlan]]] = {}
    for index, cell in enumerate(cells):
        try:
            model = replay_plan(cell.record, sources, f"{index:0{KEY}d}", train=train)
            check_plan(cell.record, model, model.cells[0])
        except (Disagreement, SRBenchError) as reason:
            yield Replayed(cell, "differs" if isinstance(reason, Disagreement) else "failed", reasons=[str(reason)])
            continue
        training = None if model.training is None else model.training.key
        network = (model.name, model.scales, model.weights_sha256, training, _threads(cell))
        groups.setdefault(network, []).append((cell, model))
    for group in groups.values():
        yield from _replay_network(group, device, note)


def _replay_network(
    group: Sequence[tuple[Cell, ModelPlan]], device: str, note: Callable[[str], None]
) -> Iterator[Replayed]:
    """Replay rows of one network, which is checked, and trained if needed, only once."""
    first = group[0][1]
    measured = tuple(dict.fromkeys(model.cells[0].scale for _, model in group))
    whole = replace(first, measured=measured, cells=tuple(model.cells[0] for _, model in group))
    old = {model.cells[0].key: cell for cell, model in group}
    threads = _threads(group[0][0])
    with _work_folder() as work:
        job = Job(whole, work, device=device, threads=threads)
        for finished in _measured(job, note):
            plan = next(cell for cell in whole.cells if cell.key == finished.record.key)
            yield _judged(old[plan.key], finished, plan.code, whole)


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Provide an empty folder for a replay; those of killed replays on this machine are removed.

    Raises:
        StoreError: The folder for temporary files cannot be written to.
    """
    place = Path(tempfile.gettempdir())
    # Containers may share the folder, and have process ids of their own.
    beginning = f"srbench-replay-{slugify(platform.node())}-"
    with disk_errors(place):
        remove_leftovers(place, beginning)
        folder = tempfile.TemporaryDirectory(prefix=f"{beginning}{os.getpid()}-", ignore_cleanup_errors=True)
    with folder as work:
        yield Path(work)


def _measured(job: Job, note: Callable[[str], None]) -> Iterator[Finished]:
    events: list[Finished | DiskFull] = []
    steps = {"check": "checking", "prepare": "preparing images for", "train": "training", "evaluate": "measuring"}

    def emit(event: Any) -> None:
        if not isinstance(event, Progress):
            events.append(event)
        elif event.done == 0 or event.done == event.total:
            note(f"{steps[event.step]} {job.model.label} {event.detail}".rstrip())

    perform(job, emit)
    for event in events:
        if isinstance(event, DiskFull):
            raise StoreError(event.message)
        yield event


def _judged(old: Cell, new: Finished, code: str, model: ModelPlan) -> Replayed:
    before, after = old.record, new.record
    other = [] if before.code_digest == code else ["measuring"]
    if before.training is not None and before.training.code_digest != _training_code(model):
        other.append("training")
    hardware = (new.speed or {}).get("hardware", {})
    training = "repeated" if model.training is not None else ""
    if after.status != "ok" or new.per_image is None:
        said = (after.error or "").strip().splitlines()[-1:]
        return Replayed(old, "failed", [], said, other, training=training, hardware=hardware)
    exact = same_platform(old, new)
    reasons, differences = [], []
    if before.weights_sha256 != after.weights_sha256:
        how = "after repeating the training" if training else "now"
        reasons.append(f"its weights are {_short(before.weights_sha256)}, but {how} {_short(after.weights_sha256)}")
    traces = [None if record.training is None else record.training.trace for record in (before, after)]
    if training and traces[0] is not None and traces[0] != traces[1]:
        reasons.append("the trace of its training differs from the one in models/")
    try:
        differences = compared(before, old.per_image, new.per_image, exact)
        reasons += wrong_means(before, old.per_image, exact)
        reasons += counted_differences(before, after, exact)
        reasons += _changed_checks(before.checks, after.checks)
    except (Disagreement, StoreError) as reason:
        reasons.append(str(reason))
    outcome: Outcome = "equal"
    if reasons or not all(one.allowed for one in differences):
        outcome = "differs"
    elif differences:
        outcome = "within tolerance"
    return Replayed(old, outcome, differences, reasons, other, exact, training, hardware)


def _changed_checks(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return a sentence for each conformance check that failed only originally or only now; skipped ones may change."""
    failed = {
        name: [said.startswith("failed") for said in (before[name], after[name])] for name in before if name in after
    }
    verdict = {True: "failed", False: "did not fail"}
    return [
        f"its check {name} {verdict[one]}, but now {verdict[two]}" for name, (one, two) in failed.items() if one != two
    ]


def _training_code(model: ModelPlan) -> str:
    from srbench.runs.fingerprint import training_code

    return model.training.code if model.training is not None else training_code(model.name)


def _threads(cell: Cell) -> int:
    hardware = (cell.speed or {}).get("hardware", {})
    threads = hardware.get("threads", 1) if isinstance(hardware, dict) else 1
    return max(1, min(int(threads), 1024)) if isinstance(threads, int | float) else 1


def _short(digest: str | None) -> str:
    return "none" if digest is None else f"{digest[:12]}..."


def entry(replayed: Replayed, by: str | None = None) -> Replay:
    """Return the entry of a replay for `replays.json`.

    Args:
        replayed: The outcome.
        by: Who replayed it; `CI` with the address of its job, or `a person`, if not given.
    """
    code = checkout()
    reasons = [*replayed.reasons, *(str(one) for one in replayed.differences if not one.allowed)]
    device = replayed.hardware.get("device", "")
    return Replay(
        cell=replayed.cell.record.key,
        stored_sha256=stored_sha256(replayed.cell),
        outcome=replayed.outcome,
        largest_difference=replayed.largest_difference,
        reason="" if replayed.agrees else "; ".join(reasons)[:1000],
        training=replayed.training,
        by=(by or _who())[:200],
        commit="" if code is None else code.commit,
        dirty=code is not None and code.dirty,
        code="other" if replayed.other_code else "the same",
        date=now(),
        platform=f"{platform.platform()}, {device}" if device else platform.platform(),
        versions=versions(),
        threads=int(replayed.hardware.get("threads", _threads(replayed.cell))),
    )


def _who() -> str:
    if os.environ.get("GITHUB_ACTIONS") == "true":
        server, repository, run = (
            os.environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
        )
        return f"CI ({server}/{repository}/actions/runs/{run})"
    return "CI" if os.environ.get("CI") else "a person"
