"""Run a suite: measure all cells that are not finished yet.

The whole suite is checked first (names, arguments, shapes, weights, data), before anything is written. Then each
model's cells are measured; finished cells are kept, however the run ends. A failed cell is recorded with its traceback,
and the run continues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from srbench import __version__
from srbench.errors import ConfigError, StoreError
from srbench.evaluation.options import InferenceOptions
from srbench.evaluation.stored_images import SR_IMAGES
from srbench.machine import check_devices, check_threads, read_devices, usable_cores
from srbench.protocols import Protocol as Settings
from srbench.protocols import get_protocol
from srbench.results.origins import Planned
from srbench.results.records import Record, RunInfo, now
from srbench.results.store import RunStore
from srbench.runs.executor_names import LOCAL, make_cluster, parse_executor
from srbench.runs.executors import Crash, Executor, Local, check_whole
from srbench.runs.job import DiskFull, Finished, Job, Progress, perform
from srbench.runs.plan import ModelPlan, Plan, pending, run_directory
from srbench.runs.planner import make_plan
from srbench.runs.preflight import check_trainings, preflight
from srbench.runs.recording import failed_record
from srbench.runs.slots import Slots, choose_slots
from srbench.runs.training_images import prepare_training_images, scales_by_data
from srbench.suite.definition import Suite

__all__ = ["Observer", "RunReport", "run"]


class Observer(Protocol):
    """Receiver of a run's progress; all methods are called in the main process of the run."""

    def note(self, text: str) -> None:
        """Receive a message about the preparation."""

    def started(self, plan: Plan, todo: Sequence[ModelPlan], slots: Slots) -> None:
        """Receive the plan, the unfinished models, and how they are processed, when the run starts."""

    def progressed(self, model: ModelPlan, progress: Progress) -> None:
        """Receive the progress of one model."""

    def finished(self, model: ModelPlan, record: Record) -> None:
        """Receive a cell that has been stored."""


class Silent:
    """Observer that ignores everything."""

    def note(self, text: str) -> None:
        """Ignore it."""

    def started(self, plan: Plan, todo: Sequence[ModelPlan], slots: Slots) -> None:
        """Ignore it."""

    def progressed(self, model: ModelPlan, progress: Progress) -> None:
        """Ignore it."""

    def finished(self, model: ModelPlan, record: Record) -> None:
        """Ignore it."""


@dataclass(frozen=True)
class RunReport:
    """The outcome of a run.

    Attributes:
        plan: The plan of the suite.
        run_dir: The run directory.
        before: Number of cells that were finished before this run.
        todo: Models with cells that were unfinished when the run started.
        done: Records of the cells measured in this run.
        failed: Records of the cells that failed in this run.
        skipped: Models skipped because their weights could not be downloaded, if allowed: label -> reason.
        dry: Whether it was a dry run.
        refused: Why the run would be refused on this device, if it was a dry run.
    """

    plan: Plan
    run_dir: Path
    before: int
    todo: tuple[ModelPlan, ...]
    done: list[Record] = field(default_factory=list)
    failed: list[Record] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    dry: bool = False
    refused: str | None = None

    @property
    def exit_status(self) -> int:
        """1 if a cell failed, else 0."""
        return 1 if self.failed else 0


