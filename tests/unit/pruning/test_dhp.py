"""Method `dhp`: arguments, what it takes, its schedule, and trainings: reproducible, resumed bit by bit, averaged."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

import srbench_pruning
from srbench.errors import ConfigError, SharingError
from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters
from srbench.models.factory import create_model
from srbench.models.pruned_conv import PrunedConv
from srbench.models.surgery import apply_method, deployed, fold
from srbench.models.weight_files import load_into
from srbench.registry import canonical_name
from srbench.training.basicsr_model import SRBenchModel
from srbench.training.patches import Batch
from srbench.training.recipe import Recipe, make_recipe
from srbench.training.train import train
from srbench_pruning.layers import DHPConv, latents_of
from srbench_pruning.method import DHP

NAME = "edsr_tiny+dhp(shrink=3)"


def recipe(**values: object) -> Recipe:
    return make_recipe({"batch_size": 2, "gt_size": 24, "lr": 1e-3, **values})


def trained(name: str, weights: Path) -> torch.nn.Module:
    model = create_model(name, scale=2, seed=0)
    load_into(model, weights)
    return model


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("ratio=0", "ratio=0 is not a number above 0 and up to 1"),
        ("ratio=6/5", "ratio=6/5 is not a number above 0"),
        ("search=0", "search=0 is not a number above 0"),
        ("threshold=0", "threshold=0 is not a number above 0"),
        ("shrink=much", "shrink=much is not a number of at least 0"),
        ("embedding=0", "embedding=0 is not a whole number of at least 1"),
        ("least=1/2", "least=1/2 is not a whole number of at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(argument: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_model(f"edsr_tiny+dhp({argument})", scale=2)


def test_defaults_are_the_papers() -> None:
    assert canonical_name("edsr_tiny+dhp(embedding=8,ratio=3/5,threshold=1/200)") == canonical_name("edsr_tiny+dhp")
    method = DHP()
    assert (float(method.ratio), method.embedding, float(method.threshold), method.least) == (0.6, 8, 0.005, 4)


def test_a_network_without_banks_is_refused() -> None:
    with pytest.raises(SharingError, match="method 'dhp' applies to sites of kind conv"):
        apply_method(Backbone((2,)), DHP())


def test_what_is_trained_and_what_is_deployed() -> None:
    """Each 3x3 layer of 16 channels is made of 1 + 8 + 8 + 72 + 9 numbers for each pair; latents: 5 times 16."""
    model, plain = create_model("edsr_tiny+dhp", scale=2, seed=0), create_model("edsr_tiny", scale=2, seed=0)
    generated = 8 * 16 * 16 * (1 + 8 + 8 + 72 + 9)
    assert count_parameters(model) == count_parameters(plain) + generated - 8 * 16 * 16 * 9 + 5 * 16
    assert count_parameters(deployed(model, 2)) == count_parameters(plain)


def test_kernels_start_with_the_spread_of_those_that_they_replace(seed: int) -> None:
    model, plain = create_model("edsr_baseline+dhp", scale=2, seed=seed), create_model("edsr_baseline", scale=2)
    spreads = [
        float(layer.kernel().detach().std() / plain.get_submodule(path).weight.detach().std())
        for path, layer in model.named_modules()
        if isinstance(layer, DHPConv)
    ]
    # One layer's depends on its latents: a factor of about (mean z^2 of 64)^2, less than 2 either way.
    assert 0.8 < sum(spreads) / len(spreads) < 1.2


def test_the_search_takes_its_share_of_the_iterations_and_ends_at_the_ratio() -> None:
    method = DHP(search=1, shrink=2)
    model = create_model("edsr_tiny+dhp", scale=2, seed=0)
    latents = latents_of(model)
    shares = []
    for iteration in range(1, 101):
        method.on_step(model, iteration, 100)
        shares.append(float(latents.share()))
    assert shares[0] == 1, "nothing is updated before the first iteration"
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] <= 0.6 < max(share for share in shares if share > shares[-1])


def test_no_step_is_taken_after_the_search() -> None:
    method, model = DHP(ratio=1, shrink=2), create_model("edsr_tiny+dhp", scale=2, seed=0)
    latents = latents_of(model)
    before = latents.values.detach().clone()
    for iteration in (51, 75, 100):
        DHP(shrink=2).on_step(model, iteration, 100)
    for iteration in (2, 25, 50):
        method.on_step(model, iteration, 100)  # ratio 1 is reached from the start
    assert torch.equal(latents.values.detach(), before)
    assert latents.alive.all()


def test_a_few_iterations_prune_the_same_each_time(tmp_path: Path) -> None:
    plan = recipe(iterations=40, checkpoint_every=40)
    found = [
        train(NAME, scales=(2,), data="embedded-train", recipe=plan, out_dir=tmp_path / str(number))
        for number in range(2)
    ]
    assert found[0].weights_sha256 == found[1].weights_sha256
    model = trained(NAME, found[0].weights)
    latents = latents_of(model)
    assert 0 < int((~latents.alive).sum()) < len(latents.alive)
    assert float(latents.share()) <= 0.6
    folded = fold(model)
    dense = count_parameters(create_model("edsr_tiny", scale=2))
    assert count_parameters(folded) < dense
    lr = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(folded.eval()(lr), model.eval()(lr), rtol=1e-5, atol=1e-5)


class KilledError(Exception):
    """What ends a training midway."""


@pytest.mark.parametrize("ema_decay", [0, 0.9])
def test_an_interrupted_training_ends_with_the_same_bits_masks_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema_decay: float
) -> None:
    plan = recipe(iterations=30, checkpoint_every=5, ema_decay=ema_decay)

    def kill(self: DHP, model: Backbone, iteration: int, total: int) -> None:
        if iteration == 12:
            raise KilledError
        step(self, model, iteration, total)

    step = DHP.on_step
    whole = train(NAME, scales=(2,), data="embedded-train", recipe=plan, out_dir=tmp_path / "whole")
    monkeypatch.setattr(DHP, "on_step", kill)
    with pytest.raises(KilledError):
        train(NAME, scales=(2,), data="embedded-train", recipe=plan, out_dir=tmp_path / "resumed")
    monkeypatch.undo()
    resumed = train(NAME, scales=(2,), data="embedded-train", recipe=plan, out_dir=tmp_path / "resumed")
    assert resumed.resumed_from == 10
    assert resumed.weights_sha256 == whole.weights_sha256
    assert not latents_of(trained(NAME, whole.weights)).alive.all(), "there are masks to resume"


def test_the_average_of_the_weights_has_the_masks_of_the_last_iteration() -> None:
    plan = recipe(iterations=10, ema_decay=0.5)
    training = SRBenchModel(create_model("edsr_tiny+dhp(shrink=6)", scale=2, seed=0), plan, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.rand(2, 3, 8, 8, generator=generator), torch.rand(2, 3, 16, 16, generator=generator), 2)
    averaged, current = latents_of(training.trained), latents_of(training.net_g)
    changes = 0
    for iteration in range(1, 6):
        before = current.alive.clone()
        training.step(batch, iteration)
        changes += not torch.equal(before, current.alive)
        assert torch.equal(averaged.alive, current.alive)
        assert averaged.alive.dtype == torch.bool
    assert changes
    assert not torch.equal(averaged.values, current.values), "numbers are averaged, masks are not"
    assert count_parameters(fold(training.trained)) == count_parameters(fold(training.net_g))


def test_what_cannot_be_removed_stays_as_zeros() -> None:
    """A residual connection needs all channels: what a block makes of them is put in its place, the others are zero."""
    model = create_model("edsr_tiny+dhp", scale=2, seed=0).eval()
    latents = latents_of(model)
    second = model.get_submodule("body.0.conv2")
    assert isinstance(second, DHPConv)
    latents.alive[second.outputs[:5]] = False
    folded = fold(model)
    layer = folded.get_submodule("body.0.conv2")
    assert isinstance(layer, PrunedConv)
    assert tuple(layer.conv.weight.shape) == (11, 16, 3, 3)
    made = layer(torch.rand(1, 16, 4, 4))
    assert made.shape == (1, 16, 4, 4)
    assert not made[:, :5].any()
    assert made[:, 5:].all()
    # Convolutions in groups keep their size: their groups need equally many channels.
    grouped = create_model("carn_m+dhp", scale=2, seed=0)
    layers = [module for module in grouped.modules() if isinstance(module, DHPConv) and module.groups > 1]
    assert layers
    latents_of(grouped).alive[layers[0].outputs[:3]] = False
    kept = layers[0].pruned()
    assert isinstance(kept, torch.nn.Conv2d)
    assert tuple(kept.weight.shape) == layers[0].kernel_shape
    assert not kept.weight[:3].any()
    assert kept.weight[3:].any()


def test_the_method_has_at_most_200_lines_without_docstrings() -> None:
    """The promise of the interface: what a hypernetwork that prunes takes beyond it."""
    lines = 0
    for file in Path(srbench_pruning.__file__).parent.glob("*.py"):
        documented = {
            line
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        text = file.read_text().splitlines()
        lines += sum(bool(line.strip()) for number, line in enumerate(text, 1) if number not in documented)
    assert lines <= 200
