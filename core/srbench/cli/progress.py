"""Progress of a run: bars with the remaining time on a terminal, otherwise a line per finished cell."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from srbench.cli.output import say
from srbench.cli.steps import LineRate

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from srbench.results.records import Record
    from srbench.runs.job import Progress
    from srbench.runs.plan import ModelPlan, Plan
    from srbench.runs.slots import Slots

__all__ = ["RunProgress"]

_STEPS = {"check": "checking", "prepare": "preparing images for", "train": "training", "evaluate": "evaluating"}


@dataclass
class _Said:
    """The last report on a model's step, and the basis for its remaining time.

    A step that processes several data sets restarts with each.
    """

    step: str
    last: float
    began: float
    before: int
    done: int = 0


class RunProgress:
    """Show a run on standard error, so that standard output has only results."""

    def __init__(self) -> None:
        """Initialize; bars are drawn if standard error is a terminal."""
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
        self.bars: Bars | None = None
        self.tasks: dict[str, TaskID] = {}
        self.cells: TaskID | None = None
        self.total = self.count = 0
        self.started_at = time.monotonic()
        self.said: dict[str, _Said] = {}
        self.notes = LineRate()

    def __enter__(self) -> RunProgress:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        if self.console.is_terminal:
            self.bars = Progress(
                TextColumn("{task.description}", markup=False),  # names may hold brackets
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}", style="dim", markup=False),
                console=self.console,
                transient=True,
            )
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()
        sys.stderr.flush()

    def note(self, text: str) -> None:
        """Show a message about the preparation: transient on a terminal, otherwise an occasional line."""
        if self.bars is None:
            if self.notes.due():
                say(f"  {text}", console=self.console)
            return
        if self.cells is None:
            self.cells = self.bars.add_task(text, total=None, detail="")
        self.bars.update(self.cells, description=text)

    def started(self, plan: Plan, todo: Sequence[ModelPlan], slots: Slots) -> None:
        """Show the amount of work."""
        self.total = sum(len(model.cells) for model in todo)
        trainings = sum(model.training is not None for model in todo)
        at_a_time = ""
        if slots.scheduler:
            at_a_time = f", handed to {slots.scheduler}"
        elif slots.jobs > 1 or slots.devices[0] != "cpu":
            at_a_time = f", {slots.jobs} model{'s' if slots.jobs > 1 else ''} at a time"
            if slots.devices[0] != "cpu":
                at_a_time += f" on {', '.join(slots.devices)}"
            if slots.why:
                at_a_time += f" ({slots.why}; --jobs changes this)"
        self.console.print(
            f"{plan.suite.label}: {self.total} cells to do, {trainings} models to train first{at_a_time}"
        )
        if self.bars is not None:
            if self.cells is not None:
                self.bars.remove_task(self.cells)
            self.cells = self.bars.add_task("cells", total=self.total, detail="")

    def progressed(self, model: ModelPlan, progress: Progress) -> None:
        """Update a model's bar."""
        if self.bars is None:
            self._say(model.label, progress)
            return
        name = f"{_STEPS[progress.step]} {model.label}"
        task = self.tasks.get(model.label)
        shown = None if task is None else self.bars.tasks[self.bars.task_ids.index(task)]
        if task is None or shown is None or shown.description != name or progress.done < shown.completed:
            if task is not None:
                self.bars.remove_task(task)
            task = self.tasks[model.label] = self.bars.add_task(name, total=progress.total or None, detail="")
        self.bars.update(task, completed=progress.done, total=progress.total or None, detail=progress.detail)

    def _say(self, label: str, progress: Progress) -> None:
        """Print a line at the start of each step and every half minute, with its remaining time."""
        now = time.monotonic()
        said = self.said.get(label)
        if said is None or progress.step != said.step:
            said = self.said[label] = _Said(progress.step, last=-math.inf, began=now, before=progress.done)
        elif progress.done < said.done:  # the next data set
            said.began, said.before = now, progress.done
        said.done = progress.done
        if now - said.last < 30:
            return
        said.last = now
        count = f" {progress.done}/{progress.total}" if progress.total else ""
        if progress.done > said.before and progress.total:
            seconds = round((now - said.began) / (progress.done - said.before) * (progress.total - progress.done))
            count += f", {seconds // 60}:{seconds % 60:02d} left"
        say(f"  {_STEPS[progress.step]} {label}{count} {progress.detail}".rstrip(), console=self.console)

    def finished(self, model: ModelPlan, record: Record) -> None:
        """Print the result of a cell."""
        self.count += 1
        if self.bars is not None and self.cells is not None:
            self.bars.update(self.cells, completed=self.count)
            if record.directory_name == model.cells[-1].directory and model.label in self.tasks:
                self.bars.remove_task(self.tasks.pop(model.label))
        if record.status == "ok":
            figures = "  ".join(f"{name} {value:.4f}" for name, value in record.metrics.items())
        else:
            figures = "failed: " + (record.error or "").strip().splitlines()[-1]
        say(
            f"[{self.count}/{self.total}] {model.label}, {self._dataset(model, record)}, {record.protocol}: {figures}",
            console=self.console,
        )

    def _dataset(self, model: ModelPlan, record: Record) -> str:
        labels = (cell.data.label for cell in model.cells if cell.directory == record.directory_name)
        return next(labels, record.dataset)
