"""`srbench leaderboard pack`, `unpack` and `schema`: storage of results."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from srbench.results.packing import Packed

__all__ = ["add_to"]

RunDir = Annotated[
    Path, typer.Argument(help="A directory that `srbench run` wrote.", metavar="RUN_DIR", show_default=False)
]


class What(enum.StrEnum):
    """Files with a schema."""

    RECORD = "record"
    RUN = "run"


def pack(
    run_dir: RunDir,
    out: Annotated[Path, typer.Option(help="The folder of the packed board.", metavar="DIR")],
    add: Annotated[
        bool, typer.Option("--add", help="Add to an existing board; later results replace earlier ones.")
    ] = False,
) -> None:
    """Write results as two tables, of records and of per-image values, instead of a directory per cell.

    All commands that read a run directory can read a packed board. Damaged cells are listed and left out.

    Example: `srbench leaderboard pack runs/efficient-x2 --out leaderboards/efficient-x2/results`
    """
    from srbench.cli.output import output_folder
    from srbench.results import packing

    target = output_folder(out)
    assert target is not None  # a required option
    _report(packing.add(run_dir, target) if add else packing.pack(run_dir, target), "packed")


def unpack(
    board: Annotated[
        Path,
        typer.Argument(help="A folder that `srbench leaderboard pack` wrote.", metavar="BOARD", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="The run directory to write; it must not exist yet.", metavar="DIR")],
) -> None:
    """Convert a packed board to a run directory, which `srbench run` can continue.

    Example: `srbench leaderboard unpack leaderboards/efficient-x2/results --out runs/efficient-x2`
    """
    from srbench.cli.output import output_folder
    from srbench.results import packing

    target = output_folder(out)
    assert target is not None  # a required option
    _report(packing.unpack(board, target), "unpacked")


def schema(
    what: Annotated[What, typer.Argument(help="record or run.", metavar="WHAT")] = What.RECORD,
) -> None:
    """Print the JSON Schema of a cell's record, or of run.json.

    Example: `srbench leaderboard schema record`
    """
    from srbench.results.json_schema import schema_text

    typer.echo(schema_text(what.value), nl=False)


def add_to(app: typer.Typer) -> None:
    """Add the commands to an app."""
    for command in (pack, unpack, schema):
        app.command()(command)


def _report(done: Packed, how: str) -> None:
    from srbench.cli.output import say

    for name, reason in sorted(done.damaged.items()):
        say(f"srbench: left out: {name}: {reason}", err=True)
    say(f"{done.path}: {done.cells} cells {how}")
