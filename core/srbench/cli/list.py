"""`srbench list`: what is installed, read from metadata, without importing any of it."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

__all__ = ["list_"]


class Kind(enum.StrEnum):
    """What can be listed."""

    MODELS = "models"
    BACKBONES = "backbones"
    METHODS = "methods"
    DATASETS = "datasets"
    SUITES = "suites"
    PROTOCOLS = "protocols"
    METRICS = "metrics"


def list_(
    kind: Annotated[Kind, typer.Argument(help=f"What to list: {', '.join(Kind)}.", metavar="KIND")] = Kind.MODELS,
    pattern: Annotated[str, typer.Argument(help='A glob pattern such as `"*ps*"`.', metavar="PATTERN")] = "",
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """List models, backbones, methods, data sets, suites, protocols or metrics.

    Example: `srbench list models "*ps*"`
    """
    names = _names(kind, pattern)
    if json is not None:
        from srbench.cli.output import write_json

        write_json({"kind": kind.value, "pattern": pattern, "names": names}, json)
        return
    for name in names:
        typer.echo(name)
    if not names:
        typer.echo(f"no {kind.value} match '{pattern}'" if pattern else f"no {kind.value} are installed", err=True)


def _names(kind: Kind, pattern: str) -> list[str]:
    from srbench import registry

    if kind is Kind.PROTOCOLS:
        from srbench.protocols import list_protocols

        return registry.matching(list_protocols(), pattern)
    listing = {
        Kind.MODELS: registry.list_models,
        Kind.BACKBONES: registry.list_backbones,
        Kind.METHODS: registry.list_methods,
        Kind.DATASETS: registry.list_datasets,
        Kind.SUITES: registry.list_suites,
        Kind.METRICS: registry.list_metrics,
    }
    return listing[kind](pattern)
