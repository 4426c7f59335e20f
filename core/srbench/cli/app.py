"""The `srbench` command: which commands there are."""

from __future__ import annotations

import typer

from srbench.cli import leaderboard

app = typer.Typer(
    name="srbench",
    help="Benchmark image super-resolution: exact protocols, honest cost, replayable leaderboards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def root() -> None:
    """Benchmark image super-resolution: exact protocols, honest cost, replayable leaderboards."""


app.add_typer(leaderboard.app, name="leaderboard")
