"""A process with torch imported that forks `srbench` commands, small data for them, and a count of what was killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

PATIENCE = 60  # seconds until something that should happen is taken not to; a loaded machine is slow
TIMES = float(os.environ.get("SRBENCH_FAULT_TIMES", "1"))

_FORGE = """
import json, os, resource, signal, sys
import torch, pandas, pyarrow.parquet, pooch, requests, rich.progress, rich.table, jinja2
import srbench.cli.app, srbench.cli.progress, srbench.runs.runner, srbench.training.train, srbench.evaluation.evaluate
import srbench.training.session, srbench.training.basicsr_model, srbench.models.backbones.bicubic
import srbench.models.backbones.edsr, srbench.testing, srbench.leaderboard.publish, srbench.data.catalogue
import srbench.leaderboard.submission, srbench.runs.fingerprint, srbench.leaderboard.site.build, srbench.verification
import srbench.results.packing, srbench.runs.row_replay, srbench.cli.check_board, srbench.cli.replay
import srbench.data.folders, srbench.cost.counts, srbench.metrics.resources, srbench.models.weight_sources
from srbench.cli import main
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        _, status = os.waitpid(order["wait"], 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        continue
    child = os.fork()
    if child == 0:
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)
        with open(order["log"], "ab", buffering=0) as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        os.setpgid(0, 0)
        os.environ["SRBENCH_CACHE"] = order["cache"]
        os.environ["TMPDIR"] = order["cache"] + "-tmp"  # tempfile chooses its folder at its first use
        try:
            os.makedirs(os.environ["TMPDIR"], exist_ok=True)
        except OSError:  # that disk is read-only
            os.environ["TMPDIR"] = os.path.dirname(order["log"])
        # A background job of a shell may ignore it, and hand that down to here.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            if order["args"][0] == "fetch":  # no command downloads from a place of one's choice
                from srbench.cache import Cache
                url, digest, size = order["args"][1:]
                main_of = lambda: Cache().fetch(url, digest, "file", int(size))
            else:
                main_of = lambda: main(order["args"])
            main_of()
            os._exit(0)
        except SystemExit as end:
            sys.stdout.flush(); sys.stderr.flush()
            os._exit(end.code or 0)
        except BaseException:
            import traceback
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)
    print(child, flush=True)
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status, negative for a signal, and what it printed."""

    status: int
    said: str

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


def _living(group: int) -> bool:
    """Say whether a process group has a member that is no zombie: these wait for a parent that is not ours."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


class Forge:
    """Start `srbench` commands as real processes that need no time to import anything."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.count = 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", _FORGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def _ask(self, order: dict[str, Any]) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def start(self, *args: str | Path, cache: Path | None = None) -> tuple[int, Path]:
        """Start a command, and return its process, the first of its group, and the file of what it says."""
        self.count += 1
        log = self.folder / f"log-{self.count}"
        log.touch()  # a command may be killed before it opens it
        order = {"args": list(map(str, args)), "log": str(log), "cache": str(cache or self.cache)}
        return self._ask(order), log

    def wait(self, started: tuple[int, Path]) -> Ended:
        """Wait for a command, and see that no process of its group outlives it."""
        process, log = started
        status = self._ask({"wait": process})
        end = time.monotonic() + PATIENCE
        while True:
            try:
                os.killpg(process, 0)
            except ProcessLookupError:
                break
            if not _living(process):
                break
            assert time.monotonic() < end, f"children of process {process} outlived it"
            time.sleep(0.002)
        said = log.read_text(encoding="utf-8", errors="replace")
        log.unlink()
        return Ended(status, said)

    def run(self, *args: str | Path, cache: Path | None = None) -> Ended:
        return self.wait(self.start(*args, cache=cache))

    def end(self, seconds: float, number: int, *args: str | Path, cache: Path | None = None) -> Ended:
        """Start a command and send it a signal a while later: not reaped before `wait`, its number is its own."""
        started = self.start(*args, cache=cache)
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(started[0], number)
        return self.wait(started)

    def timed(self, *args: str | Path, cache: Path | None = None) -> float:
        """Run a command to its end, which must be a good one, and return its seconds."""
        start = time.monotonic()
        ended = self.run(*args, cache=cache)
        assert ended.status == 0, ended.said
        return time.monotonic() - start

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=5 * PATIENCE)


@pytest.fixture(scope="session")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    forge = Forge(tmp_path_factory.mktemp("forge"))
    try:
        yield forge
    finally:
        forge.close()


class Disk:
    """A disk of a size, in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, size: int, *, writable: bool = True) -> None:
        options = f"remount,{'rw' if writable else 'ro'},size={max(size, 4096)}"
        subprocess.run(["mount", "-o", options, str(self.path)], check=True, capture_output=True)

    def clear(self) -> None:
        for path in self.path.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount(8)")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(path)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk of its own may be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


