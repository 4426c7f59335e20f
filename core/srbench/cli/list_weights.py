"""`srbench list weights`: published weights, and with `--check` the figures that are published of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from srbench.models.weight_sources import WeightSource
    from srbench.results.published_figures import Published
    from srbench.verification.published_check import PublishedCheck

__all__ = ["check_weights", "list_weights"]

DEFAULT_BOARDS = "leaderboards"


def list_weights(pattern: str, json: str | None) -> None:
    """Print a line for each file of weights, or write them as JSON."""
    from srbench.cache import Cache
    from srbench.cli.output import check_json_target, print_table, say, write_json
    from srbench.models.weight_sources import all_sources
    from srbench.registry import matching
    from srbench.runs.installed_figures import installed_published

    if json is not None:
        check_json_target(json)
    cache, published = Cache(), installed_published(strict=True)
    sources = all_sources()
    wanted = set(matching([source.model for source in sources], pattern))
    rows = [
        _row(source, cached=cache.has(source.sha256), published=published)
        for source in sources
        if source.model in wanted
    ]
    if json is not None:
        write_json({"kind": "weights", "pattern": pattern, "weights": rows}, json)
    if json == "-":
        return
    columns = ["weights", "scale", "bytes", "cached", "licence", "trained on", "figures", "url"]
    print_table(
        "Published weights",
        columns,
        [
            [
                row["model"],
                ", ".join(f"x{scale}" for scale in row["scales"]),
                f"{row['bytes']:,}",
                "yes" if row["cached"] else "no",
                row["licence"],
                row["trained_on"] or "not known here",
                str(len(row["published"])) if row["published"] else "not known here",
                row["url"],
            ]
            for row in rows
        ],
    )
    typer.echo(
        "figures: how many published figures are known here; `srbench list weights --check` compares them with those "
        "measured."
    )
    if not rows:
        say(f"no weights match '{pattern}'" if pattern else "no weights are installed", err=True)


def _row(source: WeightSource, *, cached: bool, published: Published) -> dict[str, Any]:
    figures = [figure for scale in source.scales for figure in published.figures_of(source.model, scale)]
    trainings = [published.training_of(source.model, scale) for scale in source.scales]
    training = next((facts for facts in trainings if facts is not None), None)
    return {
        "model": source.model,
        "scales": list(source.scales),
        "licence": source.licence,
        "paper": source.paper,
        "url": source.url,
        "sha256": source.sha256,
        "bytes": source.size,
        "cached": cached,
        "trained_on": training.data if training else None,
        "training": training.model_dump(exclude={"model", "scales"}) if training else None,
        "published": [figure.model_dump(exclude={"model"}) for figure in figures],
    }


def check_weights(pattern: str, boards: Path | None, json: str | None) -> None:
    """Compare published figures with those of boards, or of a run.

    Raises:
        ConfigError: There are no boards.
    """
    from srbench.cli.output import check_json_target, write_json
    from srbench.errors import ConfigError
    from srbench.registry import matching
    from srbench.runs.installed_figures import installed_published
    from srbench.untrusted import user_path
    from srbench.verification.published_check import check_published

    if boards is None:
        boards = Path(DEFAULT_BOARDS)
        if not boards.is_dir():
            raise ConfigError(
                f"there is no folder '{DEFAULT_BOARDS}' here to compare published figures with; give a board, a run's "
                "directory or a folder of boards with --boards"
            )
    folder = user_path(boards, "folder of boards", ConfigError)
    if json is not None:
        check_json_target(json, folder)
    published = installed_published(strict=True)
    check = check_published(folder, published, matching([figure.model for figure in published.figures], pattern))
    if json is not None:
        write_json(_checked_json(check, folder), json)
    if json != "-":
        _show(check)
    if check.silent:
        raise typer.Exit(1)


def _show(check: PublishedCheck) -> None:
    from srbench.cli.output import print_table

    rows: list[Sequence[str]] = [
        [
            one.figure.model,
            f"x{one.figure.scale} {one.figure.dataset}",
            one.protocol,
            one.metric.upper(),
            one.verdict,
            one.printed,
            f"{one.measured:.{one.places}f}",
            f"{one.value:+.{one.places}f}",
        ]
        for one in check.compared
    ]
    columns = ["weights", "measured on", "protocol", "metric", "verdict", "published", "measured", "difference"]
    print_table("Published and measured", columns, rows, left=5)
    unexplained = sum(one.cause.startswith("unexplained") for one in check.compared)
    agree = sum(one.agrees for one in check.compared)
    typer.echo(
        f"{len(check.compared)} published figures were measured: {agree} agree within 0.01 dB or 0.0002, "
        f"{len(check.compared) - agree - unexplained} differ for a known cause, {unexplained} unexplained."
    )
    if check.not_measured:
        typer.echo(f"{len(check.not_measured)} published figures were not measured on these boards.")
    if check.silent:
        typer.echo(
            f"srbench: {len(check.silent)} differences have no cause in `published.csv` of the plugin; state one "
            'there, or "unexplained: ..." with what was tried',
            err=True,
        )


def _checked_json(check: PublishedCheck, folder: Path) -> dict[str, Any]:
    return {
        "boards": str(folder),
        "compared": [
            {
                "model": one.figure.model,
                "scale": one.figure.scale,
                "dataset": one.figure.dataset,
                "protocol": one.protocol,
                "metric": one.metric,
                "published": one.printed,
                "measured": one.measured,
                "difference": one.value,
                "agrees": one.agrees,
                "cause": one.cause or None,
                "settings": one.figure.settings or None,
                "published_in": one.figure.source,
            }
            for one in check.compared
        ],
        "not_measured": [
            {"model": figure.model, "scale": figure.scale, "dataset": figure.dataset} for figure in check.not_measured
        ],
        "silent": len(check.silent),
    }
