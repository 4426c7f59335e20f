"""SIGINT and SIGTERM: one sentence, no process and no temporary file is left, and the same command goes on."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.fault

SIGNALS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
@pytest.mark.parametrize("command", ["train", "run-1", "run-2"])
def test_a_signal_ends_a_command_in_a_sentence_and_the_same_command_goes_on(
    command: str, number: int, forge: Any, place: Path, tools: Any, seed: int
) -> None:
    draw = random.Random(seed)
    status, word = SIGNALS[signal.Signals(number)]

    def line(out: Path) -> tuple[str | Path, ...]:
        return tools.training(place, out) if command == "train" else tools.suite_run(place, out, int(command[-1]))

    def results(out: Path) -> dict[str, str]:
        return {str(path.relative_to(out)): tools.sha256(path) for path in out.rglob("weights.safetensors")}

    duration = forge.timed(*line(place / "whole"))
    ended_early = 0
    for attempt in range(3 if command == "run-2" else 8):
        out = place / f"out{attempt}"
        ended = forge.end(draw.uniform(0.05, 0.9) * duration, number, *line(out))
        if ended.status != 0:
            ended_early += 1
            tools.one_sentence(ended, status, word, "what was finished is kept")
            assert not tools.leftovers(out) if out.exists() else True, "temporary files are left"
        again = forge.run(*line(out))
        assert again.status == 0, again.said
        assert results(out) == results(place / "whole")
        assert not tools.leftovers(out)
    assert ended_early, "no signal came before the end: this showed nothing"
    print(f"{command}: {ended_early} ended by {signal.Signals(number).name}")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_a_signal_ends_the_building_of_a_page(number: int, forge: Any, place: Path, tools: Any, seed: int) -> None:
    draw = random.Random(seed)
    status, word = SIGNALS[signal.Signals(number)]
    assert forge.run(*tools.suite_run(place, place / "run")).status == 0
    line = ("leaderboard", "build", place / "run", "--out", place / "page")
    duration = forge.timed(*line)
    for _ in range(8):
        ended = forge.end(draw.uniform(0.05, 0.9) * duration, number, *line)
        if ended.status != 0:
            tools.one_sentence(ended, status, word)
        assert not tools.leftovers(place / "page")
    assert forge.run(*line).status == 0


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_a_signal_ends_a_submission_with_the_board_as_it_was(
    number: int, forge: Any, place: Path, tools: Any, seed: int
) -> None:
    draw = random.Random(seed)
    status, word = SIGNALS[signal.Signals(number)]
    checkout, run = tools.boards(forge, place)
    before = tools.seen(checkout / "leaderboards" / "faults")
    duration = forge.timed(*tools.submission(run, shutil.copytree(checkout, place / "whole")))
    after = tools.seen(place / "whole" / "leaderboards" / "faults")
    for attempt in range(8):
        out = shutil.copytree(checkout, place / f"out{attempt}")
        ended = forge.end(draw.uniform(0.05, 0.9) * duration, number, *tools.submission(run, out))
        if ended.status != 0:
            tools.one_sentence(ended, status, word)
        assert tools.seen(out / "leaderboards" / "faults") in (before, after)
        assert not tools.leftovers(out)
