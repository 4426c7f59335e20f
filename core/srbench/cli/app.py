"""The `srbench` command: which commands there are."""

from __future__ import annotations

import typer

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


def _register() -> None:
    from srbench.cli import cache, data
    from srbench.cli.eval import evaluate_command
    from srbench.cli.explain import explain

    app.command("eval")(evaluate_command)
    app.command()(explain)
    app.add_typer(data.app)
    app.add_typer(cache.app)


_register()
