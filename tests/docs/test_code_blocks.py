"""Every block of code in the documentation is run, or checked as far as it can be without data, weights and hours.

Python blocks of a page are one program, which is run. Suites are read as suites. Command lines are parsed by the
command that they call; those of the tutorials are run (test_tutorial_commands.py). A block that cannot be run says why
in a comment before it, `<!-- not run: REASON -->`; of Python, it is compiled.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from documentation import PAGES, ROOT, Block, all_blocks, blocks_of, command_lines, lines_to_run, python_of
from packaging.requirements import Requirement

from srbench.cli.app import app

BLOCKS = all_blocks()
LANGUAGES = {"", "bash", "python", "text", "toml", "yaml"}


def is_run(block: Block) -> bool:
    return block.language == "python" and not block.reason and not block.file


def test_languages_are_known() -> None:
    assert {block.language for block in BLOCKS} <= LANGUAGES


# Where the installed torchvision is for another torch, `import timm` fails by itself (srbench.compat.torchvision).
TORCHVISION = """
from srbench.compat.torchvision import load_torchvision
load_torchvision("timm")
"""
# At the end of a page's program, which has registered what the page makes.
CALL = """
from srbench.cli import main
for words in {words!r}:
    try:
        main(words)
    except SystemExit as end:
        if end.code:
            raise
"""
QUICK = ("data", "eval", "list")


def quick_commands(page: Path) -> list[list[str]]:
    """Return the command lines of a tutorial that take a second, offline; test_tutorial_commands.py runs all."""
    if page.parent.name != "tutorials":
        return []
    lines = [shlex.split(line) for block in blocks_of(page) for line in lines_to_run(block)]
    return [words for program, *words in lines if program == "srbench" and words[0] in QUICK]


PROGRAMS = [page for page in PAGES if any(map(is_run, blocks_of(page)))]


@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_of_a_page_runs(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = python_of(page)
    if ".author" in text:  # published weights, which tests do not download
        request.getfixturevalue("filled_cache")
    if re.search(r"^import .*\btimm\b", text, re.MULTILINE):
        if importlib.util.find_spec("timm") is None:
            pytest.skip("the extra `timm` is absent")
        text = TORCHVISION + text
    program = tmp_path / "program.py"
    program.write_text(text + CALL.format(words=quick_commands(page)), encoding="utf-8")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "python" and not is_run(one)], ids=str)
def test_python_that_is_not_run_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "toml"], ids=str)
def test_toml_can_be_read(block: Block) -> None:
    tomllib.loads(block.text)


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "yaml"], ids=str)
def test_yaml_can_be_read(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


def is_suite(block: Block) -> bool:
    return block.text.startswith("name: ") and "\nmodels:" in block.text


@pytest.mark.parametrize("block", [one for one in BLOCKS if is_suite(one)], ids=str)
def test_suites_can_be_run(block: Block, tmp_path: Path) -> None:
    from srbench.suite.definition import load_suite

    file = tmp_path / f"{yaml.safe_load(block.text)['name']}.yaml"
    file.write_text(block.text, encoding="utf-8")
    suite = load_suite(file)
    assert suite.models
    for budget in suite.budgets:
        suite.at_budget(budget)


CALLS = [
    (block, program, rest)
    for block in BLOCKS
    if block.language in ("", "bash")
    for program, rest in command_lines(block)
]  # fmt: skip


def calls_of(program: str) -> list[Any]:
    return [
        pytest.param(rest, id=f"{block}-{number}")
        for number, (block, called, rest) in enumerate(CALLS)
        if called == program
    ]


def command_at(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words call, and the words that are left for it."""
    command: Any = typer.main.get_command(app)
    taken = 0
    while (children := getattr(command, "commands", None)) and taken < len(words) and not words[taken].startswith("-"):
        assert words[taken] in children, f"there is no srbench {' '.join(words[: taken + 1])}"
        command = children[words[taken]]
        taken += 1
    return (command._command() if hasattr(command, "items") else command), words[taken:]


def is_synopsis(line: str) -> bool:
    """Return whether a line says what can be written instead of being written itself: `[--out DIR]`, `A|B`, `...`."""
    return bool(re.search(r"(?:^|\s)\[|\w\||\| |\.\.\.|…", re.sub(r"\"[^\"]*\"", "", line)))


@pytest.mark.parametrize("line", calls_of("srbench"))
def test_srbench_understands_the_command(line: str) -> None:
    if is_synopsis(line):
        first = re.split(r" \[| \||\.\.\.", line)[0]
        command, _ = command_at([word for word in shlex.split(first) if re.match(r"[a-z-]", word)])
        known = {text for parameter in command.params for text in (*parameter.opts, *parameter.secondary_opts)}
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", line)) <= known
        return
    command, rest = command_at(shlex.split(line))
    if "--help" in rest:
        return
    # Parses and checks what the command is given, and does not call it.
    command.make_context(line, rest)


@pytest.mark.parametrize("line", calls_of("tox"))
def test_tox_has_the_environments(line: str) -> None:
    known = set(re.findall(r"^\[testenv:(\w+)\]", (ROOT / "tox.ini").read_text(), re.MULTILINE))
    assert {name for names in re.findall(r"-e ([\w,]+)", line) for name in names.split(",")} <= known


@pytest.mark.parametrize("line", calls_of("python"))
def test_python_scripts_are_there(line: str) -> None:
    first, *rest = shlex.split(line)
    assert (ROOT / first).is_file() or (first == "-m" and rest[0] in ("pytest", "mypy", "srbench"))


@pytest.mark.parametrize("line", calls_of("pip"))
def test_extras_that_pip_installs_are_there(line: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in shlex.split(line):
        if word.startswith("sr-bench["):
            assert Requirement(word).extras <= set(extras)


def test_quick_commands_of_tutorials_are_found() -> None:
    found = {page.name: [words[0] for words in commands] for page in PROGRAMS if (commands := quick_commands(page))}
    assert found == {"dataset.md": ["eval", "data", "data"], "metric.md": ["eval"], "weights.md": ["eval"]}


def test_most_kinds_of_commands_are_found() -> None:
    """Otherwise the tests above would pass because nothing is looked at."""
    called = {rest.split()[0] for _, program, rest in CALLS if program == "srbench"}
    assert {"audit", "check", "cost", "data", "eval", "export", "figure", "leaderboard", "run", "train"} <= called
