"""`srbench new`: create the project of a plugin, with a working example, tests and a workflow."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["new"]


class Kind(enum.StrEnum):
    """Kinds of plugins."""

    METHOD = "method"
    BACKBONE = "backbone"
    METRIC = "metric"
    DATASET = "dataset"
    SUITE = "suite"


def new(
    kind: Annotated[Kind | None, typer.Argument(help=f"What to make: {', '.join(Kind)}.", metavar="KIND")] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Name of the plugin and its folder: lower-case letters, digits, underscores."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Parent of the new folder NAME; the current folder if not given.", metavar="DIR")
    ] = None,
    update: Annotated[
        Path | None,
        typer.Option(help="Merge changes of the template into an existing project.", metavar="PROJECT"),
    ] = None,
) -> None:
    """Create the project of a plugin: a distribution with a working example, tests and a workflow that runs them.

    Requires the extra `new`. The project can be installed and passes its tests without changes.

    Example: `srbench new method low_rank`

    Example: `srbench new --update low_rank`
    """
    from srbench.cli import scaffold
    from srbench.cli.output import output_folder, say
    from srbench.errors import ConfigError

    if update is not None:
        if kind is not None or name is not None or out is not None:
            raise ConfigError("--update takes a project and nothing else: srbench new --update PROJECT")
        project = output_folder(update) or update
        before, after = scaffold.update(project)
        if before == after:
            say(f"{project} has the newest template, {after}")
        else:
            say(f"{project}: template {before} -> {after}; look at `git diff`, and commit")
        return
    if kind is None or name is None:
        raise ConfigError("give a kind and a name: srbench new method low_rank; see `srbench new --help`")
    project = scaffold.create(kind.value, name, output_folder(out) or Path())
    say(f"made {project}; next:")
    say(f'    pip install -e "{project}[test]"')
    say(f"    python -m pytest {project}")
    typer.echo(f"    srbench plugins doctor srbench-{name.replace('_', '-')}")
