"""Two processes at once, and a clock that is set back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from srbench.results.records import Record, RunInfo
from srbench.results.store import RunStore

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("command", ["train", "run"])
def test_two_commands_in_one_folder(command: str, forge: Any, place: Path, tools: Any) -> None:
    """One works, the other is refused in a sentence or finds the work done; the result is that of one alone."""

    def line(out: Path) -> tuple[str | Path, ...]:
        return tools.training(place, out) if command == "train" else tools.suite_run(place, out)

    def weights(out: Path) -> dict[str, str]:
        return {str(path.relative_to(out)): tools.sha256(path) for path in out.rglob("weights.safetensors")}

    assert forge.run(*line(place / "whole")).status == 0
    refused = 0
    for attempt in range(6):
        out = place / f"out{attempt}"
        started = [forge.start(*line(out)) for _ in range(2)]
        ended = [forge.wait(one) for one in started]
        assert 0 in [one.status for one in ended], [one.said for one in ended]
        for one in ended:
            if one.status:
                refused += 1
                tools.one_sentence(one, 2, "in use")
        assert weights(out) == weights(place / "whole")
        assert not tools.leftovers(out)
    assert refused, "the two never met: this showed nothing"


def test_two_submissions_to_one_checkout(forge: Any, place: Path, tools: Any) -> None:
    """Each adds its rows, or is refused in a sentence and adds them when it is run again: none is lost."""
    assert forge.run(*tools.suite_run(place, place / "run")).status == 0
    refused = 0
    for attempt in range(6):
        checkout = place / f"checkout{attempt}"
        (checkout / "leaderboards").mkdir(parents=True)
        lines = [(*tools.submission(place / "run", checkout), "--models", glob) for glob in ("bicubic", "edsr*")]
        ended = [forge.wait(one) for one in [forge.start(*line) for line in lines]]
        for line, one in zip(lines, ended, strict=True):
            if one.status:
                refused += 1
                tools.one_sentence(one, 2, "in use")
                again = forge.run(*line)
                assert again.status == 0, again.said
        assert len(RunStore(checkout / "leaderboards" / "faults" / "results").cells()) == 8
        assert sorted(path.name for path in (checkout / "leaderboards").iterdir()) == ["faults", "index.html"]
    assert refused, "the two never met: this showed little"


def test_two_processes_that_fill_one_cache(forge: Any, tmp_path: Path, shared: Path, tools: Any) -> None:
    images = shared / "data" / "benchmark" / "Set5" / "HR"
    for attempt in range(6):
        cache = tmp_path / f"cache{attempt}"
        started = [forge.start("cache", "add", images, cache=cache) for _ in range(3)]
        for one in started:
            ended = forge.wait(one)
            assert ended.status == 0, ended.said
        files = [path for path in (cache / "objects").glob("*/*") if path.is_file()]
        assert len(files) == 5
        assert all(tools.sha256(path) == path.name for path in files)
        assert not tools.leftovers(cache)


def record(key: str, created: str, status: str = "ok") -> Record:
    return Record(
        key=key * 64, status=status, model="bicubic", backbone="bicubic", scale=2, scales=[2], dataset="images",
        dataset_hash="0", images=1, protocol="matlab-y", protocol_digest="0", tier="reproduced",
        metrics={"psnr_y": 30.0} if status == "ok" else {}, error=None if status == "ok" else "it failed",
        created=created,
    )  # fmt: skip


def test_of_two_cells_the_one_written_last_counts_whatever_the_clock_says(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run")
    table = pd.DataFrame({"image": ["one"], "psnr_y": [30.0]})
    with store.lock():
        store.begin(RunInfo(suite="s", srbench="0", created="2026-01-01T00:00:00+00:00"))
        store.write(record("a", "2030-01-01T00:00:00+00:00"), table)
        store.write(record("b", "2020-01-01T00:00:00+00:00", "failed"))
        (latest,) = store.cells()
        assert (latest.record.key[0], latest.record.status) == ("b", "failed"), "the failure came after the success"
        assert latest.record.created == "2030-01-01T00:00:01+00:00"
        store.write(record("c", "2010-01-01T00:00:00+00:00"), table)
        (latest,) = store.cells()
        assert latest.record.key[0] == "c"
        assert len(list(store.cells_path.iterdir())) == 1, "what it supersedes is gone"
