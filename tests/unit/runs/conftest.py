"""Small suites on folders of small images, and a way to run the command often without importing torch each time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def make_images(folder: Path, count: int, *, side: int = 40, seed: int = 0) -> Path:
    """Write smooth random images, so that a network could learn something of them."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for index in range(count):
        coarse = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((side, side - 4), Image.Resampling.BICUBIC)
        picture.save(folder / f"image{index}.png")
    return folder


@pytest.fixture(scope="session")
def write_images() -> Callable[..., Path]:
    """Return `make_images`, for fixtures that live longer than a test."""
    return make_images


@pytest.fixture
def suite_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a suite of small folders beside it: `train` to train on, `test0`, `test1`, ..."""

    def write(
        *,
        models: tuple[str, ...] = ("bicubic", "edsr_tiny"),
        tests: int = 2,
        images: int = 1,
        iterations: int = 4,
        extra: str = "",
        name: str = "small",
    ) -> Path:
        if not (tmp_path / "train").exists():
            make_images(tmp_path / "train", 2, seed=99)
        for index in range(tests):
            if not (tmp_path / f"test{index}").exists():
                make_images(tmp_path / f"test{index}", images, seed=index)
        lines = [
            f"name: {name}",
            "scale: 2",
            "models:",
            *(f"  - {model}" for model in models),
            "datasets:",
            *(f"  - test{index}" for index in range(tests)),
            "protocol: [matlab-y, truncate-y]",
            f"train: {{data: train, iterations: {iterations}, batch_size: 2, gt_size: 16, checkpoint_every: 2}}",
        ]
        path = tmp_path / f"{name}.yaml"
        path.write_text("\n".join(lines) + "\n" + textwrap.dedent(extra), encoding="utf-8")
        return path

    return write


@pytest.fixture
def srbench(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the `srbench` command in a process of its own and returns what it said."""

    def command(
        *args: str | Path, env: dict[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "srbench", *map(str, args)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=300,
            env={**os.environ, **(env or {})},
            **options,  # type: ignore[call-overload]
        )

    return command


_NURSERY = """
import os, signal, sys, time
import torch, pandas, pyarrow.parquet
import srbench.cli.app, srbench.cli.progress, srbench.runs.runner, srbench.training.train, srbench.evaluation.evaluate
import srbench.models.backbones.bicubic, srbench.models.backbones.edsr, srbench.testing, srbench.models.weight_files
import srbench.models.counting
import srbench.data.folders
from srbench.cli import main
print("ready", flush=True)
for line in sys.stdin:
    life, *args, log = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        with open(log, "ab", buffering=0) as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        os.setpgid(0, 0)
        # A background job of a shell may ignore it, and hand that down to here.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            main(args)
            os._exit(0)
        except SystemExit as end:
            sys.stdout.flush(); sys.stderr.flush()
            os._exit(end.code or 0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(70)
    print(child, flush=True)
    if life:
        # Killed here, where it is waited for: its number cannot have gone to another process.
        end = time.monotonic() + float(life)
        ended, status = os.waitpid(child, os.WNOHANG)
        while not ended and time.monotonic() < end:
            time.sleep(0.001)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
    else:
        _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Nursery:
    """A process with everything imported that forks a real new process for each `srbench` command, ready at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "command.log"
        self.process = subprocess.Popen(
            [sys.executable, "-c", _NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            # A cache of its own: other tests put weights into theirs, and some of these tests want them missing.
            env={**os.environ, "SRBENCH_CACHE": str(folder / "cache")},
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(self, *args: str | Path, life: float | None = None) -> int:
        """Start a command, which is killed after `life` seconds, and return its process."""
        assert self.process.stdin is not None
        self.log.write_bytes(b"")
        self.process.stdin.write("\t".join(["" if life is None else str(life), *map(str, args), str(self.log)]) + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def wait(self) -> int:
        """Wait for the command and return its exit status, negative for a signal."""
        return int(self._line())

    def run(self, *args: str | Path) -> int:
        """Run a command to its end."""
        self.start(*args)
        return self.wait()

    def kill_after(self, seconds: float, *args: str | Path) -> int:
        """Start a command and kill it a while later; return its exit status."""
        self.start(*args, life=seconds)
        return self.wait()

    def said(self) -> str:
        """Return what the last command printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Return the nursery; its commands run in a folder of its own, so paths are given in full."""
    nursery = Nursery(tmp_path_factory.mktemp("nursery"))
    try:
        yield nursery
    finally:
        nursery.close()
