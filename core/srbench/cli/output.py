"""Output of commands: tables, and JSON to standard output or, atomically, to a file."""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from srbench.cli.result_stream import result_stream

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SCHEMA_VERSION", "check_json_target", "output_folder", "print_table", "printable", "say", "write_json"]

SCHEMA_VERSION = 1
_READER_SECONDS = 10.0  # until a program that reads a pipe has to have opened it
_BEGINNING = b'{\n  "schema_version"'  # in every file written by `write_json`


def output_folder(path: Path | None) -> Path | None:
    """Expand `~` in an output folder given by the user.

    Raises:
        StoreError: The name is invalid.
    """
    from srbench.errors import StoreError
    from srbench.untrusted import user_path

    return None if path is None else user_path(path, "folder to write", StoreError)


def write_json(value: Mapping[str, Any], target: str) -> None:
    """Write a result as JSON with a leading `schema_version` (docs/json.md lists the fields).

    JSON has no infinity and no NaN: they are written as the strings "inf", "-inf" and "nan".

    Args:
        value: The result.
        target: A file's path, or `-` for standard output.

    Raises:
        StoreError: The file cannot be written.
    """
    text = json.dumps({"schema_version": SCHEMA_VERSION, **_finite(value)}, indent=2, allow_nan=False) + "\n"
    if target == "-":
        typer.echo(text, nl=False, file=result_stream())
        return
    from srbench.storage import disk_errors, write_atomic

    check_json_target(target)
    path = Path(target)
    if path.exists() and not path.is_file():
        # A device or a pipe, such as /dev/stdout: it is written to, not replaced.
        with disk_errors(path), _opened(path) as stream:
            stream.write(text.encode())
        return
    write_atomic(path.resolve(), text.encode())  # follow a link instead of replacing it


def _opened(path: Path) -> BinaryIO:
    """Open a device or a pipe for writing; a pipe that nothing reads would block forever.

    Raises:
        StoreError: No program has opened the pipe for reading in time.
        OSError: It cannot be opened.
    """
    from srbench.errors import StoreError

    end = time.monotonic() + _READER_SECONDS
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > end:
                raise StoreError(f"--json '{path}' is a pipe that no program reads; give a file") from None
            time.sleep(0.1)
        else:
            os.set_blocking(descriptor, True)
            return os.fdopen(descriptor, "wb")


def check_json_target(target: str, *others: str | Path | None) -> None:
    """Refuse a `--json` target that cannot be written to, before any work; nothing is written.

    Args:
        target: A file's path, or `-`.
        others: Other files and folders that the command reads or writes; the target must not be one of them, nor a file
            in such a folder unless `--json` wrote it before.

    Raises:
        StoreError: It is a folder, cannot be written to, or is another file of the command.
    """
    from srbench.errors import StoreError
    from srbench.untrusted import user_path

    if target == "-":
        return
    path = user_path(target, "--json file", StoreError)
    for other in others:
        if other is not None and _is_part_of(path, Path(other)):
            raise StoreError(f"--json '{target}' is also another file of this command; give another file")
    try:
        path.resolve()
    except RuntimeError:
        raise StoreError(f"--json '{target}' is a link that leads to itself; give another file") from None
    if not target or path.is_dir():
        raise StoreError(
            f"--json takes a file, or - for standard output; '{target}' is {'a folder' if target else 'none'}"
        )
    if path.exists():
        if not os.access(path, os.W_OK):
            raise StoreError(f"--json '{target}' may not be written to; give another file, or - for standard output")
        return
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(
            f"--json '{target}' cannot be written: '{folder}' is "
            f"{'a folder that may not be written to' if folder.is_dir() else 'no folder'}; give another file"
        )


def _is_part_of(path: Path, other: Path) -> bool:
    """Return whether a file is one of a command's files, or is in one of its folders and not written by `--json`."""
    try:
        path, other = path.resolve(), other.resolve()
        if path == other or (path.exists() and other.exists() and path.samefile(other)):
            return True
        if not path.is_relative_to(other) or not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(_BEGINNING)) != _BEGINNING
    except (OSError, ValueError, RuntimeError):
        return False  # an invalid path: reading or writing it raises an error


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def printable(text: str, limit: int = 1000) -> str:
    """Return text with control characters escaped, except line breaks, and long lines cut in the middle.

    Args:
        text: One line or several.
        limit: Maximum length of a line.
    """
    from srbench.untrusted import escaped

    return "\n".join(escaped(line, limit) for line in text.split("\n"))


def say(text: str, *, err: bool = False, console: Console | None = None) -> None:
    """Print text that may contain file names or values of a record, so that no control characters reach a terminal.

    Args:
        text: One line or several.
        err: Print to standard error.
        console: Print to this console instead.
    """
    safe = printable(text, limit=4000)
    if console is not None:
        console.print(safe, markup=False)
    else:
        typer.echo(safe, err=err)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """Print a table to standard output; the first `left` columns are left-aligned, the others are numbers."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    table = Table()
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        # In a file or pager, a table is as wide as needed: names are not wrapped, and can be searched for.
        console.width = max(80, Measurement.get(console, console.options.update(max_width=10_000), table).maximum)
    console.print(printable(title), style="bold", soft_wrap=True)
    console.print(table)
