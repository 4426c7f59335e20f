"""The README keeps what it promises of its plugin; tests/docs runs its code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(name: str) -> list[str]:
    found = BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))
    assert found, f"{name} holds no ```python block"
    return found


def test_plugin_of_the_readme_has_at_most_30_lines() -> None:
    (plugin,) = (block for block in blocks("README.md") if "register_method" in block)
    assert len(plugin.splitlines()) <= 30