def run(
    suite: Suite,
    run_dir: Path | None = None,
    *,
    models_glob: str | None = None,
    datasets: Sequence[str] | None = None,
    dry_run: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    jobs: int | None = None,
    keep_images: bool = False,
    skip_missing_weights: bool = False,
    executor: str | None = None,
    observer: Observer | None = None,
) -> RunReport:
    """Measure all cells of a suite that are not finished yet.

    Args:
        suite: The suite.
        run_dir: The run directory; `runs/<suite>` if not given.
        models_glob: Only models that match.
        datasets: Only these of the suite's data sets.
        dry_run: Only report what would be done; write nothing.
        device: `cpu`, `cuda` or `cuda:N`; or several GPUs, `cuda:0,cuda:1` or `cuda:0-3`, which share the models.
        threads: CPU threads of each evaluation and training. If not given: one for training, which is fastest for small
            networks and makes results independent of the machine; for evaluation, the machine's cores shared by all
            jobs.
        jobs: Number of models processed at a time. If not given, as many as need training, at most one per core; on
            GPUs as in `slots.choose_slots`.
        keep_images: Keep whole SR images, as `sr_images/CELL/IMAGE.png` in the run's folder.
        skip_missing_weights: Skip models whose weights cannot be downloaded, instead of refusing the suite; they stay
            planned and are not measured.
        executor: Who does the jobs: `NAME` or `NAME(key=value,...)`, of the entry points `srbench.executors`. None or
            `local`: processes on this machine, also as `local(jobs=N)`.
        observer: Receives the progress.

    Raises:
        SRBenchError: The suite is invalid, data or weights are missing, the directory is in use, or the disk is full;
            finished cells are kept.
    """
    observer = observer if observer is not None else Silent()
    cluster = None
    name, arguments = parse_executor(executor if executor is not None else LOCAL)
    if name != LOCAL:
        if jobs is not None or threads is not None:
            raise ConfigError("--jobs and --threads are of the local executor; give a cluster's cpus=... instead")
        cluster = make_cluster(str(executor), run_directory(suite, run_dir) / "cluster", device)
    else:
        device, jobs = _local_arguments(arguments, device, jobs)
        check_devices(device)
    if threads is not None:
        check_threads(threads)
    store = RunStore(run_directory(suite, run_dir))
    observer.note("reading the suite and the results")
    plan = make_plan(suite, models_glob=models_glob, datasets=datasets, note=observer.note)
    todo = pending(plan, store)
    skipped: dict[str, str] = {}
    refused = None
    if todo:
        try:
            check_trainings(todo, store, read_devices(device), here=cluster is None)
        except ConfigError as error:
            if not dry_run:
                raise
            refused = str(error)
        # What fits is checked against this machine's memory; a cluster's nodes may have another device.
        checked = read_devices(device) if cluster is None else ("cpu",)
        skipped = preflight(
            todo, checked, note=observer.note, fetch=not dry_run, skip_missing_weights=skip_missing_weights
        )
    if dry_run:
        return RunReport(plan, store.path, _finished_before(plan, todo), tuple(todo), dry=True, refused=refused)
    store.measured_data = plan.data_hashes
    with store.lock():
        store.begin(_info(plan, store, whole=models_glob is None and datasets is None))
        todo = pending(plan, store)
        before = _finished_before(plan, todo)
        todo = [model for model in todo if model.label not in skipped]
        report = RunReport(plan, store.path, before, tuple(todo), skipped=skipped)
        _forget_superseded(plan, store)
        try:
            if todo:
                _do(report, store, observer, device, threads, jobs, keep_images, name, cluster)
        finally:
            if cluster is None:  # tasks of a cluster may still be writing; the others end with the run
                store.sweep()
                store.sweep_trainings()
    return report


def _local_arguments(arguments: dict[str, Any], device: str, jobs: int | None) -> tuple[str, int | None]:
    """Return devices and jobs of the local executor, given in its parentheses or as options."""
    for key, value in arguments.items():
        if key not in ("jobs", "device"):
            raise ConfigError(f"executor 'local' does not take '{key}'; it takes jobs, device")
        if key == "jobs" and jobs not in (None, value):
            raise ConfigError(f"--jobs {jobs} and local(jobs={value}) differ; give one of them")
        if key == "jobs":
            check_whole("jobs", value, 1, 256, "executor 'local'")
        if key == "device" and device not in ("cpu", value):
            raise ConfigError(f"--device {device} and local(device={value}) differ; give one of them")
    return arguments.get("device", device), arguments.get("jobs", jobs)


def _finished_before(plan: Plan, todo: Sequence[ModelPlan]) -> int:
    return sum(1 for _ in plan.cells) - sum(len(model.cells) for model in todo)


