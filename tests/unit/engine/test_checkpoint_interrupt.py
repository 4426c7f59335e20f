"""Ctrl-C while a checkpoint is written: neither lost nor the end of the checkpoint."""

from __future__ import annotations

import collections
import io
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from srbench.training.checkpoint import _interrupts_deferred, load_checkpoint, save_checkpoint


class Interrupting:
    """Something that sends Ctrl-C to its own process while it is stored, and is an empty dictionary when read."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[()]]:
        signal.raise_signal(signal.SIGINT)
        return collections.OrderedDict, ()


@pytest.fixture(autouse=True)
def _python_handles_it() -> Any:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_interrupt_within_torchs_writing_comes_after_it() -> None:
    buffer = io.BytesIO()
    written = []

    def write() -> None:
        with _interrupts_deferred():
            torch.save({"weights": torch.arange(3), "trap": Interrupting()}, buffer)
            written.append(True)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert written
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True)["weights"].tolist() == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupted_checkpoint_leaves_the_one_before(tmp_path: Path) -> None:
    path, identity = tmp_path / "checkpoint.pt", {"model": "toy"}
    save_checkpoint(path, identity, {"iteration": 1})
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, identity, {"iteration": 2, "trap": Interrupting()})
    assert load_checkpoint(path, identity)["iteration"] == 1
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.pt"]


IGNORING = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)
from srbench.training.checkpoint import save_checkpoint
class Trap:
    def __reduce__(self):
        signal.raise_signal(signal.SIGINT)
        return dict, ()
save_checkpoint(Path(sys.argv[1]), {}, {"trap": Trap()})
print("went on", signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
"""


def test_process_that_ignores_interrupts_still_does(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IGNORING, str(tmp_path / "checkpoint.pt")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.stdout == "went on True\n", ended.stderr
