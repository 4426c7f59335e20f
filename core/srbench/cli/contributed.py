"""Commands of plugins: listed without importing the plugins, imported when called."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from srbench.errors import DuplicateNameError, PluginError, UnknownNameError
from srbench.registry import entry_points as plugins
from srbench.registry.extras import extra_for

__all__ = ["CommandGroup", "FigureGroup", "source_help"]


class Contributed(TyperCommand):
    """Placeholder for a plugin's command until it is called."""

    def __init__(self, name: str, items: tuple[plugins.Contribution, ...]) -> None:
        super().__init__(name)
        self.items = items

    def describe(self) -> None:
        """Fill in the help line for listings from the plugin's source."""
        self.help = source_help(self.items[0].value) or f"(contributed by {self.items[0].distribution})"

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Import the command and delegate to it.

        Raises:
            DuplicateNameError: Two distributions claim the name.
            PluginError: The plugin cannot be used, or its object is not a command.
        """
        return self._command().make_context(info_name, args, parent, **extra)

    def _command(self) -> Any:
        item = self.items[0]
        if len(self.items) > 1:
            owners = " and ".join(f"{item.distribution} ({item.value})" for item in self.items)
            raise DuplicateNameError(
                f"{item.kind[:-1]} '{item.name}' is claimed by {owners}; write '{item.qualified}' for the first, or "
                "uninstall one of them"
            )
        target = plugins.load(item)
        if isinstance(target, typer.Typer):
            return typer.main.get_command(target)
        if not callable(target):
            raise PluginError(
                f"{item.kind[:-1]} '{item.name}' of {item.distribution} is {type(target).__name__}, neither a function "
                "nor a typer.Typer; report it to the plugin's authors"
            )
        return _command_of(target, item.name)


def _command_of(function: Callable[..., Any], name: str) -> Any:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    app.command(name)(function)
    return typer.main.get_command(app)


class _ContributedGroup(TyperGroup):
    """A group of commands, followed by those of plugins, which cannot replace built-in names."""

    kind: ClassVar[str]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Built-in commands, whose names plugins cannot take.
        self.own = frozenset(self.commands)
        for name in sorted(plugins.contributions()[self.kind]):
            if name not in self.commands and (items := plugins.claims(self.kind, name)):
                self.commands[name] = Contributed(name, items)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, with the help lines of plugins' commands filled in."""
        for command in self.commands.values():
            if isinstance(command, Contributed):
                command.describe()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command.

        Raises:
            UnknownNameError: It belongs to a plugin that is not installed.
        """
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found
        if ":" in cmd_name and (items := plugins.claims(self.kind, cmd_name)):
            return Contributed(cmd_name, items)
        noun = self.kind[:-1]
        if item := plugins.left_out(self.kind, cmd_name):
            raise UnknownNameError(
                f"{noun} '{cmd_name}' comes with {item.distribution}, which SRBENCH_PLUGINS leaves out; change or "
                "unset that variable"
            )
        if extra := extra_for(self.kind, cmd_name):
            raise UnknownNameError(
                f"{noun} '{cmd_name}' is not installed; it comes with an extra: pip install \"sr-bench[{extra}]\""
            )
        return None


class CommandGroup(_ContributedGroup):
    """`srbench` itself: group `srbench.commands`."""

    kind = "commands"

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command.

        Raises:
            UnknownNameError: It belongs to a plugin that is not installed, or it is a subcommand.
        """
        found = super().get_command(ctx, cmd_name)
        if found is None:
            below = [group for group in self.own if cmd_name in getattr(self.commands[group], "commands", {})]
            if below:
                meant = " or ".join(f"`srbench {group} {cmd_name}`" for group in sorted(below))
                raise UnknownNameError(f"no such command '{cmd_name}'; did you mean {meant}?")
        return found


class FigureGroup(_ContributedGroup):
    """`srbench figure`: group `srbench.figures`."""

    kind = "figures"


def source_help(value: str) -> str:
    """Return the first line of a command's docstring, read from its source; "" if it cannot be found.

    Nothing is imported, since a plugin may be slow to import or broken, which must not affect `srbench --help`.

    Args:
        value: `package.module:name`, where `name` is a function with a docstring or `typer.Typer(help=...)`.
    """
    module, _, name = value.partition(":")
    try:
        path = _source_file(module)
        tree = ast.parse(path.read_bytes()) if path is not None else ast.Module([], [])
    except (OSError, SyntaxError, ValueError, ImportError):
        return ""
    for node in tree.body:
        text: str | None = None
        if isinstance(node, ast.FunctionDef) and node.name == name:
            text = ast.get_docstring(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and name in _targets(node):
            text = _help_argument(node.value)
        if text:
            return text.strip().splitlines()[0]
    return ""


def _source_file(module: str) -> Path | None:
    """Find a module's file without importing its parent packages, as `find_spec` alone would."""
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    name = top
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _help_argument(value: ast.expr | None) -> str | None:
    for keyword in value.keywords if isinstance(value, ast.Call) else ():
        if keyword.arg == "help" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
            return keyword.value.value
    return None
