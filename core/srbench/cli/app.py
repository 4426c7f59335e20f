"""The `srbench` command with its subcommands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import typer

from srbench.cli import cache, data, figure, leaderboard, plugins, run
from srbench.cli import list as list_command
from srbench.cli.audit import audit
from srbench.cli.board_latency import latency
from srbench.cli.check import check
from srbench.cli.check_board import check_board_command
from srbench.cli.compare import compare
from srbench.cli.contributed import CommandGroup
from srbench.cli.cost import cost
from srbench.cli.diagnose import diagnose
from srbench.cli.eval import evaluate_command
from srbench.cli.explain import explain
from srbench.cli.export import export
from srbench.cli.gate import gate
from srbench.cli.new import new
from srbench.cli.replay import replay_command
from srbench.cli.submit import submit
from srbench.cli.train import train
from srbench.errors import ConfigError

# typer exports only subclasses of this class.
_UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])


class _Commands(CommandGroup):
    """Report errors in the command line in one sentence, like all other input errors."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the options before the command's name."""
        return _in_a_sentence(super().make_context, *args, **kwargs)

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the command's arguments, and run it."""
        return _in_a_sentence(super().invoke, *args, **kwargs)


def _in_a_sentence(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return call(*args, **kwargs)
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.ctx.get_help())  # type: ignore[attr-defined]
            raise typer.Exit from None  # a group without a subcommand shows its help
        context, message = getattr(error, "ctx", None), str(getattr(error, "format_message", error.__str__)())
        says = " ".join(message.replace("Value error, ", "").replace(". Did you mean", "; did you mean").split())
        command = context.command_path if context is not None else "srbench"
        says = says if says.endswith("?") else f"{says.rstrip('.')};"
        raise ConfigError(f"{says[:1].lower()}{says[1:]} see `{command} --help`") from None


app = typer.Typer(
    name="srbench",
    cls=_Commands,
    help="Benchmark image super-resolution: exact protocols, honest cost, replayable leaderboards.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def root(context: typer.Context) -> None:
    """Benchmark image super-resolution: exact protocols, honest cost, replayable leaderboards."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("run")(run.run)
app.command("train")(train)
app.command("eval")(evaluate_command)
app.command("cost")(cost)
app.command("diagnose")(diagnose)
app.command("audit")(audit)
app.command("check")(check)
app.command("compare")(compare)
app.command("replay")(replay_command)
app.command("list")(list_command.list_)
app.command("explain")(explain)
app.command("export")(export)
app.command("new")(new)
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")
leaderboard.app.command("submit")(submit)
leaderboard.app.command("gate")(gate)
leaderboard.app.command("check")(check_board_command)
leaderboard.app.command("latency")(latency)
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(figure.app, name="figure")
app.add_typer(plugins.app, name="plugins")
