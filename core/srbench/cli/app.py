"""The `srbench` command: which commands there are."""

from __future__ import annotations

import typer

from srbench.cli import cache, data, figure, leaderboard, plugins, run
from srbench.cli import list as list_command
from srbench.cli.contributed import CommandGroup
from srbench.cli.eval import evaluate_command
from srbench.cli.explain import explain
from srbench.cli.train import train

app = typer.Typer(
    name="srbench",
    cls=CommandGroup,
    help="Benchmark image super-resolution: exact protocols, honest cost, replayable leaderboards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def root() -> None:
    """Benchmark image super-resolution: exact protocols, honest cost, replayable leaderboards."""


app.command("run")(run.run)
app.command("train")(train)
app.command("eval")(evaluate_command)
app.command("list")(list_command.list_)
app.command("explain")(explain)
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(figure.app, name="figure")
app.add_typer(plugins.app, name="plugins")
