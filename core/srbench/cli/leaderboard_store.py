"""`srbench leaderboard pack`, `unpack` and `schema`: how results are kept."""

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
    """What has a schema."""

    RECORD = "record"
    RUN = "run"


def pack(
    run_dir: RunDir,
    out: Annotated[Path, typer.Option(help="The folder of the packed board.", metavar="DIR")],
    add: Annotated[
        bool, typer.Option("--add", help="Add to the board that is there; of two for the same thing the later is kept.")
    ] = False,
) -> None:
    """Write results as two tables, one of records and one of per-image values, instead of a directory per cell.

    Everything that reads a run directory reads a packed board. Damaged cells are named and left out.

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
    out: Annotated[Path, typer.Option(help="The run directory to write; it must not be there yet.", metavar="DIR")],
) -> None:
    """Make a run directory of a packed board, which `srbench run` can continue.

    Example: `srbench leaderboard unpack leaderboards/efficient-x2/results --out runs/efficient-x2`
    """
    from srbench.cli.output import output_folder
    from srbench.results import packing

    target = output_folder(out)
    assert target is not None  # a required option
    _report(packing.unpack(board, target), "unpacked")


def schema(
    what: Annotated[What, typer.Argument(help="record or run.", metavar="[WHAT]")] = What.RECORD,
) -> None:
    """Print the JSON Schema of a cell's record, or of run.json.

    Example: `srbench leaderboard schema record`
    """
    from srbench.results.json_schema import schema_text

    typer.echo(schema_text(what.value), nl=False)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (pack, unpack, schema):
        app.command()(command)


def _report(done: Packed, how: str) -> None:
    from srbench.untrusted import escaped

    for name, reason in sorted(done.damaged.items()):
        typer.echo(f"srbench: {escaped(f'left out: {name}: {reason}')}", err=True)
    typer.echo(f"{done.path}: {done.cells} cells {how}")
