"""Each key of a recipe against plain torch: a key that did nothing would fail its test."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from srbench.errors import ConfigError, DataError
from srbench.models.factory import create_model
from srbench.training.basicsr_model import SRBenchModel
from srbench.training.checkpoint import check_identity
from srbench.training.patches import TrainingPatches
from srbench.training.recipe import Recipe, make_recipe
from srbench.training.train import train

CPU = torch.device("cpu")


def _images(count: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {f"image{n}": rng.integers(0, 256, (30 + n, 40 - n, 3), dtype=np.uint8) for n in range(count)}


def _recipe(**changes: object) -> Recipe:
    return make_recipe({"iterations": 6, "batch_size": 2, "gt_size": 12, "lr": 1e-3, "seed": 3, **changes})


def _compare(recipe: Recipe, optimizer, loss=nn.functional.l1_loss, clip=None, steps: int = 6) -> None:
    """Train a network with a recipe, and its copy in a plain loop; the weights must agree."""
    patches = TrainingPatches(_images(), recipe, (2,))
    net = create_model("edsr_tiny", scale=2, seed=0)
    plain = copy.deepcopy(net)
    model = SRBenchModel(net, recipe, CPU)
    plain_optimizer = optimizer(plain.parameters())
    for iteration in range(1, steps + 1):
        batch = patches.batch(iteration)
        model.step(batch, iteration)
        plain_optimizer.zero_grad()
        loss(plain(batch.lr), batch.hr).backward()
        if clip is not None:
            clip(list(plain.parameters()))
        plain_optimizer.step()
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_an_optimizer_and_its_options_are_torchs() -> None:
    _compare(
        _recipe(optimizer="SGD", optimizer_options={"momentum": 0.9, "nesterov": True}, lr=0.02, weight_decay=0.01),
        lambda parameters: torch.optim.SGD(parameters, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.01),
    )
    _compare(
        _recipe(optimizer="Adamax", betas=[0.8, 0.95], optimizer_options={"eps": 1e-3}),
        lambda parameters: torch.optim.Adamax(parameters, lr=1e-3, betas=(0.8, 0.95), eps=1e-3),
    )


def test_an_adamw_has_the_recipes_weight_decay_and_not_its_own() -> None:
    _compare(
        _recipe(optimizer="AdamW", lr=0.01), lambda parameters: torch.optim.AdamW(
            parameters, lr=0.01, betas=(0.9, 0.99), weight_decay=0
        )
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["norm", "value", "adjustable"])
def test_gradients_are_clipped(kind: str) -> None:
    """By SGD, whose step is the gradient; bounds that every batch here exceeds by far."""
    bound, lr = {"norm": 1e-3, "value": 1e-4, "adjustable": 1e-5}[kind], 0.1

    def clip(parameters: list[nn.Parameter]) -> None:
        grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = math.sqrt(sum(float(grad.double().square().sum()) for grad in grads))
        limit = bound / lr if kind == "adjustable" else bound
        assert norm > 5 * limit
        for grad in grads:
            if kind == "norm":
                grad.mul_(limit / norm)
            else:
                grad.clamp_(-limit, limit)

    recipe = _recipe(optimizer="SGD", lr=lr, clip={"type": kind, "threshold": bound})
    _compare(recipe, lambda parameters: torch.optim.SGD(parameters, lr=lr), clip=clip)


def test_an_adjustable_clip_follows_the_learning_rate() -> None:
    """VDSR's rule: however high the rate, no weight moves by more than the threshold."""
    schedule = {"type": "MultiStepRestartLR", "milestones": [3], "gamma": 0.01}
    recipe = _recipe(optimizer="SGD", lr=10.0, scheduler=schedule, clip={"type": "adjustable", "threshold": 1e-4})
    patches = TrainingPatches(_images(), recipe, (2,))
    model = SRBenchModel(create_model("edsr_tiny", scale=2, seed=0), recipe, CPU)
    for iteration in range(1, 6):
        before = [parameter.detach().clone() for parameter in model.net_g.parameters()]
        model.step(patches.batch(iteration), iteration)
        moved = max(
            float((new.detach() - old).abs().max()) for new, old in zip(model.net_g.parameters(), before, strict=True)
        )
        assert moved == pytest.approx(1e-4, rel=1e-2)


