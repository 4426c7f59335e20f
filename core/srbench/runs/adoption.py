"""Adoption: check results of an earlier version of the code with the current code, and store them under its keys.

Everything is verified (docs/adr/0019-staleness-by-code.md): every value is measured again, from the published weights
or from those stored in the run, and a training is replayed for its first iterations, or repeated completely. A result
that does not agree is refused with a reason and left unchanged.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import SRBenchError, StoreError
from srbench.machine import check_device
from srbench.results.records import Record
from srbench.results.store import Cell, RunStore
from srbench.runs.agreement import Disagreement, agreement, check_plan
from srbench.runs.job import DiskFull, Finished, Job, Progress, perform
from srbench.runs.plan import CellPlan, ModelPlan, Plan, pending, run_directory
from srbench.runs.planner import make_plan
from srbench.runs.slots import Slots
from srbench.runs.stored_trainings import how_checked, stored_training, take_over
from srbench.suite.definition import Suite

if TYPE_CHECKING:
    from srbench.runs.runner import Observer

__all__ = ["AdoptionReport", "Refusal", "adopt"]


@dataclass(frozen=True)
class Refusal:
    """A result that was not adopted, and why.

    Attributes:
        cell: Model, data set and protocol.
        reason: A sentence.
    """

    cell: str
    reason: str


@dataclass(frozen=True)
class AdoptionReport:
    """The outcome of an adoption.

    Attributes:
        plan: The plan of the suite.
        run_dir: The run directory.
        current: Number of cells that were already up to date.
        adopted: Records adopted now.
        refused: Results that were refused.
        absent: Cells without any result.
    """

    plan: Plan
    run_dir: Path
    current: int
    adopted: list[Record] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """1 if a result was refused, else 0."""
        return 1 if self.refused else 0


def adopt(
    suite: Suite,
    run_dir: Path | None = None,
    *,
    models_glob: str | None = None,
    datasets: Sequence[str] | None = None,
    retrain: bool = False,
    device: str = "cpu",
    observer: Observer,
) -> AdoptionReport:
    """Check the outdated results in a run directory, and keep those that agree as results of the current code.

    Args:
        suite: The suite.
        run_dir: The run directory; `runs/<suite>` if not given.
        models_glob: Only models that match.
        datasets: Only these of the suite's data sets.
        retrain: Repeat trainings whose weights or trace are missing; the resulting weights must be equal.
        device: `cpu`, `cuda` or `cuda:N`.
        observer: Receives the progress.

    Raises:
        SRBenchError: The suite is invalid, the directory is in use, or the disk is full.
    """
    check_device(device)
    store = RunStore(run_directory(suite, run_dir))
    store.check_writable()
    if not store.cells_path.is_dir():
        raise StoreError(f"there are no results in '{store.path}' to adopt; give the directory of a run with --out")
    observer.note("reading the suite and the results")
    plan = make_plan(suite, models_glob=models_glob, datasets=datasets, note=observer.note)
    todo = pending(plan, store)
    waiting = sum(len(model.cells) for model in todo)
    report = AdoptionReport(plan, store.path, sum(1 for _ in plan.cells) - waiting)
    store.measured_data = plan.data_hashes
    with store.lock():
        store.sweep()
        # Nothing is trained from scratch.
        observer.started(plan, [replace(model, training=None) for model in todo], Slots(1, (device,)))
        for model in todo:
            _adopt_model(model, store, report, retrain, device, observer)
    return report


def _adopt_model(
    model: ModelPlan, store: RunStore, report: AdoptionReport, retrain: bool, device: str, observer: Observer
) -> None:
    old = {}
    for cell in model.cells:
        found = _stored(model, cell, store, report)
        if found is not None:
            old[cell.directory] = found
    if not old:
        return
    wanted = replace(model, cells=tuple(cell for cell in model.cells if cell.directory in old))
    work = store.path / f".tmp-adoption-{wanted.cells[0].key[:12]}"
    try:
        models_path, how = work / "models", ""
        if model.training is not None:
            kept = stored_training(model, store, [cell.record for cell in old.values()], retrain=retrain)
            if kept is None:
                models_path, how = store.models_path, how_checked(model, store)
            else:
                observer.note(f"replaying the training of {model.label}")
                how = take_over(kept, model, models_path, device)
        for threads, cells in _by_threads(wanted.cells, old).items():
            job = Job(replace(wanted, cells=cells), models_path, device=device, threads=threads)
            for finished in _measured(job, observer):
                _judge(model, old[finished.record.directory_name], finished, how, store, report, observer)
        taken = {record.directory_name for record in report.adopted}
        if model.training is not None and models_path == work / "models" and taken & old.keys():
            _keep(models_path / model.training.directory, store.models_path / model.training.directory)
    except Disagreement as reason:
        for cell in wanted.cells:
            report.refused.append(Refusal(_said(model, cell), str(reason)))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _stored(model: ModelPlan, cell: CellPlan, store: RunStore, report: AdoptionReport) -> Cell | None:
    """Return the outdated result of a cell whose record matches the suite."""
    seed = None if model.training is None else model.training.seed
    reasons = []
    for found in store.results_named(cell.directory):
        if isinstance(found, str):
            reasons.append(found)
            continue
        record = found.record
        if record.key == cell.key or record.status != "ok" or record.identity[2] != seed:
            continue
        try:
            check_plan(record, model, cell)
        except Disagreement as reason:
            reasons.append(str(reason))
        else:
            return found
    if reasons:
        report.refused.extend(Refusal(_said(model, cell), reason) for reason in reasons)
    else:
        report.absent.append(_said(model, cell))
    return None


def _said(model: ModelPlan, cell: CellPlan) -> str:
    label = model.label if len(model.measured) == 1 else f"{model.label} at x{cell.scale}"
    return f"{label} on {cell.data.label}, {cell.shown_protocol}"


def _by_threads(cells: Sequence[CellPlan], old: dict[str, Cell]) -> dict[int, tuple[CellPlan, ...]]:
    """Group cells by the number of threads they were measured with, which affects the last bits of sums."""
    found: dict[int, tuple[CellPlan, ...]] = {}
    for cell in cells:
        hardware = (old[cell.directory].speed or {}).get("hardware", {})
        threads = max(1, int(hardware.get("threads", 1)))
        found[threads] = (*found.get(threads, ()), cell)
    return found


def _measured(job: Job, observer: Observer) -> Iterator[Finished]:
    events: list[Any] = []

    def emit(event: Any) -> None:
        if isinstance(event, Progress):
            observer.progressed(job.model, event)
        else:
            events.append(event)

    perform(job, emit)
    for event in events:
        if isinstance(event, DiskFull):
            raise StoreError(event.message)
        yield event


def _judge(
    model: ModelPlan,
    old: Cell,
    new: Finished,
    training: str,
    store: RunStore,
    report: AdoptionReport,
    observer: Observer,
) -> None:
    """Store one result under its new key if it agrees with the new measurement."""
    record = new.record
    cell = next(cell for cell in model.cells if cell.directory == record.directory_name)
    try:
        adopted = agreement(old, new, training)
        replaced = adopted.metrics is record.metrics
        store.adopt(old, adopted, new.per_image if replaced else None)
    except (Disagreement, SRBenchError) as reason:
        if isinstance(reason, StoreError):
            raise
        report.refused.append(Refusal(_said(model, cell), str(reason)))
        return
    report.adopted.append(adopted)
    observer.finished(model, adopted)


def _keep(source: Path, target: Path) -> None:
    """Move an adopted training to the directory of the current code's trainings."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    source.rename(target)
