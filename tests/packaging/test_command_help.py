"""Every command explains itself with an example."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
import typer
from typer.testing import CliRunner

from srbench.cli.app import app


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command that does something, groups left out."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path
        return
    for name, child in sorted(children.items()):
        yield from commands(child, (*path, name))


ALL = list(commands(typer.main.get_command(app)))


def test_the_promised_commands_exist() -> None:
    first_words = {path[0] for path in ALL if path}
    assert {"run", "train", "eval", "list", "explain", "data", "cache", "leaderboard"} <= first_words


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_has_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], prog_name="srbench", terminal_width=200)
    assert result.exit_code == 0, result.output
    # Beside the usage line, which names the command too.
    uses = [line for line in result.output.splitlines() if f"srbench {path[0]}" in line and "Usage" not in line]
    assert uses, f"`srbench {' '.join(path)} --help` shows no example"


@pytest.mark.parametrize("path", ALL, ids=" ".join)
@pytest.mark.parametrize("width", [80, 120])
def test_help_is_shown_whole(path: tuple[str, ...], width: int) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], prog_name="srbench", terminal_width=width)
    assert "\u2026" not in result.output, "something was cut off"


def test_globs_in_help_keep_their_asterisks() -> None:
    for command, glob in (("list", '"*ps*"'), ("run", '"edsr*"')):
        output = CliRunner().invoke(app, [command, "--help"], prog_name="srbench", terminal_width=200).output
        options = output.partition("Arguments")[2] or output.partition("Options")[2]
        assert glob in options
