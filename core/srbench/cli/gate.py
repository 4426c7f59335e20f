"""`srbench leaderboard gate`: fail if results have become worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.leaderboard.gate import Change

__all__ = ["gate"]

_HEADINGS = {
    "regression": "Worse by more than {drop:g}",
    "missing": "Missing",
    "improvement": "Better",
}


def gate(
    against: Annotated[
        str,
        typer.Option(
            help="Reference: a commit, branch or tag that contains DIR, or another folder.", metavar="REF|DIR"
        ),
    ],
    max_drop: Annotated[
        float, typer.Option(help="Largest allowed decline of a figure, in the metric's unit.", metavar="DROP")
    ],
    folder: Annotated[
        Path, typer.Argument(help="A run directory, a board, or a folder of boards.", metavar="DIR")
    ] = Path("leaderboards"),
    metric: Annotated[
        str | None, typer.Option(help="Metric to compare; by default, the one that ranks.", metavar="NAME")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Do not treat missing or failed rows as regressions.")
    ] = False,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Compare results with earlier ones, row by row, and exit with status 1 if a row is worse or missing.

    Example: `srbench leaderboard gate --against origin/main --max-drop 0.02`
    """
    from srbench.cli.output import check_json_target, write_json
    from srbench.errors import ConfigError, StoreError
    from srbench.leaderboard.gate import compare_figures, read_figures
    from srbench.leaderboard.git_results import earlier_results
    from srbench.untrusted import user_path

    if not (math.isfinite(max_drop) and max_drop >= 0):
        raise ConfigError(f"--max-drop is {max_drop}; it takes a number from 0, in the metric's unit, such as 0.02")
    folder = user_path(folder, "folder of results", StoreError)
    if json is not None:
        check_json_target(json, folder)
    after = read_figures(folder)
    if not after.rows:
        raise StoreError(f"'{folder}' holds no finished results; give a run's directory, a board, or a folder of them")
    with earlier_results(folder, against) as earlier:
        name = earlier.name
        before = read_figures(earlier.path) if earlier.path is not None else type(after)({}, {}, [])
    for where, figures in (("now", after), (f"at {name}", before)):
        _name_damaged(where, figures.damaged)
    changes = compare_figures(before, after, max_drop=max_drop, metric=metric, allow_missing=allow_missing)
    if json is not None:
        write_json(_as_json(changes, name, max_drop), json)
    if json != "-":
        _show(changes, name, max_drop)
    if any(change.verdict in ("regression", "missing") for change in changes):
        raise typer.Exit(1)


def _name_damaged(where: str, damaged: Sequence[str]) -> None:
    from srbench.untrusted import escaped

    for line in damaged:
        typer.echo(escaped(f"srbench: damaged {where}, left out: {line}"), err=True)


def _show(changes: Sequence[Change], name: str, max_drop: float) -> None:
    from srbench.cli.output import print_table
    from srbench.leaderboard.short_names import style
    from srbench.untrusted import escaped

    columns = ["board", "model", "tier", "scale", "data set", "protocol", "metric", "before", "now", "difference"]
    for verdict, heading in _HEADINGS.items():
        rows = []
        for change in (change for change in changes if change.verdict == verdict):
            row, digits = change.row, style(change.metric).fine + 1
            now = change.reason if change.after is None else f"{change.after:.{digits}f}"
            difference = "" if change.after is None or change.before is None else change.after - change.before
            rows.append([
                row.board or "-", row.model, row.tier, f"x{row.scale}", row.dataset, row.protocol, change.metric,
                f"{change.before:.{digits}f}", now, f"{difference:+.{digits}f}" if difference != "" else "",
            ])  # fmt: skip
        if rows:
            print_table(heading.format(drop=max_drop), columns, rows, left=7)
    counts = {verdict: sum(change.verdict == verdict for change in changes) for verdict in (*_HEADINGS, "new")}
    compared = sum(change.before is not None for change in changes)
    typer.echo(
        escaped(
            f"{compared} rows compared with {name}: {counts['regression']} worse by more than {max_drop:g}, "
            f"{counts['missing']} missing, {counts['improvement']} better, {counts['new']} new"
        )
    )
    if not compared:
        typer.echo("There is nothing to compare with: the earlier folder has no results.")


def _as_json(changes: Sequence[Change], name: str, max_drop: float) -> dict[str, Any]:
    rows = [
        {
            "board": change.row.board or None,
            "model": change.row.model,
            "tier": change.row.tier,
            "scale": change.row.scale,
            "dataset": change.row.dataset,
            "protocol": change.row.protocol,
            "metric": change.metric,
            "before": change.before,
            "after": change.after,
            "gain": None if change.before is None or change.after is None else change.gain,
            "verdict": change.verdict,
            "reason": change.reason or None,
        }
        for change in changes
    ]
    passed = not any(change.verdict in ("regression", "missing") for change in changes)
    return {"against": name, "max_drop": max_drop, "passed": passed, "rows": rows}
