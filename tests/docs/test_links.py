"""Links between pages lead somewhere on GitHub: to a file that is there and a heading that it has."""

from __future__ import annotations

from pathlib import Path

import pytest
from documentation import PAGES, ROOT, anchors_of, links_of


def broken_links(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere, each with what is wrong."""
    found = []
    for address, anchor in links_of(page):
        target = (page.parent / address).resolve() if address else page
        if not target.exists():
            found.append(f"{address}: no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors_of(target):
            found.append(f"{address}#{anchor}: no such heading")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# It's a *heading*, `with.code`\n\n# Twice\n\n# Twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#its-a-heading-withcode) [c](there.md#twice-1) [d](https://elsewhere.example)\n\n"
        "[e](absent.md) [f](there.md#absent) ![g](absent.png)\n\n    [in code](absent.md)\n"
    )
    assert broken_links(page) == [
        "absent.md: no such file",
        "there.md#absent: no such heading",
        "absent.png: no such file",
    ]
