"""The pages of the documentation and the blocks of code in them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
        *ROOT.glob("plugins/*/README.md"),
        *ROOT.glob("leaderboards/**/README.md"),
        *ROOT.glob(".github/**/*.md"),
    ]
)
_MARK = re.compile(r"<!-- (not run|file): (.*?) -->")
_COMMAND = re.compile(r"^(\$ )?((?:[A-Z_]+=\S+ )*)(srbench|pip|tox|python|git)( .*)$")
_PYTHON = re.compile(r"(?:from [\w.]+ import |import \w)")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: The page's path in the repository.
        line: Where it begins.
        language: What the fence says; of an indented block `python` where it begins with an import, else "".
        text: The code.
        reason: Why it is not run, as the comment before it says; "" if it is.
        file: The file that it shows, as the comment before it says; "" if it is none.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str = ""
    file: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    """Return the blocks of a page in order."""
    page = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    found: list[Block] = []
    marks: dict[str, str] = {}
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")):
        if token.type == "html_block":
            marks = {match[1]: match[2] for match in _MARK.finditer(token.content)}
        elif token.type in ("fence", "code_block"):
            language = token.info.strip() or ("python" if _PYTHON.match(token.content) else "")
            line = token.map[0] + 1 if token.map else 0
            found.append(Block(page, line, language, token.content, marks.get("not run", ""), marks.get("file", "")))
            marks = {}
        elif token.type.endswith("_open"):
            marks = {}
    return found


def all_blocks() -> list[Block]:
    """Return the blocks of all pages."""
    return [block for path in PAGES for block in blocks_of(path)]


def command_lines(block: Block) -> Iterator[tuple[str, str]]:
    """Yield program and arguments of the command lines of a block; what a command prints is left out."""
    lines = block.text.replace("\\\n", " ").splitlines()
    prompted = any(line.startswith("$ ") for line in lines)
    for line in lines:
        found = _COMMAND.match(re.sub(r"\s{2,}#.*", "", line))
        if found and (found[1] or not prompted):
            for part in re.split(r" && | \| (?=srbench|head|less)", found[3] + found[4]):
                program, _, rest = part.strip().partition(" ")
                yield program, rest


def lines_to_run(block: Block) -> list[str]:
    """Return the command lines of a block; none of a block that is marked as not run."""
    if block.language not in ("", "bash") or block.reason:
        return []
    return [f"{program} {rest}" for program, rest in command_lines(block)]


def python_of(path: Path) -> str:
    """Return the program that a page's blocks of Python are."""
    blocks = [one for one in blocks_of(path) if one.language == "python" and not one.reason and not one.file]
    return "\n".join(block.text for block in blocks)


def anchors_of(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings, and those written as HTML."""
    text = path.read_text(encoding="utf-8")
    found: set[str] = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            count = sum(1 for anchor in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", anchor))
            found.add(slug if not count else f"{slug}-{count}")
    return found


def links_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield target and anchor of the links and images of a page that lead into the repository."""
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")):
        for child in token.children or ():
            target = str(child.attrGet("href") or child.attrGet("src") or "")
            if target and not re.match(r"[a-z]+:", target):
                address, _, anchor = target.partition("#")
                yield address, anchor
