"""Tables that commands print."""

from __future__ import annotations

import pytest

from srbench.cli.output import print_table

NAME = "drrn_b1u9+ps(ratio=1/9,shape=CxCx1x1)[x]:smile:." + "a" * 200


@pytest.mark.parametrize("columns", ["40", "80", "120"])
def test_in_a_pipe_names_stay_whole_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_table(f"of {NAME}", ["name", "count"], [[NAME, "1"]])
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == f"of {NAME}"
    assert [line for line in lines if NAME in line]


def test_on_a_narrow_terminal_names_are_folded_and_lose_no_character(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    print_table("", ["name", "count"], [[NAME, "1"]])
    lines = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert "".join(lines) == NAME
