"""Training that is killed, or meets a full disk, goes on to the same weights. Real processes, real signals."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srbench.models.weight_files import load_state
from srbench.training.checkpoint import load_checkpoint
from srbench.training.train import train

TOY = Path(__file__).with_name("toy.py")


def _start(out: Path, data: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(TOY), str(out), str(data), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(out: Path, data: Path, *more: str) -> tuple[str, int]:
    """Run to the end; return the weights' hash and the iteration it went on from."""
    stdout, stderr = _start(out, data, *more).communicate(timeout=120)
    assert stdout, stderr
    sha256, resumed_from = stdout.splitlines()[-1].split()
    return sha256, int(resumed_from)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> str:
    sha256, resumed_from = _finish(tmp_path_factory.mktemp("whole"), image_folder)
    assert resumed_from == 0
    return sha256


def test_training_killed_at_random_iterations_ends_with_identical_weights(
    tmp_path: Path, image_folder: Path, uninterrupted: str, seed: int
) -> None:
    draw = random.Random(seed)
    last = 0
    for _ in range(3):
        # Beyond what is done already, so that every run gets there before it is killed; or past it, where the run
        # before was killed so late that it had done that iteration too.
        stop = draw.randrange(last + 1, last + 13)
        with _start(tmp_path, image_folder) as process:
            for line in process.stdout:
                if int(line) >= stop:
                    time.sleep(draw.random() * 0.01)
                    process.send_signal(signal.SIGKILL)
                    break
        assert process.returncode == -signal.SIGKILL, f"the run ended before iteration {stop}"
        last = stop
    sha256, resumed_from = _finish(tmp_path, image_folder)
    assert 0 < resumed_from < 40 or last < 4
    assert sha256 == uninterrupted
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "training.json", "weights.safetensors"]


@pytest.mark.slow
def test_momentum_clipping_warm_up_and_scaled_images_survive_a_kill(
    tmp_path: Path, image_folder: Path, uninterrupted: str, seed: int
) -> None:
    changes = {
        "optimizer": "SGD",
        "optimizer_options": {"momentum": 0.9},
        "lr": 0.05,
        "clip": {"type": "adjustable", "threshold": 1e-3},
        "warmup": 23,
        "scale_augmentation": [0.5, 1.0],
        "gt_size": None,
        "lr_size": 4,
    }
    more = ("0", json.dumps(changes))
    whole, _ = _finish(tmp_path / "whole", image_folder, *more)
    assert whole != uninterrupted
    stop = random.Random(seed).randrange(6, 39)
    with _start(tmp_path / "killed", image_folder, *more) as process:
        for line in process.stdout:
            if int(line) == stop:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL, f"the run ended before iteration {stop}"
    sha256, resumed_from = _finish(tmp_path / "killed", image_folder, *more)
    assert resumed_from > 0
    assert sha256 == whole


def test_a_full_disk_is_a_sentence_and_keeps_the_last_checkpoint(
    tmp_path: Path, image_folder: Path, uninterrupted: str
) -> None:
    process = _start(tmp_path, image_folder, "10")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert stderr.count("\n") == 1
    assert "checkpoint.pt' could not be written" in stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "checkpoint.pt"]
    assert load_checkpoint(tmp_path / "checkpoint.pt", {})["iteration"] == 8
    assert _finish(tmp_path, image_folder) == (uninterrupted, 8)


def test_two_trainings_do_not_share_a_folder(tmp_path: Path, image_folder: Path) -> None:
    with _start(tmp_path, image_folder) as first:
        try:
            next(first.stdout)
            first.send_signal(signal.SIGSTOP)
            second = subprocess.run(
                [sys.executable, str(TOY), str(tmp_path), str(image_folder)],
                capture_output=True,
                text=True,
                timeout=120,
            )
        finally:
            first.kill()
    assert second.returncode == 2
    assert f"process {first.pid}" in second.stderr


def test_the_weights_are_those_of_the_average(tmp_path: Path, image_folder: Path, toy) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(
            "engine_toy",
            scales=(2, 3),
            data=image_folder,
            recipe=toy.recipe(iterations=8),
            out_dir=tmp_path,
            progress=_interrupt_at(8),
        )
    state = load_checkpoint(tmp_path / "checkpoint.pt", {})["model"]
    result = train("engine_toy", scales=(2, 3), data=image_folder, recipe=toy.recipe(iterations=8), out_dir=tmp_path)
    assert result.resumed_from == 8
    saved = load_state(result.weights)
    assert all(saved[key].equal(state["ema"][key]) for key in saved)
    assert not saved["head.weight"].equal(state["network"]["head.weight"])


@settings(max_examples=8)
@given(first=st.integers(1, 40), second=st.integers(1, 40), every=st.integers(1, 9))
def test_stopping_anywhere_and_going_on_ends_with_identical_weights(
    tmp_path_factory: pytest.TempPathFactory,
    image_folder: Path,
    uninterrupted: str,
    toy,
    first: int,
    second: int,
    every: int,
) -> None:
    """Law: weights are a function of the recipe, wherever sessions end and however often state is saved."""
    folder = tmp_path_factory.mktemp("stopped")
    for stop in (first, second, None):
        with contextlib.suppress(KeyboardInterrupt):
            result = train(
                "engine_toy",
                scales=(2, 3, 4),
                data=image_folder,
                recipe=toy.recipe(checkpoint_every=every),
                out_dir=folder,
                progress=_interrupt_at(stop) if stop else None,
            )
    assert result.weights_sha256 == uninterrupted


def _interrupt_at(iteration: int):
    def progress(now) -> None:
        if now.iteration >= iteration:
            raise KeyboardInterrupt

    return progress
