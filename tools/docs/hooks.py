"""Hooks of mkdocs: pages that are made from the source, and files of the repository that pages link to.

Pages are plain Markdown whose links work on GitHub. A link that leaves docs/ leads on the site to a copy of its target.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import command_pages
import reference_pages
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]

# Path in the repository -> source address on the site. README.md of a folder would take the place of its index.html.
COPIED = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changes.md",
    "SECURITY.md": "project/security.md",
    "LICENSE": "project/licence.md",
    ".github/workflows/boards.yml": "project/boards-workflow.md",
    ".github/workflows/check-submission.yml": "project/check-submission.md",
    ".github/workflows/docs.yml": "project/docs-workflow.md",
    "leaderboards": "leaderboards/index.html",
    "leaderboards/README.md": "leaderboards/about.md",
    "leaderboards/reported/README.md": "leaderboards/reported/about.md",
    "docs/adr": "adr/index.md",
    "docs/schema": "reference/schema.md",
}
SITE = "SRBENCH_BOARDS_SITE"  # names the folder of `srbench leaderboard site`, if that is to be part of this site
BOARDS = ("leaderboards/index.html", "leaderboards/*/index.html", "leaderboards/*/leaderboard.*")
# A link or an image, and not one in code: `[text](target "title")`.
LINK = re.compile(r"(\]\()([^)\s]+)((?:\s+\"[^\"]*\")?\))")
CODE = re.compile(r"^```.*?^```$|^(?: {4}|\t)[^\n]*$|`+[^`]+`+", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\|.*\|$", re.MULTILINE)

_origins: dict[str, str] = {}  # source address -> path in the repository


def on_config(config: Any) -> Any:
    """Put the pages that are made into the navigation, below the entries that name their folders."""
    made = {**command_pages.pages(), **reference_pages.pages()}
    config["extra"]["made"] = made
    config["nav"] = [_filled(entry, made) for entry in config["nav"]]
    return config


def _filled(entry: Any, made: dict[str, str]) -> Any:
    """Replace an entry that ends in `/` by the pages of that folder, its index first."""
    if isinstance(entry, dict):
        ((title, below),) = entry.items()
        is_folder = isinstance(below, str) and below.endswith("/")
        return {title: _pages_of(below, made) if is_folder else _filled(below, made)}
    if isinstance(entry, list):
        return [_filled(one, made) for one in entry]
    return entry


def _pages_of(folder: str, made: dict[str, str]) -> list[str]:
    if folder == "adr/":
        return ["adr/index.md", *(f"adr/{path.name}" for path in sorted((ROOT / "docs" / "adr").glob("*.md")))]
    return [f"{folder}index.md", *(name for name in made if name.startswith(folder) and not name.endswith("/index.md"))]


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made, and what is copied from outside docs/."""
    for file in files:
        _origins[file.src_uri] = f"docs/{file.src_uri}"
    listed = {"adr/index.md": _decisions(), "leaderboards/boards.md": _boards()}
    for address, text in {**config["extra"].pop("made"), **listed}.items():
        _origins[address] = address if address.startswith("leaderboards/") else f"docs/{address}"
        files.append(File.generated(config, address, content=text))
    if folder := os.environ.get(SITE):
        for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            address = f"boards/{file.relative_to(folder).as_posix()}"
            files.append(File.generated(config, address, abs_src_path=str(file)))
    for path, address in _copied():
        _origins.setdefault(address, path)
        if address in files.src_uris:
            continue
        if address.endswith(".md") and not path.endswith(".md"):
            files.append(File.generated(config, address, content=_shown(path)))
        else:
            files.append(File.generated(config, address, abs_src_path=str(ROOT / path)))
    return files


def _copied() -> Iterator[tuple[str, str]]:
    """Yield path in the repository and source address of everything copied."""
    yield from ((path, address) for path, address in COPIED.items() if (ROOT / path).is_file())
    for pattern in BOARDS:
        for file in sorted(ROOT.glob(pattern)):
            path = file.relative_to(ROOT).as_posix()
            yield path, path
    for file in sorted(ROOT.glob("plugins/*/README.md")):
        yield file.relative_to(ROOT).as_posix(), f"plugins/{file.parent.name}.md"
    for file in sorted(ROOT.glob("leaderboards/reported/*.csv")):
        path = file.relative_to(ROOT).as_posix()
        yield path, path


def _shown(path: str) -> str:
    language = "yaml" if path.endswith(".yml") else "text"
    return f"# {posixpath.basename(path)}\n\n```{language}\n{(ROOT / path).read_text(encoding='utf-8')}```\n"


def _boards() -> str:
    lines = ["# Boards", "", "Every board is one page that needs no network, and the tables that it is made of.", ""]
    if os.environ.get(SITE):
        lines += ["[All boards as one site](../boards/index.html), with search, filters and a page for each model.", ""]
    lines += ["| board | table | data |", "|---|---|---|"]
    for file in sorted(ROOT.glob("leaderboards/*/results/run.json")):
        name = file.parent.parent.name
        title = json.loads(file.read_text(encoding="utf-8"))["title"].replace("|", "\\|")
        lines.append(
            f"| [{title}]({name}/index.html) | [Markdown]({name}/leaderboard.md) | [CSV]({name}/leaderboard.csv) |"
        )
    lines += ["", "[How boards are kept](README.md), [figures that papers report](reported/README.md), and",
              "[how ranks and intervals are made](../docs/leaderboards.md#uncertainty)."]  # fmt: skip
    return "\n".join([*lines, ""])


def _decisions() -> str:
    lines = ["# Decisions", "", "Decisions that had alternatives, each with what was not chosen and why.", ""]
    for file in sorted((ROOT / "docs" / "adr").glob("*.md")):
        title = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        lines.append(f"- [{title}]({file.name})")
    return "\n".join([*lines, ""])


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links to their targets on the site."""
    here = page.file.src_uri
    folder = posixpath.dirname(_origins[here])
    where = {path: address for address, path in _origins.items()} | COPIED

    def led(match: re.Match[str]) -> str:
        target, mark, anchor = match[2].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        if path not in where:
            return match[0]  # mkdocs says that it leads nowhere
        return f"{match[1]}{posixpath.relpath(where[path], posixpath.dirname(here) or '.')}{mark}{anchor}{match[3]}"

    # GitHub wants bars in a table escaped in code too, where Python-Markdown would show the backslash.
    markdown = ROW.sub(lambda row: re.sub(r"`[^`]+`", _with_bars, row[0]), markdown)
    parts, last = [], 0
    for code in CODE.finditer(markdown):
        parts += [LINK.sub(led, markdown[last : code.start()]), code[0]]
        last = code.end()
    return "".join([*parts, LINK.sub(led, markdown[last:])])


def _with_bars(code: re.Match[str]) -> str:
    return code[0].replace("\\|", "|")
