"""Messages are one printable line, whatever the input holds; patterns that are no globs; no command at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hostile import BICUBIC, Call, listing, refused, run_folder, sealed


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "\u202eabc", "\x07", "a\r\nb"])
def test_line_breaks_and_control_characters_are_escaped_in_messages(text: str, call: Call, tmp_path: Path) -> None:
    before = listing(tmp_path)
    for arguments in (
        ["audit", text, "--scale", "2"],
        ["eval", "bicubic", "--scale", "2", "--data", text, "--protocol", "matlab-y"],
        ["eval", "bicubic", "--scale", "2", "--data", "images", "--protocol", text],
        ["run", "--suite", text],
        ["explain", text],
        [text],
        ["leaderboard", "show", text],
        ["cache", "add", text],
    ):
        refused(call(arguments))
    assert listing(tmp_path) == before


def test_control_characters_of_names_reach_no_terminal(call: Call, tmp_path: Path) -> None:
    (tmp_path / "images" / "one.png").rename(tmp_path / "images" / "\x1b[31mone\x07.png")
    status, out, error = call(BICUBIC)
    assert status == 0, error
    assert "\x1b" not in out + error
    run, cell = run_folder(tmp_path)
    record = json.loads((cell / "record.json").read_text())
    record |= {"model": "a\x1b[2Jb", "dataset": "\x07images", "status": "failed", "error": "\x1b]0;title\x07"}
    (cell / "record.json").write_text(json.dumps(record))
    sealed(cell)
    status, out, error = call(f"leaderboard show {run}")
    assert status == 0, error
    assert "\x1b" not in out + error
    assert "\x07" not in out + error


@pytest.mark.parametrize("glob", ["[", "a[", "[!"])
def test_a_pattern_that_is_no_glob_says_so(glob: str, call: Call) -> None:
    refused(call(["list", "models", glob]), "pattern")


def test_no_command_shows_the_help(call: Call) -> None:
    status, out, _ = call([])
    assert status == 0
    assert "Usage" in out
