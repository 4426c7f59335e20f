"""`srbench compare`: compare two models of a run image by image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.leaderboard.pair import Comparison

__all__ = ["compare"]

BY_ITSELF = (
    "This compares two models by themselves: each interval holds at 95% for its own line. The ranks of `srbench "
    "leaderboard show` compare all models of a tier at once, and separate fewer."
)


def compare(
    first: Annotated[
        str, typer.Argument(help="A model of the run, by its short or full name.", metavar="A", show_default=False)
    ],
    second: Annotated[str, typer.Argument(help="The model to compare it with.", metavar="B", show_default=False)],
    run: Annotated[Path, typer.Option(help="A directory that `srbench run` wrote.", metavar="DIR")],
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Show how much better or worse one model of a run is than another, with the 95% interval of this pair.

    Example: `srbench compare edsr_tiny "edsr_tiny+ps(ratio=1/4)" --run runs/quickstart`
    """
    from srbench.cli.output import check_json_target, print_table, write_json
    from srbench.leaderboard import pair

    if json is not None:
        check_json_target(json, run)
    found = pair.compare(run, first, second)
    if json is not None:
        write_json({"comparisons": [_row(one) for one in found]}, json)
    if json == "-":
        return
    title = f"{found[0].first.label} minus {found[0].second.label}"
    columns = ["scale", "protocol", "data set", "images", "difference [95%]", "the first is"]
    print_table(title, columns, [_cells(one) for one in found], left=3)
    typer.echo(BY_ITSELF)


def _row(one: Comparison) -> dict[str, Any]:
    low, high = (None if math.isnan(end) else end for end in (one.difference.low, one.difference.high))
    return {
        "scale": one.board.scale,
        "protocol": one.board.protocol,
        "dataset": one.dataset or None,
        "images": one.images,
        "metric": one.metric,
        "first": one.first.record.model,
        "second": one.second.record.model,
        "first_tier": one.first.record.tier,
        "second_tier": one.second.record.tier,
        "difference": one.difference.mean,
        "low": low,
        "high": high,
        "verdict": one.verdict,
    }


def _cells(one: Comparison) -> list[str]:
    style, difference = one.board.first, one.difference
    text = f"{difference.mean:+.{style.fine}f} {style.unit}".rstrip()
    if not math.isnan(difference.low):
        text += f" [{difference.low:+.{style.fine}f}, {difference.high:+.{style.fine}f}]"
    where = [f"x{one.board.scale}", one.board.protocol, one.dataset or "mean over data sets", str(one.images)]
    return [*where, text, one.verdict]
