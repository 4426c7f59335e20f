"""Guides say each thing once: where both sides of a merge were kept, lines nearly repeat each other."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
# Tables of boards are made by the program.
GUIDES = [name for name in LISTED.splitlines() if not name.startswith("leaderboards/") or name.count("/") == 1]
NEAR = 14  # lines within which a repetition is looked for
ALIKE = 0.6  # share of the shorter line's sequences of three words


def sections(text: str) -> Iterator[list[str]]:
    """Yield the lines of each section, without code."""
    fenced, lines = False, list[str]()
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        if line.startswith("#") and not fenced:
            yield lines
            lines = []
        code = fenced or line.startswith(("    ", "```", "!["))
        lines.append("" if code else line)
    yield lines


def sequences(line: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[\w.`-]+", line.lower())
    return set(zip(words, words[1:], words[2:], strict=False)) if len(words) > 6 else set()


def repetitions(text: str) -> list[tuple[str, str]]:
    """Return pairs of lines of one section of which one nearly repeats the other; in tables, rows for one thing."""
    found = []
    for lines in sections(text):
        known = [(at, line, sequences(line)) for at, line in enumerate(lines) if line]
        pairs = ((first, second) for at, first in enumerate(known) for second in known[at + 1 : at + 1 + NEAR])
        for (at, line, one), (other_at, other_line, other) in pairs:
            row, other_row = (one_line.split(" | ") for one_line in (line, other_line))
            if other_at - at > NEAR or line.startswith("|") != other_line.startswith("|"):
                continue
            alike = bool(one and other) and len(one & other) >= ALIKE * min(len(one), len(other))
            if line.startswith("| "):
                same = row[0] == other_row[0] and row[0].strip("| ") != ""
                alike = same and len(row) == len(other_row) and (alike or len(row) == 2)
            if alike:
                found.append((line, other_line))
    return found


@pytest.mark.parametrize("name", GUIDES)
def test_no_line_repeats_another_one_of_its_section(name: str) -> None:
    assert repetitions((ROOT / name).read_text()) == []


def test_repetitions_are_found() -> None:
    line = "Without an option no weights are loaded"
    text = f"# A\n\n{line}, except for masks.\n{line}, unless it has masks.\n"
    rows = "| a | b |\n|---|---|\n| `x` | one |\n| `x` | another |\n"
    assert len(repetitions(text)) == 1
    assert len(repetitions(rows)) == 1
    assert repetitions(text.replace("masks.\n", "masks.\n# B\n", 1)) == []
