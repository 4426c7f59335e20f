"""What commands print: tables for people; JSON, to a file, whole or not at all, or to the screen."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

__all__ = ["SCHEMA_VERSION", "print_table", "write_json"]

SCHEMA_VERSION = 1


def write_json(value: Mapping[str, Any], target: str) -> None:
    """Write a result as JSON, with `schema_version` in front (docs/json.md lists the fields).

    JSON has no infinity and no NaN: they are written as the strings "inf", "-inf" and "nan".

    Args:
        value: The result.
        target: A file's path, or `-` for standard output.

    Raises:
        StoreError: The file cannot be written.
    """
    text = json.dumps({"schema_version": SCHEMA_VERSION, **_finite(value)}, indent=2, allow_nan=False) + "\n"
    if target == "-":
        typer.echo(text, nl=False)
        return
    from srbench.storage import write_atomic

    write_atomic(Path(target), text.encode())


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """Print a table to standard output; the first `left` columns are words, the others numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False)
    if not console.is_terminal:
        # In a file or a pager, a table keeps its width instead of folding at 80 columns.
        console.width = 160
    console.print(title, style="bold")
    console.print(table)