def test_a_loss_and_its_options_are_basicsrs() -> None:
    _compare(
        _recipe(loss="CharbonnierLoss", loss_options={"eps": 0.04, "loss_weight": 3}),
        lambda parameters: torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.99)),
        loss=lambda sr, hr: 3 * ((sr - hr).square() + 0.04).sqrt().mean(),
    )


def test_extra_losses_are_added() -> None:
    def total(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        smooth = sr.diff(dim=-1).abs().mean() + sr.diff(dim=-2).abs().mean()
        return (sr - hr).abs().mean() + 0.5 * smooth + 2 * (sr - hr).square().mean()

    recipe = _recipe(
        extra_losses=[{"type": "WeightedTVLoss", "loss_weight": 0.5}, {"type": "MSELoss", "loss_weight": 2}]
    )
    _compare(recipe, lambda parameters: torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.99)), loss=total)


def test_a_loss_of_the_users_own_that_returns_several_values_is_added_up() -> None:
    from basicsr.utils.registry import LOSS_REGISTRY

    class Pair(nn.Module):
        def __init__(self, weight: float = 1.0) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, pred, gt):
            return self.weight * (pred - gt).abs().mean(), None

    LOSS_REGISTRY.register(Pair)
    try:
        _compare(
            _recipe(loss="MSELoss", extra_losses=[{"type": "Pair", "weight": 0.3}]),
            lambda parameters: torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.99)),
            loss=lambda sr, hr: (sr - hr).square().mean() + 0.3 * (sr - hr).abs().mean(),
        )
    finally:
        del LOSS_REGISTRY._obj_map["Pair"]


def test_a_perceptual_loss_without_its_weights_is_a_sentence(toy, image_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = _recipe(extra_losses=[{"type": "PerceptualLoss", "layer_weights": {"conv5_4": 1}}])
    with pytest.raises(ConfigError, match=r"needs torchvision's weights of VGG-19 as 'experiments/"):
        train("engine_toy", scales=(2,), data=image_folder, recipe=recipe, out_dir=tmp_path / "out")


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ({"type": "none"}, [0.25, 0.5, 0.75, 1, 1, 1, 1]),
        # Milestones count as without a warm-up, and the rate afterwards is the scheduler's own.
        ({"type": "MultiStepRestartLR", "milestones": [2, 5], "gamma": 0.1}, [0.25, 0.5, 0.075, 0.1, 0.1, 0.01, 0.01]),
    ],
)
def test_a_warm_up_rises_to_the_schedulers_rate(scheduler: dict, expected: list[float]) -> None:
    recipe = _recipe(iterations=7, lr=1.0, scheduler=scheduler, warmup=4)
    model = SRBenchModel(create_model("edsr_tiny", scale=2, seed=0), recipe, CPU)
    rates = []
    for iteration in range(1, 8):
        model.update_learning_rate(iteration)
        rates += model.get_current_learning_rate()
        model.optimizer_g.step()
    assert rates == pytest.approx(expected)


def test_a_restart_sets_the_learning_rate_anew() -> None:
    schedule = {
        "type": "MultiStepRestartLR", "milestones": [1, 2, 5], "gamma": 0.1, "restarts": [4], "restart_weights": [0.5],
    }  # fmt: skip
    recipe = _recipe(iterations=7, lr=1.0, scheduler=schedule)
    model = SRBenchModel(create_model("edsr_tiny", scale=2, seed=0), recipe, CPU)
    rates = []
    for iteration in range(1, 8):
        model.update_learning_rate(iteration)
        rates += model.get_current_learning_rate()
        model.optimizer_g.step()
    assert rates == pytest.approx([1, 0.1, 0.01, 0.01, 0.5, 0.05, 0.05])


def test_patches_of_a_fixed_lr_size() -> None:
    patches = TrainingPatches(_images(), _recipe(gt_size=None, lr_size=7), (2, 3, 4))
    shapes = {}
    for iteration in range(1, 40):
        batch = patches.batch(iteration)
        shapes[batch.scale] = (batch.lr.shape[-2:], batch.hr.shape[-2:])
    assert shapes == {scale: ((7, 7), (7 * scale, 7 * scale)) for scale in (2, 3, 4)}
    # At one scale they are those of the same size in HR pixels.
    for iteration in (1, 2, 3):
        small = TrainingPatches(_images(), _recipe(gt_size=None, lr_size=6), (2,)).batch(iteration)
        large = TrainingPatches(_images(), _recipe(gt_size=12), (2,)).batch(iteration)
        assert torch.equal(small.lr, large.lr)
        assert torch.equal(small.hr, large.hr)


