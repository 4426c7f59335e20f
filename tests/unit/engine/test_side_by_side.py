"""Trainings that run in turns in one process end where each would have ended alone."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

from srbench.errors import ConfigError
from srbench.training.recipe import make_recipe
from srbench.training.side_by_side import run_side_by_side
from srbench.training.train import TrainResult, open_training, train

CPU = torch.device("cpu")
NAMES = ("edsr_tiny", "edsr_tiny+recursive", "edsr_tiny+ps(ratio=1/4)")


def _options(seed: int = 0, **changes) -> dict:
    values = {"iterations": 8, "batch_size": 2, "gt_size": 24, "seed": seed, "checkpoint_every": 100, **changes}
    return {"scales": (2,), "data": "embedded-train", "recipe": make_recipe(values)}


def _run(folder: Path, jobs: int, stop=lambda: False, **changes) -> tuple[bool, dict]:
    ended = {}
    with contextlib.ExitStack() as stack:

        def trainings():
            for number, name in enumerate(NAMES):
                opened = stack.enter_context(
                    open_training(name, out_dir=folder / str(number), **_options(number, **changes))
                )
                if isinstance(opened, TrainResult):
                    ended[name] = opened
                else:
                    yield opened

        complete = run_side_by_side(
            trainings(), CPU, jobs=jobs, stop=stop,
            finished=lambda training, result: ended.__setitem__(training.session.identity["model"], result),
        )  # fmt: skip
    return complete, ended


def test_weights_are_those_of_trainings_that_ran_alone(tmp_path: Path) -> None:
    alone = [train(name, out_dir=tmp_path / f"alone{number}", **_options(number)) for number, name in enumerate(NAMES)]
    complete, ended = _run(tmp_path, jobs=2)
    assert complete
    assert [result.weights_sha256 for result in alone] == [ended[result.model].weights_sha256 for result in alone]


def test_what_is_stopped_goes_on_in_the_next_call(tmp_path: Path) -> None:
    _, whole = _run(tmp_path / "whole", jobs=3)
    rounds = iter(range(100))
    complete, ended = _run(tmp_path / "stopped", jobs=3, stop=lambda: next(rounds) == 2)
    assert not complete
    assert not ended
    complete, ended = _run(tmp_path / "stopped", jobs=3)
    assert complete
    assert {name: result.weights_sha256 for name, result in ended.items()} == {
        name: result.weights_sha256 for name, result in whole.items()
    }
    assert all(result.resumed_from > 0 for result in ended.values())


def test_one_that_diverges_leaves_the_others_alone(tmp_path: Path) -> None:
    complete, ended = _run(tmp_path, jobs=3, lr=1e30, loss="MSELoss")
    assert complete
    assert len(ended) == 3
    assert all(isinstance(result, ConfigError) for result in ended.values())
