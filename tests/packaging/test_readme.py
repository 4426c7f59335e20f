"""The README's code is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(name: str) -> list[str]:
    found = BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))
    assert found, f"{name} holds no ```python block"
    return found


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "snippet.py"
    file.write_text(program, encoding="utf-8")
    return subprocess.run([sys.executable, str(file)], check=False, capture_output=True, text=True, cwd=folder)


def test_plugin_of_the_readme_has_at_most_30_lines() -> None:
    (plugin,) = (block for block in blocks("README.md") if "register_method" in block)
    assert len(plugin.splitlines()) <= 30


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/plugins.md"])
def test_code_of_the_documentation_runs(name: str, tmp_path: Path) -> None:
    # The blocks of one page are one program, in order.
    done = run("\n".join(blocks(name)), tmp_path)
    assert done.returncode == 0, done.stderr


def test_links_inside_the_repository_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    ]
    assert [f"{page.name}: {target}" for page, target in links if not (page.parent / target).exists()] == []