def test_images_too_small_for_lr_patches_are_named_with_the_scale() -> None:
    with pytest.raises(DataError, match="3 of 3 training images are smaller than lr_size 10 at scale 4: image0"):
        TrainingPatches(_images(), _recipe(lr_size=10, gt_size=None), (2, 4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "SDG"}, "unknown optimizer 'SDG'; did you mean 'SGD'?"),
        ({"optimizer": "LBFGS"}, "computes the loss several times in a step"),
        (
            {"optimizer": "SGD", "optimizer_options": {"momentun": 0.9}},
            "no option 'momentun'; did you mean 'momentum'?",
        ),
        (
            {"optimizer": "SGD", "optimizer_options": {"momentum": -1}},
            "refuses its options: Invalid momentum value: -1",
        ),
        ({"optimizer": "SGD", "betas": [0.1, 0.2]}, "the optimizer 'SGD' has no betas"),
        ({"optimizer": "Rprop", "weight_decay": 0.1}, "the optimizer 'Rprop' has no weight_decay"),
        ({"optimizer_options": {"lr": 1}}, "'lr', which is a key of the recipe itself"),
        ({"loss": "CharbonierLoss"}, "unknown loss 'CharbonierLoss'; did you mean 'CharbonnierLoss'?"),
        ({"loss": "GANLoss"}, "judges a discriminator's output"),
        ({"loss": "WeightedTVLoss"}, "sees the SR image only; give it in extra_losses"),
        ({"loss": "PerceptualLoss"}, "needs 'layer_weights'"),
        ({"loss": "L1Loss", "loss_options": {"reducton": "sum"}}, "no option 'reducton'; did you mean 'reduction'?"),
        ({"loss": "L1Loss", "loss_options": {"reduction": "none"}}, "does not return one number"),
        ({"extra_losses": [{"loss_weight": 1}]}, "each of extra_losses has a 'type'"),
        ({"clip": {"type": "norm"}}, "'clip.threshold' is missing"),
        ({"clip": {"type": "norm", "treshold": 1}}, "did you mean 'threshold'?"),
        ({"gt_size": 12, "lr_size": 6}, "got gt_size 12 and lr_size 6"),
        ({"gt_size": None}, "got neither"),
        ({"scale_augmentation": [1, 0.5]}, "the smallest and the largest factor; got [1.0, 0.5]"),
        ({"scale_augmentation": [0.5, 2]}, "less than or equal to 1"),
    ],
)
def test_a_wrong_key_is_a_sentence_with_the_nearest_name(values: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_recipe({"iterations": 5, **values})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_checking_a_recipe_leaves_the_random_generators_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    make_recipe({"iterations": 1, "loss": "MSELoss", "loss_options": {"loss_weight": 2}, "optimizer": "RAdam"})
    assert torch.equal(torch.get_rng_state(), before)


def test_a_setting_that_only_the_other_training_has_is_told(tmp_path) -> None:
    """Recipes leave out what they do not use, so a comparison of one side's keys would miss it."""
    clipped = {"recipe": _recipe(clip={"type": "norm", "threshold": 1}).hashed_settings}
    plain = {"recipe": _recipe().hashed_settings}
    check_identity(tmp_path, clipped, clipped)
    for found, wanted in ((clipped, plain), (plain, clipped)):
        with pytest.raises(ConfigError, match="clip is"):
            check_identity(tmp_path, found, wanted)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "NAdam", "AdamW", "Rprop", "Adafactor"])
def test_optimizers_train_networks_whose_layers_get_their_first_gradient_late(toy, name: str) -> None:
    """In networks for several scales what only x4 uses has no gradient until x4 is drawn; fused SGD fails."""
    options = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    recipe = toy.recipe(optimizer=name, optimizer_options=options, betas=[0.9, 0.99], ema_decay=0)
    patches = TrainingPatches(_images(), recipe, (2, 3, 4))
    model = SRBenchModel(create_model("engine_toy", scales=(2, 3, 4), seed=0), recipe, CPU)
    before = [parameter.detach().clone() for parameter in model.net_g.tails.parameters()]
    drawn = []
    for iteration in range(1, 13):
        batch = patches.batch(iteration)
        drawn.append(batch.scale)
        model.step(batch, iteration)
    assert len({drawn.index(scale) for scale in (2, 3, 4)}) == 3
    for new, old in zip(model.net_g.tails.parameters(), before, strict=True):
        assert not torch.equal(new, old)
