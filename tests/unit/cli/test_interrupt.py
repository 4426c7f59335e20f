"""Ctrl-C in a command that is at work: one sentence, status 130, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# A baseline that takes a minute for an image, and says when it has begun.
PLUGIN = """
    import time
    from pathlib import Path

    from srbench.models.backbone import Backbone


    class Slow(Backbone):
        def forward(self, lr, scale=None):
            Path(__file__).with_name("begun").touch()
            time.sleep(60)
            return lr.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)


    def slow(scales):
        return Slow(scales)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    info = tmp_path / "srbench_slow-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: srbench-slow\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[srbench.baselines]\nslow = srbench_slow:slow\n")
    (tmp_path / "srbench_slow.py").write_text(textwrap.dedent(PLUGIN))
    images = tmp_path / "images"
    images.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(images / "noise.png")
    (tmp_path / "slow.yaml").write_text("name: slow\nscale: 2\nmodels: [slow]\ndatasets: [images]\n")
    return tmp_path


# Where the tests run in the background, a shell may have had them ignore the signal, and children inherit that.
AT_EASE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from srbench.cli import main
main()
"""

TRAIN = "train edsr_tiny --data images --scale 2 --iterations 1000000 --gt-size 32 --batch-size 1 --out trained"
GOES_ON = "srbench: interrupted; what was finished is kept, run the same command again to resume.\n"
COMMANDS = {
    "eval": ("eval slow --scale 2 --data images --protocol matlab-y", "begun", "srbench: interrupted.\n"),
    "run": ("run --suite slow.yaml --out run", "begun", GOES_ON),
    "train": (TRAIN, "trained", GOES_ON),
}


@pytest.mark.parametrize(("command", "sign", "sentence"), COMMANDS.values(), ids=COMMANDS)
def test_ctrl_c_ends_a_command_with_a_sentence_and_status_130(
    command: str, sign: str, sentence: str, folder: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", AT_EASE, *command.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not (folder / sign).exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline, "the command should be at work by now"
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert said == sentence or said.endswith("\n" + sentence), said
    assert "Traceback" not in said
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 0, "Usage"),
        (("--help",), 0, "Usage"),
        (("run", "--help"), 0, "Usage"),
        (("run",), 2, "--suite"),
        (("run", "--suite"), 2, "--suite"),
        (("run", "--suiet", "x"), 2, "--suite"),
        (("rnu",), 2, "run"),
        (("explain",), 2, "lapsrn-double or matlab-y or ntire"),
        (("list", "modells"), 2, "models"),
        (("list", "models"), 0, "bicubic"),
    ],
)
def test_wrong_usage_is_status_2_and_help_is_status_0(arguments: tuple[str, ...], status: int, said: str) -> None:
    ended = subprocess.run([sys.executable, "-m", "srbench", *arguments], capture_output=True, text=True, timeout=120)
    assert ended.returncode == status
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
