"""Recipes: what they accept, what they say of the rest, and what their digest covers."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbench.errors import ConfigError
from srbench.training.recipe import Recipe, load_recipe, make_recipe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "recipe: 'iterations' is missing"),
        ({"iterations": 0}, "'iterations' is 0: input should be greater than 0"),
        ({"iterations": 5, "lr": "fast"}, "'lr' is 'fast': input should be a valid number"),
        ({"iterations": 5, "lr": float("nan")}, "'lr' is nan"),
        ({"iterations": 5, "ema_decay": 1}, "'ema_decay' is 1"),
        ({"iterations": 5, "batchsize": 4}, "unknown key 'batchsize'; did you mean 'batch_size'?"),
        ({"iterations": 5, "loss": "L2Loss"}, "unknown loss 'L2Loss'; did you mean 'L1Loss'?"),
        ({"iterations": 5, "optimizer": "Adm"}, "unknown optimizer 'Adm'; did you mean 'Adam'?"),
        ({"iterations": 5, "scheduler": {"type": "step"}}, "'none', 'MultiStepRestartLR', 'CosineAnnealingRestartLR'"),
        (
            {"iterations": 5, "scheduler": {"type": "MultiStepRestartLR", "milestones": [1], "gama": 1}},
            "did you mean 'gamma'?",
        ),
        (
            {"iterations": 5, "scheduler": {"type": "CosineAnnealingRestartLR", "periods": [2, 2]}},
            "the scheduler's periods cover 4 of 5 iterations",
        ),
        (
            {"iterations": 5, "scheduler": {"type": "CosineAnnealingRestartLR", "restart_weights": [1, 1]}},
            "restart_weights has 2 values for 1 periods",
        ),
    ],
)
def test_a_wrong_recipe_is_a_sentence(values: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_recipe(values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"'iterations' is missing.*'seed' is -1"):
        make_recipe({"seed": -1})


def test_the_digest_covers_every_field_but_checkpoints_and_validation() -> None:
    base = make_recipe({"iterations": 10})
    others = {
        "iterations": 11, "batch_size": 1, "gt_size": 24, "lr_size": 24, "optimizer": "NAdam",
        "optimizer_options": {"eps": 1e-4}, "lr": 1e-3, "betas": (0.5, 0.5), "weight_decay": 0.1,
        "scheduler": {"type": "MultiStepRestartLR", "milestones": [3]}, "warmup": 3,
        "clip": {"type": "norm", "threshold": 1}, "loss": "MSELoss", "loss_options": {"loss_weight": 2},
        "extra_losses": [{"type": "MSELoss"}], "ema_decay": 0.9, "seed": 1, "hflip": False, "rot90": False,
        "scale_augmentation": (0.5, 1), "precision": "bf16", "channels_last": True, "compile": "inductor",
        "deterministic": False,
    }  # fmt: skip
    assert set(Recipe.model_fields) == {*others, "checkpoint_every", "validate_every"}
    digests = {make_recipe({"iterations": 10, name: value}).digest for name, value in others.items()}
    assert len(digests | {base.digest}) == len(others) + 1
    assert make_recipe({"iterations": 10, "checkpoint_every": 1, "validate_every": 1}).digest == base.digest


def test_recipes_keep_the_digests_that_they_had_before_there_were_more_keys() -> None:
    """Golden: computed at the commit before `lr_size`, `clip` and the others were added."""
    assert make_recipe({"iterations": 10}).digest == "70923d917feaea28e83a97f47142b7de62961722803a1e6823625d825e5651dc"
    stepped = {"type": "MultiStepRestartLR", "milestones": [3, 6], "gamma": 0.1}
    assert make_recipe({"iterations": 10, "scheduler": stepped, "loss": "CharbonnierLoss"}).digest == (
        "a617d1d46e75c5e002cde07b30aed4ef81126b75cdba9d2058b5ee4d3507600d"
    )


def test_a_recipe_survives_the_way_through_json() -> None:
    recipe = make_recipe(
        {"iterations": 9, "scheduler": {"type": "CosineAnnealingRestartLR", "periods": [4, 5]}, "betas": (0.9, 0.999)}
    )
    assert make_recipe(recipe.settings) == recipe
    assert make_recipe(recipe.model_dump(mode="json")) == recipe


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_recipe({"iterations": 1}).lr = 1.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the recipe .* cannot be read: No such file"),
        (b"iterations: [", "is not YAML"),
        (b"- 1\n", "must be a mapping"),
        (b"\xff\xfe\x00", "the recipe .* is not a text file in UTF-8"),
    ],
)
def test_a_file_that_is_no_recipe_is_a_sentence(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_recipe(path)