KILLS: Counter[str] = Counter()


@pytest.fixture(scope="session", autouse=True)
def counted() -> Iterator[None]:
    """Print how many processes were killed, by command."""
    yield
    each = ", ".join(f"{what} {count}" for what, count in KILLS.items())
    print(f"\nfaults: {sum(KILLS.values()):,} SIGKILLs ({each})")


@pytest.fixture
def kills() -> Counter[str]:
    return KILLS


def wanted(count: int) -> int:
    """Return how many kills a test makes, scaled by SRBENCH_FAULT_TIMES."""
    return max(1, round(count * TIMES))


@pytest.fixture
def many() -> Callable[[int], int]:
    return wanted


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with images to train and test on, a recipe and a suite."""
    for folder, count in (("train", 2), ("test0", 1), ("test1", 1)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            rng = np.random.default_rng(len(folder) * 7 + number)
            coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((32, 24), Image.Resampling.BICUBIC)
            picture.save(tmp_path / folder / f"{number}{folder}.png")
    (tmp_path / "recipe.yaml").write_text("{iterations: 30, batch_size: 1, gt_size: 16, checkpoint_every: 2}\n")
    (tmp_path / "suite.yaml").write_text(
        "name: faults\nscale: 2\nmodels: [bicubic, edsr_tiny]\ndatasets: [test0, test1]\n"
        "protocol: [matlab-y, truncate-y]\n"
        "train: {data: train, iterations: 4, batch_size: 1, gt_size: 16, checkpoint_every: 1}\n"
    )
    return tmp_path


@pytest.fixture(scope="session")
def measured(forge: Forge, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of leaderboards with one board, `small`: really trained and measured, with weights and page.

    Nothing made up would pass `srbench leaderboard check`.
    """
    folder = tmp_path_factory.mktemp("measured")
    (folder / "small.yaml").write_text(
        "{name: small, scale: 2, models: [bicubic, edsr_tiny], datasets: [embedded-test], protocol: matlab-y, "
        "train: {data: embedded-train, iterations: 4, batch_size: 1, gt_size: 16, checkpoint_every: 2}}\n"
    )
    board = folder / "leaderboards" / "small"
    for line in (
        ("run", "--suite", folder / "small.yaml", "--no-page", "--out", board / "results"),
        ("leaderboard", "build", board / "results", "--out", board),
    ):
        ended = forge.run(*line)
        assert ended.status == 0, ended.said
    return folder / "leaderboards"


def training(place: Path, out: Path | str) -> tuple[str | Path, ...]:
    """Return the command line of a training of a second or so."""
    return (
        "train", "edsr_tiny", "--scale", "2", "--data", place / "train", "--recipe", place / "recipe.yaml",
        "--out", out,
    )  # fmt: skip


def suite_run(place: Path, out: Path | str, jobs: int = 1) -> tuple[str | Path, ...]:
    """Return the command line of a run of eight cells and a training."""
    return ("run", "--suite", place / "suite.yaml", "--jobs", str(jobs), "--no-page", "--out", out)


def boards(forge: Forge, place: Path) -> tuple[Path, Path]:
    """Return a checkout with a board of two of a run's cells, and the run, which has six more."""
    assert forge.run(*suite_run(place, place / "run")).status == 0
    first = forge.run("leaderboard", "submit", place / "run", "--models", "bicubic", "--out", place / "checkout")
    assert first.status == 0, first.said
    return place / "checkout", place / "run"


def submission(run: Path, checkout: Path) -> tuple[str | Path, ...]:
    """Return the command line that adds a run to a board."""
    return ("leaderboard", "submit", run, "--into", checkout)


def seen(folder: Path) -> dict[str, str]:
    """Return the hashes of a folder's files, but those that begin with a dot or are in such a folder."""
    return {
        str(path.relative_to(folder)): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.name.startswith((".tmp-", ".download-"))]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def one_sentence(ended: Ended, status: int, *words: str) -> None:
    """Check that a command ended with a status, and that the last it said is one sentence of ours."""
    assert ended.status == status, ended.said
    assert "Traceback" not in ended.said, ended.said
    last = ended.said.rstrip("\n").split("\n")[-1]
    assert last.startswith("srbench: "), ended.said
    for word in words:
        assert word in last, ended.said


@pytest.fixture
def tools() -> Any:
    """Return this file's functions: test files that are imported by path cannot import one another."""
    import types

    return types.SimpleNamespace(
        training=training, suite_run=suite_run, leftovers=leftovers, sha256=sha256, one_sentence=one_sentence,
        boards=boards, submission=submission, seen=seen,
    )  # fmt: skip
