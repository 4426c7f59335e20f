"""What commands print: a table for people, or JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["print_table", "write_json"]


def write_json(payload: dict[str, Any], target: str) -> None:
    """Write a result as JSON to a file, whole or not at all, or to standard output for `-`.

    JSON has no infinity and no NaN: they are written as the strings "inf", "-inf" and "nan".

    Raises:
        StoreError: If the file cannot be written.
    """
    text = json.dumps(_plain(payload), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    from srbench.storage import write_atomic

    write_atomic(Path(target), text.encode())


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """Print a table to standard output; the first `left` columns are words, the others numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # Piped into a file or a pager, a table keeps its width instead of folding at 80 columns.
    console = Console(width=None if sys.stdout.isatty() else 160, markup=False)
    console.print(table)
