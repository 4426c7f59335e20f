"""Reference pages of the commands, from the same declarations as `srbench COMMAND --help`. Imports no torch."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from srbench.cli.app import app

FOLDER = "reference/commands"
PLACEHOLDERS = {bool: "", int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}


def pages() -> dict[str, str]:
    """Return source address -> Markdown: a page for each command, and one that lists them."""
    found: dict[str, str] = {}
    lines = ["# Commands", "", "What `srbench COMMAND --help` shows, for every command.", ""]
    lines += ["| command | does |", "|---|---|"]
    for name, command in sorted(typer.main.get_command(app).commands.items()):  # type: ignore[attr-defined]
        owner, command = _loaded(command)
        summary = _cell((command.help or "").strip().splitlines()[0])
        lines.append(f"| [`srbench {name}`]({name}.md) | {summary} |")
        body = [f"# srbench {name}", ""]
        if owner != "sr-bench":
            body += [f"A command of the distribution `{owner}`.", ""]
        body += _described(command, ("srbench", name), 2)
        found[f"{FOLDER}/{name}.md"] = "\n".join(body) + "\n"
    found[f"{FOLDER}/index.md"] = "\n".join([*lines, ""])
    return found


def _loaded(command: Any) -> tuple[str, Any]:
    """Return whose command it is, and the command itself; a plugin's is imported."""
    if hasattr(command, "items"):
        return command.items[0].distribution.split()[0], command._command()
    return "sr-bench", command


def _described(command: Any, path: tuple[str, ...], level: int) -> Iterator[str]:
    children = getattr(command, "commands", None)
    text, examples = _split_help(command.help or "")
    yield from (text, "")
    parameters = [parameter for parameter in command.params if parameter.name != "help" and not _hidden(parameter)]
    if children is None or parameters:
        yield from ("```text", _usage(command, path, parameters), "```", "")
    if examples:
        yield from ("Example:" if len(examples) == 1 else "Examples:", "", "```bash", *examples, "```", "")
    yield from _table("argument", [parameter for parameter in parameters if not _is_option(parameter)])
    yield from _table("option", [parameter for parameter in parameters if _is_option(parameter)])
    for name, child in sorted((children or {}).items()):
        owner, child = _loaded(child)
        yield from (f"{'#' * level} {' '.join((*path, name))}", "")
        if owner != "sr-bench":
            yield from (f"Of the distribution `{owner}`.", "")
        yield from _described(child, (*path, name), level + 1)


def _split_help(text: str) -> tuple[str, list[str]]:
    """Return the description, and the command lines of its paragraphs `Example: ...`."""
    kept, examples = [], []
    for paragraph in text.split("\n\n"):
        plain = " ".join(paragraph.split())
        if plain.startswith("Example: `") and plain.endswith("`"):
            examples.append(plain.removeprefix("Example: `").removesuffix("`"))
        else:
            kept.append(paragraph.strip("\n"))
    return "\n\n".join(kept), examples


def _usage(command: Any, path: tuple[str, ...], parameters: list[Any]) -> str:
    words = list(path)
    if any(_is_option(parameter) for parameter in parameters):
        words.append("[OPTIONS]")
    for parameter in parameters:
        if not _is_option(parameter):
            word = _placeholder(parameter)
            if not word.startswith("["):
                word += "..." if parameter.nargs == -1 and not word.endswith("...") else ""
                word = word if parameter.required else f"[{word}]"
            words.append(word)
    if getattr(command, "commands", None):
        words.append("COMMAND ...")
    return " ".join(words)


def _table(kind: str, parameters: list[Any]) -> Iterator[str]:
    if not parameters:
        return
    yield from (f"| {kind} | default | meaning |", "|---|---|---|")
    for parameter in parameters:
        yield f"| {_names(parameter)} | {_default(parameter)} | {_cell(parameter.help or '')} |"
    yield ""


def _names(parameter: Any) -> str:
    if not _is_option(parameter):
        return f"`{_placeholder(parameter)}`"
    value = "" if _annotation(parameter) is bool else _placeholder(parameter)
    names = [*parameter.opts, *parameter.secondary_opts]
    return ", ".join(f"`{name} {value}`".replace(" `", "`").replace("|", "\\|") for name in names)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or value == () or callable(value):
        return ""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    return "" if value in ("", True) else f"`{value}`"


def _placeholder(parameter: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    if not _is_option(parameter):
        return str(parameter.name).upper()
    annotation = _annotation(parameter)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "|".join(str(member.value) for member in annotation)
    return PLACEHOLDERS.get(annotation, "VALUE")


def _annotation(parameter: Any) -> Any:
    return parameter.type_descriptor.annotation


def _is_option(parameter: Any) -> bool:
    return str(parameter.opts[0]).startswith("-")


def _hidden(parameter: Any) -> bool:
    return bool(getattr(parameter, "hidden", False))


def _cell(text: str) -> str:
    """Return a text as a cell of a table: one line, with the bars that are in it escaped."""
    return " ".join(text.split()).replace("|", "\\|")
