"""The tutorials lead to what they promise."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from documentation import ROOT, Block, blocks_of
from typer.testing import CliRunner

from srbench.cli.app import app

TUTORIALS = ROOT / "docs" / "tutorials"


def files_of(page: str) -> list[Block]:
    return [block for block in blocks_of(TUTORIALS / page) if block.file]


def lines_without_docstrings(text: str) -> list[str]:
    tree = ast.parse(text)
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            first = node.body[0]
            inside |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return [line for number, line in enumerate(text.splitlines(), 1) if line.strip() and number not in inside]


def test_the_method_has_at_most_50_lines() -> None:
    parts = [block.text for block in files_of("method.md") if "/src/" in block.file]
    assert len(parts) == 2
    assert sum(len(lines_without_docstrings(part)) for part in parts) <= 50


def test_the_method_conforms_in_the_project_that_the_template_makes(tmp_path: Path) -> None:
    pytest.importorskip("copier", reason="the extra `new` is absent")
    from srbench.cli import scaffold

    project = scaffold.create("method", "low_rank", tmp_path)
    for block in files_of("method.md"):
        file = tmp_path / block.file
        assert file.is_file(), f"the template makes no {block.file}"
        file.write_text(block.text, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if name != "PIP_BUILD_CONSTRAINT"}
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(tmp_path / "site")]
    made = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(project)], capture_output=True, text=True, env=env
    )
    assert made.returncode == 0, made.stderr
    env |= {"PYTHONPATH": str(tmp_path / "site")}
    for words in (
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "counted_by_hand", str(project)],
        ["-m", "srbench", "check", "edsr_tiny+low_rank", "--fast"],
    ):
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_suite_says_what_it_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = files_of("suite.md")
    Path(block.file).write_text(block.text, encoding="utf-8")
    words = ["run", "--suite", block.file, "--dry-run", "--json", "-", "--add", "edsr_tiny+dense"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    models = [cell["model"] for cell in json.loads(done.stdout)["cells"]]
    assert models == ["bicubic", "edsr_tiny", "edsr_tiny+recursive", "edsr_tiny+dense"]
