"""`srbench run`: run a suite, and show the outcome."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.results.store import Cell
    from srbench.runs.adoption import AdoptionReport
    from srbench.runs.runner import RunReport
    from srbench.suite.definition import Suite

__all__ = ["run"]


def run(
    suite: Annotated[
        str, typer.Option(help="A suite's name (`srbench list suites`) or a YAML file.", metavar="NAME|FILE")
    ],
    budget: Annotated[
        str | None,
        typer.Option(help="One of the suite's budgets: a smaller version defined in its file.", metavar="NAME"),
    ] = None,
    train_data: Annotated[
        str | None,
        typer.Option(
            help="Train on these images instead: name of a data set, a folder, or a list of images.",
            metavar="NAME|DIR|LIST",
        ),
    ] = None,
    validate: Annotated[
        str | None,
        typer.Option(
            help="Validate trainings on these images, for learning curves; affects no result.", metavar="NAME|DIR"
        ),
    ] = None,
    validate_images: Annotated[
        str | None,
        typer.Option(
            help="Only these of the validation images: names and globs, separated by commas.", metavar="NAMES"
        ),
    ] = None,
    validate_every: Annotated[
        int | None,
        typer.Option(
            min=1, max=10**9, help="Iterations between validations. If not given: the recipe's, or 20 validations."
        ),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(
            help="Also measure this model, with the weights of its tag or of a file. May be given several times.",
            metavar="MODEL[=FILE]",
        ),
    ] = None,
    models: Annotated[
        str | None, typer.Option(help='Only models that match, e.g. `"edsr*"` (quoted).', metavar="GLOB")
    ] = None,
    datasets: Annotated[
        str | None, typer.Option(help="Only these of the suite's data sets, e.g. Set5,Set14.", metavar="A,B")
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help='Only these images of each data set: names and globs, separated by commas, e.g. "baby,b*".',
            metavar="NAMES",
        ),
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Inference path of networks with masks: sparse, masked_dense.", metavar="NAME")
    ] = None,
    fold: Annotated[
        bool, typer.Option("--fold", help="Fold networks: shared layers become plain ones where possible.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Run directory; runs/SUITE[-BUDGET] if not given.", metavar="DIR")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; write nothing.")] = False,
    device: Annotated[
        str, typer.Option(help="cpu, cuda or cuda:N; or several GPUs: cuda:0,cuda:1 or cuda:0-3.", metavar="DEVICES")
    ] = "cpu",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of each job. If not given: trainings 1, evaluations share the cores."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Models processed at a time. If not given: as many as need training, at most one per core, and on "
            "a GPU at most 4 and one per 8 GiB of free memory.",
        ),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            help="Where jobs run: local, slurm, ray or an executor of a plugin; its arguments follow in parentheses.",
            metavar="NAME(...)",
        ),
    ] = None,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="Measure nothing new: check results of an earlier version of the code by measuring them again, and "
            "keep those that agree.",
        ),
    ] = False,
    retrain: Annotated[
        bool,
        typer.Option(
            "--retrain", help="With --adopt: repeat trainings whose weights or traces are missing, to compare them."
        ),
    ] = False,
    keep_images: Annotated[
        bool,
        typer.Option("--keep-images", help="Keep the SR images of this run in DIR/sr_images."),
    ] = False,
    skip_missing_weights: Annotated[
        bool,
        typer.Option(
            "--skip-missing",
            help="Leave out models whose weights cannot be downloaded here; pages show them as not measured.",
        ),
    ] = False,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Build the leaderboard page at the end.")] = True,
    json_file: Annotated[
        str | None,
        typer.Option("--json", help="Write the result as JSON to a file, or to standard output: -.", metavar="FILE|-"),
    ] = None,
) -> None:
    """Train and measure the unfinished cells of a suite, and rank its models.

    It can be interrupted at any time; the same command resumes where it stopped. A failed cell is recorded with its
    traceback and the run continues; the exit status is then 1. Invalid input gives status 2, and nothing is written.

    Example: `srbench run --suite quickstart`

    Example: `srbench run --suite ps-table1-x2 --budget small`

    Example: `srbench run --suite efficient-x2 --datasets Set5,Set14 --models "drrn*" --dry-run`

    Example: `srbench run --suite quickstart --adopt`

    Example: `srbench run --suite efficient-x2 --datasets Set5,Set14 --add "carn+ps=my_weights.safetensors"`
    """
    from srbench.cli.output import check_json_target, output_folder
    from srbench.cli.progress import RunProgress
    from srbench.errors import ConfigError
    from srbench.runs.runner import run as run_suite
    from srbench.suite.definition import load_suite
    from srbench.suite.validation_images import validated_on

    out = output_folder(out)
    if json_file is not None:
        check_json_target(json_file, suite, *((out, out / "run.json") if out is not None else ()))
    loaded = load_suite(suite)
    if budget is not None:
        loaded = loaded.at_budget(budget)
    if train_data is not None:
        loaded = loaded.trained_on(train_data)
    if validate is not None or validate_images is not None or validate_every is not None:
        loaded = validated_on(loaded, validate, validate_images, validate_every)
    if add:
        loaded = loaded.with_models(add)
    if images is not None:
        loaded = loaded.on_images(images)
    if fold:
        loaded = loaded.deployed_with(fold=True)
    if path is not None:
        loaded = loaded.deployed_with(path=path)
    chosen = [name.strip() for name in datasets.split(",") if name.strip()] if datasets is not None else None
    if retrain and not adopt:
        raise ConfigError("--retrain compares repeated trainings with those of a run; give --adopt too")
    if keep_images and adopt:
        raise ConfigError("--adopt measures again without keeping images; leave out --keep-images")
    if executor is not None and adopt:
        raise ConfigError("--adopt checks results on this machine; leave out --executor")
    if adopt:
        _adopt(loaded, out, models, chosen, retrain, device, page, json_file)
        return
    with RunProgress() as observer:
        report = run_suite(
            loaded,
            out,
            models_glob=models,
            datasets=chosen,
            dry_run=dry_run,
            device=device,
            threads=threads,
            jobs=jobs,
            keep_images=keep_images,
            skip_missing_weights=skip_missing_weights,
            executor=executor,
            observer=observer,
        )
    pages = _build_page(report) if page and not dry_run and (report.done or _no_page(report)) else None
    if json_file is not None:
        _write_json(json_file, report)
    if json_file != "-":
        _show(report, pages)
    if report.exit_status:
        raise typer.Exit(report.exit_status)


def _adopt(
    suite: Suite,
    out: Path | None,
    models: str | None,
    datasets: list[str] | None,
    retrain: bool,
    device: str,
    page: bool,
    json_file: str | None,
) -> None:
    from srbench.cli.adoption import show_adoption, write_adoption
    from srbench.cli.progress import RunProgress
    from srbench.runs.adoption import adopt

    with RunProgress() as observer:
        report = adopt(
            suite,
            out,
            models_glob=models,
            datasets=datasets,
            retrain=retrain,
            device=device,
            observer=observer,
        )
    if page and report.adopted:
        _build_page(report)
    if json_file is not None:
        write_adoption(json_file, report)
    if json_file != "-":
        show_adoption(report)
    if report.exit_status:
        raise typer.Exit(report.exit_status)


def _page_dir(report: RunReport | AdoptionReport) -> Path:
    return report.run_dir / "leaderboard"


def _no_page(report: RunReport) -> bool:
    return not _page_dir(report).exists()


def _build_page(report: RunReport | AdoptionReport) -> Path | None:
    from srbench.runs.pages import build_pages

    build_pages(report.run_dir, _page_dir(report))
    return _page_dir(report)


def _wanted(report: RunReport) -> dict[str, Cell]:
    """Return the finished cells of the plan: directory -> cell."""
    from srbench.results.store import RunStore

    store = RunStore(report.run_dir)
    found = ((cell.directory, store.find(cell.directory, cell.key)) for cell in report.plan.cells)
    return {name: cell for name, cell in found if cell is not None}


def _show(report: RunReport, pages: Path | None) -> None:
    from rich.console import Console

    from srbench.cli.output import say

    # Without a terminal, lines need not fit its width. Brackets in names are not markup.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    if report.dry:
        _show_plan(console, report)
        return
    from srbench import leaderboard

    leaderboard.show(report.run_dir, console)
    for record in report.failed:
        last = (record.error or "").strip().splitlines()[-1]
        say(f"failed: {record.model} x{record.scale} on {record.dataset}: {last}", console=console)
        say(f"        traceback in {report.run_dir / 'cells' / record.directory_name / 'record.json'}", console=console)
    for record in report.done:
        if record.tile_error is None:
            continue
        from srbench.evaluation.execution import TileError

        tiles = TileError(**record.tile_error)
        if not tiles.exact:
            changed = f"at most {tiles.largest:.1e} of the range"
            say(f"tiles change {record.model} on {record.dataset}, measured: {changed}", console=console)
    for label, reason in report.skipped.items():
        say(f"left out: {label}: {reason}", console=console)
    if not report.todo and not report.skipped:
        say(f"nothing to do: all {report.before} cells are finished in {report.run_dir}", console=console)
    if pages is not None:
        say(f"page: {pages / 'index.html'}", console=console)
    elif report.done:
        say(f"next: srbench leaderboard build {report.run_dir}", console=console)


def _show_plan(console: Any, report: RunReport) -> None:
    from rich.table import Table

    from srbench.cli.output import printable, say
    from srbench.results.store import RunStore

    store = RunStore(report.run_dir)
    open_cells = {cell.directory: cell for model in report.todo for cell in model.cells}
    table = Table(title=printable(f"{report.plan.suite.label}: what a run into {report.run_dir} would do"))
    for column in ("model", "scale", "data set", "images", "protocol", "training", "state"):
        table.add_column(column, overflow="fold")
    for model in report.plan.models:
        for cell in model.cells:
            if cell.directory not in open_cells:
                state = "done"
            else:
                state = "failed before, try again" if open_cells[cell.directory].failed else "to do"
            training = ""
            if model.training is not None:
                trained = model.training.finished(store)
                training = (
                    "done" if trained else f"{model.training.recipe.iterations} iterations, {model.training.data.name}"
                )
            if model.training is not None and model.several_seeds:
                training += f", seed {model.training.seed}"
            columns = (cell.data.label, str(cell.data.images), cell.shown_protocol, training, state)
            table.add_row(*map(printable, (str(model.name), f"x{cell.scale}", *columns)))
    console.print(table)
    suite = report.plan.suite
    if suite.budget:
        what = f"Budget {suite.chosen_budget}" if suite.chosen_budget else "The whole suite"
        say(f"{what} takes {suite.budget}.", console=console)
    if suite.budgets:
        say(f"It has budgets that take less: --budget {', --budget '.join(suite.budgets)}.", console=console)
    if report.refused is not None:
        say(f"The run itself would be refused: {report.refused}", console=console)
    say(f"{report.before} cells done, {len(open_cells)} to do; nothing was written.", console=console)


def _write_json(target: str, report: RunReport) -> None:
    """Write the outcome as JSON: suite, counts, and an object per cell, with its record if it is finished."""
    from srbench.cli.output import write_json

    finished = {} if report.dry else {name: cell.record.model_dump() for name, cell in _wanted(report).items()}
    open_cells = {cell.directory for model in report.todo for cell in model.cells}
    value = {
        "suite": report.plan.suite.name,
        "budget": report.plan.suite.chosen_budget or None,
        "run_dir": str(report.run_dir),
        "dry_run": report.dry,
        "finished_before": report.before,
        "done": len(report.done),
        "failed": len(report.failed),
        "skipped": report.skipped,
        "cells": [
            {
                "key": cell.key,
                "model": cell.model,
                "scale": cell.scale,
                "seed": None if model.training is None else model.training.seed,
                "dataset": cell.data.name,
                "dataset_hash": cell.data.content_hash,
                "protocol": cell.shown_protocol,
                "state": _state(cell.directory, finished, open_cells, report.dry),
                "record": finished.get(cell.directory),
            }
            for model in report.plan.models
            for cell in model.cells
        ],
    }
    write_json(value, target)


def _state(name: str, finished: dict[str, Any], open_cells: set[str], dry: bool) -> str:
    if dry:
        return "to do" if name in open_cells else "ok"
    return str(finished[name]["status"]) if name in finished else "to do"
