"""The tree is as docs/architecture.md says: layers, files, sizes, names."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core" / "srbench"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def layers() -> list[list[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (contract for contract in contracts if contract["type"] == "layers")
    assert contract["exhaustive"]
    return [sorted(re.split(r" [|:] ", layer)) for layer in contract["layers"]]


def test_the_page_lists_the_layers_of_the_import_contract() -> None:
    first_cells = re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE)
    assert [sorted(re.findall(r"`(\w+)`", cell)) for cell in first_cells] == layers()


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:core|plugins)/[^`]+\.py)`", PAGE)
    assert len(named) >= 10
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_at_most_twelve_modules_stand_at_the_top() -> None:
    assert len(list(CORE.glob("*.py"))) <= 12


def test_no_module_is_longer_than_400_lines() -> None:
    files = [*CORE.rglob("*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    lines = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_no_module_name_has_two_meanings() -> None:
    """A command's module has the name of the command; `metric` is the metric of its package. Others occur once."""
    places = defaultdict(list)
    for file in CORE.rglob("*.py"):
        if file.name != "__init__.py" and file.parent.name != "cli":
            places[file.stem].append(str(file.relative_to(CORE)))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert set(twice) <= {"metric"}, twice
