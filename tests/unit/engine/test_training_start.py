"""Training that starts from weights instead of random initialization."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from srbench.errors import ConfigError, WeightsError
from srbench.models.factory import create_model
from srbench.models.weight_files import load_state, save_state
from srbench.training.train import train


@pytest.fixture
def start(tmp_path: Path, toy) -> Path:
    save_state(create_model("engine_toy", scales=(2, 3), seed=77), tmp_path / "start.safetensors")
    return tmp_path / "start.safetensors"


def _train(toy, folder: Path, out: Path, **options):
    return train("engine_toy", scales=(2, 3), data=folder, recipe=toy.recipe(**options.pop("recipe", {})), out_dir=out,
                 **options)  # fmt: skip


def test_the_start_is_the_file_and_the_seed_no_longer_decides_it(
    toy, image_folder: Path, tmp_path: Path, start
) -> None:
    still = {"iterations": 1, "lr": 1e-12, "ema_decay": 0}
    result = _train(toy, image_folder, tmp_path / "a", weights=start, recipe=still)
    begun, ended = load_state(start), load_state(result.weights)
    for key, tensor in ended.items():
        if "running" not in key and "num_batches" not in key:
            torch.testing.assert_close(tensor, begun[key], atol=1e-9, rtol=0)
    assert result.starting_weights_sha256 is not None
    assert _train(toy, image_folder, tmp_path / "b", recipe=still).starting_weights_sha256 is None


def test_resuming_refuses_another_start(toy, image_folder: Path, tmp_path: Path, start: Path) -> None:
    """A finished training and an interrupted one alike, and in both directions."""
    other = tmp_path / "other.safetensors"
    save_state(create_model("engine_toy", scales=(2, 3), seed=78), other)
    short = {"iterations": 4}
    _train(toy, image_folder, tmp_path / "run", weights=start, recipe=short)
    assert _train(toy, image_folder, tmp_path / "run", weights=start, recipe=short).complete_before
    for wrong in (other, None):
        with pytest.raises(ConfigError, match="starting weights is"):
            _train(toy, image_folder, tmp_path / "run", weights=wrong, recipe=short)
    _train(toy, image_folder, tmp_path / "plain", recipe=short)
    with pytest.raises(ConfigError, match="starting weights is none, asked for is"):
        _train(toy, image_folder, tmp_path / "plain", weights=start, recipe=short)


def test_the_same_file_under_another_name_is_the_same_start(toy, image_folder: Path, tmp_path: Path, start) -> None:
    _train(toy, image_folder, tmp_path / "run", weights=start, recipe={"iterations": 2})
    moved = start.rename(tmp_path / "moved.safetensors")
    assert _train(toy, image_folder, tmp_path / "run", weights=moved, recipe={"iterations": 2}).complete_before


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(
    toy, image_folder: Path, tmp_path: Path
) -> None:
    save_state(create_model("engine_toy", scales=(2,), seed=1), tmp_path / "single.safetensors")
    for path, said in ((tmp_path / "single.safetensors", "are for"), (tmp_path / "none.pth", "no weights file")):
        with pytest.raises(WeightsError, match=said):
            _train(toy, image_folder, tmp_path / "run", weights=path)
        assert not (tmp_path / "run").exists()
