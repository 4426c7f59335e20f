"""`srbench data leaks`: find test images in a training set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset
    from srbench.data.leaks import Leak

__all__ = ["leaks"]


def leaks(
    train: Annotated[
        str, typer.Argument(help="Training images: name of a data set, a folder, or a list.", metavar="TRAIN")
    ],
    tests: Annotated[list[str], typer.Argument(help="Test images: names or folders.", metavar="TEST")],
    fail: Annotated[bool, typer.Option("--fail", help="Exit with status 1 if leaks are found.")] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Also record leaks in leaks.json of this folder of results, to mark affected rows.", metavar="DIR"
        ),
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Find test images, or parts of them, in a training set.

    This finds equal images, also flipped or rotated; resized or compressed versions; parts with equal pixels at any
    offset; and compressed parts. Results of comparisons are cached.

    Example: `srbench data leaks embedded-train embedded-test`

    Example: `srbench data leaks t91-bsds200.txt Set5 Set14 BSD100 --fail --json leaks.json`
    """
    import sys
    from dataclasses import asdict

    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress, TaskID

    from srbench.cli.output import check_json_target, output_folder, print_table, printable, say, write_json
    from srbench.data.datasets import open_dataset
    from srbench.data.leaks import find_leaks
    from srbench.errors import ConfigError
    from srbench.results.leak_records import LEAKS_FILE, read_leaks, record_leaks

    record = output_folder(record)
    if json is not None:
        check_json_target(json, train, *tests, *(() if record is None else (record / LEAKS_FILE,)))
    if record is not None:
        if not record.is_dir():
            raise ConfigError(f"--record takes an existing folder of results; '{record}' is not a folder")
        read_leaks(record)  # refuse a damaged file before the work
    training = open_dataset(train)
    compared: list[tuple[Dataset, list[Leak]]] = []
    for name in tests:
        dataset = open_dataset(name)
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task(escape(printable(f"comparing {training.name} with {dataset.name}")), total=None)

            def advance(step: str, done: int, total: int, bar: Progress = bar, task: TaskID = task) -> None:
                bar.update(task, description=escape(printable(step)), completed=done, total=total)

            compared.append((dataset, find_leaks(training, dataset, advance)))
    if record is not None:
        for dataset, found in compared:
            record_leaks(record, _record(training, dataset, found))
    if json is not None:
        write_json(
            {
                "train": training.name,
                "train_hash": training.content_hash(),
                "train_images": len(training.image_names()),
                "tests": [
                    {
                        "test": dataset.name,
                        "test_hash": dataset.content_hash(),
                        "test_images": len(dataset.image_names()),
                        "leaked_images": len({leak.test for leak in found}),
                        "leaks": [asdict(leak) for leak in found],
                    }
                    for dataset, found in compared
                ],
            },
            json,
        )
    if json != "-":
        for dataset, found in compared:
            if found:
                print_table(
                    f"Images of {dataset.name} in {training.name}",
                    [
                        "test image",
                        "training image",
                        "found",
                        "region in the test image",
                        "in the training image",
                        "score",
                    ],
                    [_row(leak) for leak in found],
                    left=5,
                )
            count = len({leak.test for leak in found})
            say(
                f"{count} of {len(dataset.image_names())} images of {dataset.name} are in {training.name} "
                f"({len(training.image_names())} images), wholly or in part"
            )
    if fail and any(found for _, found in compared):
        raise typer.Exit(1)


def _row(leak: Leak) -> list[str]:
    kind = f"{leak.kind}, {leak.orientation}" if leak.orientation else leak.kind
    whole = leak.kind in ("exact", "near")
    boxes = ["all", "all"] if whole else [_box(leak.test_box), _box(leak.train_box)]
    return [leak.test, leak.train, kind, *boxes, f"{leak.score:.3f}"]


def _box(box: tuple[int, int, int, int]) -> str:
    top, left, bottom, right = box
    return f"rows {top}-{bottom}, columns {left}-{right}"


def _record(training: Dataset, dataset: Dataset, found: list[Leak]) -> Any:
    from dataclasses import asdict

    from srbench import __version__
    from srbench.results.leak_records import LeakedImage, LeakRecord
    from srbench.results.records import now

    return LeakRecord(
        train=training.name,
        train_hash=training.content_hash(),
        train_images=len(training.image_names()),
        test=dataset.name,
        test_hash=dataset.content_hash(),
        test_images=len(dataset.image_names()),
        leaks=[LeakedImage(**asdict(leak)) for leak in found],
        srbench=__version__,
        date=now(),
    )