def _info(plan: Plan, store: RunStore, *, whole: bool) -> RunInfo:
    suite, known = plan.suite, store.info()
    return RunInfo(
        suite=suite.name,
        title=suite.title,
        description=suite.description,
        budget=suite.chosen_budget,
        images=suite.images,
        planned=_planned(plan, known, whole=whole),
        definition=suite.definition(),
        explanations={
            suite.inference.digest(protocol.digest): _explanation(protocol, suite.inference)
            for protocol in map(get_protocol, suite.protocols)
        },
        reported=suite.reported_figures(),
        srbench=__version__,
        created=known.created if known is not None else now(),
    )


def _planned(plan: Plan, known: RunInfo | None, *, whole: bool) -> Planned | None:
    """Return what the folder's suite asks for; a run of a part of it changes only which models were added."""
    if known is None or (whole and known.planned is None):
        return plan.described
    if known.planned is None:
        return None
    planned = plan.described_after(known.planned)
    return planned if whole else known.planned.model_copy(update={"added": planned.added})


def _explanation(protocol: Settings, inference: InferenceOptions) -> str:
    said = "".join(f"\n- {sentence}" for sentence in inference.explain())
    return protocol.explain() + (f"\n\nInference options:\n{said}" if said else "")


def _forget_superseded(plan: Plan, store: RunStore) -> None:
    """Remove superseded results: if a code change was reverted, the cell of the current code is valid again."""
    for cell in plan.cells:
        found = store.find(cell.directory, cell.key)
        if found is not None and found.record.status == "ok":
            store.supersede(found.record)


def _do(
    report: RunReport,
    store: RunStore,
    observer: Observer,
    device: str,
    threads: int | None,
    jobs: int | None,
    keep_images: bool,
    name: str,
    cluster: Executor | None,
) -> None:
    todo = report.todo
    cores = usable_cores()
    if cluster is None:
        trainings = sum(1 for model in todo if model.training is not None and not model.training.finished(store))
        slots = choose_slots(
            read_devices(device), jobs=jobs, models=len(todo), trainings=trainings, cores=cores, threads=threads or 1
        )
    else:
        threads = int(getattr(cluster, "threads", 1))
        slots = Slots(len(todo), read_devices(device), scheduler=name)
    scales = scales_by_data(todo, store)
    work = [
        Job(
            model,
            store.models_path,
            device=slots.devices[0],
            train_threads=threads or 1,
            threads=threads or max(1, cores // slots.jobs),
            images_path=store.path / SR_IMAGES if keep_images else None,
            prepared_scales=() if model.training is None else scales.get(model.training.data.source, ()),
        )
        for model in todo
    ]
    reported: set[str] = set()  # directories: two data sets with equal images have equal keys

    def handle(index: int, event: Any) -> None:
        model = todo[index]
        if isinstance(event, Progress):
            observer.progressed(model, event)
        elif isinstance(event, Finished):
            reported.add(event.record.directory_name)
            _store(report, store, observer, model, event)
        elif isinstance(event, DiskFull):
            raise StoreError(event.message)
        elif isinstance(event, Crash):
            for cell in model.cells:
                if cell.directory not in reported:
                    _store(report, store, observer, model, Finished(failed_record(model, cell, event.reason)))

    executor: Executor = cluster or Local(store.path, jobs=slots.jobs, device=device)
    observer.started(report.plan, todo, slots)
    # Long jobs first, so that no worker is idle at the end.
    order = sorted(range(len(work)), key=lambda index: -_cost(todo[index])) if slots.jobs > 1 else [*range(len(work))]
    if cluster is None and slots.jobs > 1:
        prepare_training_images([todo[index] for index in order], scales, observer.progressed)
    executor.run([work[index] for index in order], perform, lambda place, event: handle(order[place], event))


def _cost(model: ModelPlan) -> int:
    return model.training.recipe.iterations if model.training is not None else 0


def _store(report: RunReport, store: RunStore, observer: Observer, model: ModelPlan, event: Finished) -> None:
    store.write(event.record, event.per_image, event.images, speed=event.speed)
    (report.done if event.record.status == "ok" else report.failed).append(event.record)
    observer.finished(model, event.record)
