"""Duplicates in a suite, and unknown models of its budgets: refused with their lines when the suite is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hostile import Call, listing, refused

HEAD = "name: s\nscale: 2\nmodels: [bicubic]\n"
IMAGES = HEAD + "datasets: [images]\n"

# Text of the suite, line of the second and of the first of two equal entries, how the first is spelled if otherwise.
DUPLICATES = {
    "data sets": (HEAD + "datasets:\n  - images\n  - embedded-test\n  - images\n", 7, 5, ""),
    "protocols": (IMAGES + "protocol:\n  - matlab-y\n  - truncate-y\n  - matlab-y\n", 8, 6, ""),
    "metrics": (IMAGES + "metrics:\n  - psnr_y\n  - psnr_y\n", 7, 6, ""),
    "a path with a dot": (HEAD + "datasets:\n  - images\n  - ./images\n", 6, 5, "images"),
    "a path with a slash at its end": (HEAD + "datasets:\n  - images/\n  - images\n", 6, 5, "images/"),
    "a path through its parent": (HEAD + "datasets:\n  - images\n  - images/../images\n", 6, 5, "images"),
    "an absolute path": (HEAD + "datasets:\n  - HERE/images\n  - images\n", 6, 5, "HERE/images"),
    "a link": (HEAD + "datasets:\n  - images\n  - link\n", 6, 5, "images"),
    "a list of images": (HEAD + "datasets:\n  - list.txt\n  - images/../list.txt\n", 6, 5, "list.txt"),
    "data sets of a budget": (
        IMAGES + "budgets:\n  small:\n    datasets:\n      - images\n      - ./images\n",
        9,
        8,
        "images",
    ),
}


@pytest.mark.parametrize(("text", "line", "earlier", "spelled"), DUPLICATES.values(), ids=DUPLICATES)
def test_duplicates_in_a_suite_are_refused_with_both_lines(
    text: str, line: int, earlier: int, spelled: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("images")
    (tmp_path / "list.txt").write_text("images/one.png\n")
    (tmp_path / "suite.yaml").write_text(text.replace("HERE", str(tmp_path)))
    before = listing(tmp_path)
    words = [f"suite.yaml, line {line}: ", f"is given at suite.yaml, line {earlier} already"]
    refused(
        call("run --suite suite.yaml"),
        *words,
        *([f"spelled '{spelled.replace('HERE', str(tmp_path))}'"] * bool(spelled)),
    )
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("edsr_tinny", ["unknown backbone 'edsr_tinny'", "did you mean 'edsr_tiny'?"]),
        ("edsr_tiny+pss", ["unknown method 'pss'", "did you mean 'ps'?"]),
        ("edsr_tiny+ps(ratoi=1/4)", ["'ratoi'", "did you mean 'ratio'?"]),
    ],
)
def test_a_budget_that_names_an_unknown_model_is_found_when_the_suite_is_read(
    model: str, words: list[str], call: Call, tmp_path: Path
) -> None:
    """The whole suite is asked for: nothing but reading it looks at the budget."""
    (tmp_path / "suite.yaml").write_text(
        IMAGES + f"budgets:\n  small:\n    models:\n      - bicubic\n      - {model}\n"
    )
    before = listing(tmp_path)
    refused(call("run --suite suite.yaml --dry-run"), "suite.yaml, line 9: ", *words)
    assert listing(tmp_path) == before


def test_entries_that_only_look_alike_are_no_duplicates(call: Call, tmp_path: Path) -> None:
    (tmp_path / "more" / "images").mkdir(parents=True)
    (tmp_path / "more" / "images" / "one.png").write_bytes((tmp_path / "images" / "one.png").read_bytes())
    (tmp_path / "suite.yaml").write_text(HEAD + "datasets: [images, more/images]\nprotocol: [matlab-y, ntire]\n")
    status, out, error = call("run --suite suite.yaml --dry-run")
    assert status == 0, error
    assert len(re.findall(r"to do", out)) >= 4
