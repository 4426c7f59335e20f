"""`srbench list`: list what is installed from metadata; only `--table` imports plugins."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["list_"]


class Kind(enum.StrEnum):
    """Kinds that can be listed."""

    MODELS = "models"
    BACKBONES = "backbones"
    METHODS = "methods"
    DATASETS = "datasets"
    SUITES = "suites"
    PROTOCOLS = "protocols"
    METRICS = "metrics"
    WEIGHTS = "weights"


def list_(
    kind: Annotated[Kind, typer.Argument(help=f"What to list: {', '.join(Kind)}.", metavar="KIND")] = Kind.MODELS,
    pattern: Annotated[str, typer.Argument(help='A glob pattern such as `"*ps*"`.', metavar="PATTERN")] = "",
    table: Annotated[
        bool,
        typer.Option(
            "--table",
            help="Table of size, depth, filters, reconstruction and skips. Creates each model, which takes seconds.",
        ),
    ] = False,
    scale: Annotated[int, typer.Option(help="Scale for --table.", min=2, max=16)] = 4,
    check: Annotated[
        bool,
        typer.Option("--check", help="Of weights: compare what is published of them with what boards measured."),
    ] = False,
    boards: Annotated[
        Path | None,
        typer.Option(
            help="With --check: a board, a run's directory, or a folder of boards; `leaderboards` if not given.",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights of the model that PATTERN names: --table then counts the folded network.", metavar="FILE"
        ),
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """List models, backbones, methods, data sets, suites, metrics, weights, or protocols with their primary metrics.

    Example: `srbench list models "*ps*"`

    Example: `srbench list models --table --scale 2`

    Example: `srbench list weights --check --boards leaderboards`

    Example: `srbench list models edsr_tiny+dhp --table --scale 2 --weights pruned.safetensors`
    """
    if (check or boards is not None) and not (check and kind is Kind.WEIGHTS):
        from srbench.errors import ConfigError

        raise ConfigError("--check compares figures that are published of weights: srbench list weights --check")
    if weights is not None and not (table and pattern):
        from srbench.errors import ConfigError

        raise ConfigError(
            "--weights belongs to --table and to one model: srbench list models MODEL --table --weights FILE"
        )
    if table:
        _print_models(kind, pattern, scale, weights, json)
        return
    if kind is Kind.WEIGHTS:
        from srbench.cli.list_weights import check_weights, list_weights

        if check:
            check_weights(pattern, boards, json)
        else:
            list_weights(pattern, json)
        return
    names = _names(kind, pattern)
    if json is not None:
        from srbench.cli.output import write_json

        metrics = {"primary_metrics": _primary_metrics(names)} if kind is Kind.PROTOCOLS else {}
        write_json({"kind": kind.value, "pattern": pattern, "names": names, **metrics}, json)
        return
    if kind is Kind.PROTOCOLS:
        width = max(map(len, names), default=0)
        for name, metric in _primary_metrics(names).items():
            typer.echo(f"{name:<{width}}  {metric or ''}".rstrip())
    else:
        for name in names:
            typer.echo(name)
    if not names:
        from srbench.cli.output import say

        say(f"no {kind.value} match '{pattern}'" if pattern else f"no {kind.value} are installed", err=True)


def _names(kind: Kind, pattern: str) -> list[str]:
    from srbench import registry

    listing = {
        Kind.MODELS: registry.list_models,
        Kind.BACKBONES: registry.list_backbones,
        Kind.METHODS: registry.list_methods,
        Kind.DATASETS: registry.list_datasets,
        Kind.SUITES: registry.list_suites,
        Kind.METRICS: registry.list_metrics,
        Kind.PROTOCOLS: registry.list_protocols,
    }
    return listing[kind](pattern)


def _primary_metrics(names: list[str]) -> dict[str, str | None]:
    """Return the primary metric of each protocol, None if its plugin cannot be used."""
    from srbench.errors import SRBenchError
    from srbench.protocols import get_protocol

    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = get_protocol(name).primary_metric
        except SRBenchError:
            found[name] = None
    return found


def _print_models(kind: Kind, pattern: str, scale: int, weights: Path | None, json: str | None) -> None:
    """Print the table of models, or write it as JSON.

    Raises:
        ConfigError: The kind is neither models nor backbones.
    """
    import dataclasses

    from srbench.errors import ConfigError

    if kind not in (Kind.MODELS, Kind.BACKBONES):
        raise ConfigError(f"--table describes models or backbones; {kind.value} have no such table")
    names = _names(kind, pattern) if weights is None else []
    if not pattern:
        names = [name for name in names if "+" not in name and "." not in name]

    from srbench.cli.output import check_json_target, print_table, write_json

    if json is not None:
        check_json_target(json, weights)

    from srbench.models.summary_table import model_rows, trained_row

    rows = model_rows(names, scale) if weights is None else [trained_row(pattern, weights, scale)]
    if json is not None:
        write_json(
            {
                "kind": kind.value,
                "pattern": pattern,
                "scale": scale,
                "models": [dataclasses.asdict(row) for row in rows],
            },
            json,
        )
    if json == "-":
        return
    mark = {True: "yes", False: ""}
    cells = []
    for row in rows:
        counts = [f"{count:,}" for count in (row.parameters, row.deployed) if count is not None]
        about = row.architecture
        cells.append(
            [
                row.model,
                *(counts or ["-", "-"]),
                *(
                    ["", "", "", "", "", "", ""]
                    if about is None
                    else [
                        str(about.depth),
                        str(about.filters),
                        about.upsampling,
                        about.reconstruction,
                        mark[about.multi_scale],
                        mark[about.global_skip],
                        mark[about.local_skips],
                    ]
                ),
            ]
        )
    columns = ["parameters", f"at x{scale}", "depth", "filters", "upsampling", "reconstruction"]
    print_table(f"Models at x{scale}", ["model", *columns, "multi-scale", "global skip", "local skips"], cells)
    typer.echo(
        "parameters: each number once, biases too; of a multi-scale network those of its scales together. "
        "depth: layers on the longest path."
    )
    if not pattern:
        typer.echo('Models of a method have the same table: give a pattern, such as "edsr*".')
    if missing := [row for row in rows if row.absent]:
        typer.echo(
            f"{len(missing)} of {len(rows)} do not exist at x{scale}, e.g. {missing[0].model}: {missing[0].absent}"
        )
