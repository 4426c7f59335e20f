"""The fixture of the tests of hostile input: a command, in a folder with images and a suite."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import Call, ended_in_time
from PIL import Image

from srbench.cli import main


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Return a function that runs a command in a folder with two images, and returns status, output and errors."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name in ("one", "two"):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "suite.yaml").write_text("name: s\nscale: 2\nmodels: [bicubic]\ndatasets: [images]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")

    def command(line: str | list[str]) -> tuple[int, str, str]:
        status: Any = 0
        with ended_in_time():
            try:
                main(shlex.split(line) if isinstance(line, str) else line)
            except SystemExit as end:
                status = end.code or 0
        said = capsys.readouterr()
        return status, said.out, said.err

    return command
