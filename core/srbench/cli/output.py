"""How commands write JSON: to a file, whole or not at all, or to the screen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

__all__ = ["SCHEMA_VERSION", "write_json"]

SCHEMA_VERSION = 1


def write_json(value: Mapping[str, Any], target: str) -> None:
    """Write a result as JSON, with `schema_version` in front (docs/json.md lists the fields).

    Args:
        value: The result.
        target: A file's path, or `-` for standard output.

    Raises:
        StoreError: The file cannot be written.
    """
    text = json.dumps({"schema_version": SCHEMA_VERSION, **value}, indent=2, allow_nan=False) + "\n"
    if target == "-":
        typer.echo(text, nl=False)
        return
    from srbench.storage import write_atomic

    write_atomic(Path(target), text.encode())
