"""The trace of a training: the same whether it was interrupted or not, and again when it is replayed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from srbench.training import trace
from srbench.training.train import replay, train


class InterruptedTestError(Exception):
    pass


@pytest.mark.parametrize("ema_decay", [0, 0.9])
def test_trace_is_the_same_after_an_interruption_and_in_a_replay(
    toy, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema_decay: float
) -> None:
    monkeypatch.setattr(trace, "TRACED_ITERATIONS", 5)
    recipe = toy.recipe(iterations=8, checkpoint_every=3, ema_decay=ema_decay)
    whole = train("engine_toy", scales=(2, 3), data=image_folder, recipe=recipe, out_dir=tmp_path / "whole")

    def stop(at) -> None:
        if at.iteration == 3:
            raise InterruptedTestError

    out = tmp_path / "parts"
    with pytest.raises(InterruptedTestError):
        train("engine_toy", scales=(2, 3), data=image_folder, recipe=recipe, out_dir=out, progress=stop)
    resumed = train("engine_toy", scales=(2, 3), data=image_folder, recipe=recipe, out_dir=out)
    assert resumed.resumed_from == 3
    assert whole.trace is not None
    assert len(whole.trace["losses"]) == 5
    assert resumed.trace == whole.trace
    assert replay("engine_toy", scales=(2, 3), data=image_folder, recipe=recipe) == whole.trace
    again = train("engine_toy", scales=(2, 3), data=image_folder, recipe=recipe, out_dir=out)
    assert again.complete_before
    assert again.trace == whole.trace


def test_another_seed_has_another_trace_from_the_first_iteration_on(toy, image_folder: Path) -> None:
    first, second = (
        replay("engine_toy", scales=(2,), data=image_folder, recipe=toy.recipe(seed=seed)) for seed in (0, 1)
    )
    assert first["losses"][0] != second["losses"][0]
    assert first["weights_sha256"] != second["weights_sha256"]


def test_trace_takes_only_the_iterations_that_follow_what_it_has(toy) -> None:
    import torch

    found = trace.Trace()
    net = torch.nn.Linear(1, 1)
    found.take(3, 30, torch.tensor(1.0), net)  # a checkpoint of before had no trace
    assert asdict(found) == {"losses": [], "weights_sha256": ""}
