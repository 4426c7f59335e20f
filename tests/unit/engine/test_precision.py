"""How a recipe's arithmetic changes a training, what it leaves alone, and where it is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from srbench.errors import ConfigError
from srbench.models.factory import create_model
from srbench.training.basicsr_model import SRBenchModel
from srbench.training.determinism import reproducible
from srbench.training.image_cache import prepare_images
from srbench.training.patches import TrainingPatches
from srbench.training.recipe import make_recipe
from srbench.training.train import train

CPU = torch.device("cpu")
SHORT = {"iterations": 200, "batch_size": 4, "gt_size": 32, "lr": 3e-4}
# Relative difference of the mean loss of ten iterations; measured: 0.011 for edsr_tiny.
BF16_TOLERANCE = 0.03
# The same for a step compiled by inductor, which adds in another order; measured: 0.0002 for edsr_tiny,
# 0.0004 with PS.
INDUCTOR_TOLERANCE = 0.003


def _losses(name: str, recipe) -> torch.Tensor:
    from srbench.data.datasets import open_dataset

    patches = TrainingPatches(prepare_images(open_dataset("embedded-train"), (2,)), recipe, (2,))
    model = SRBenchModel(create_model(name, scale=2, seed=0), recipe, CPU)
    return torch.stack([model.step(patches.batch(i), i) for i in range(1, recipe.iterations + 1)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["edsr_tiny", "edsr_tiny+ps(ratio=1/4)"])
def test_a_training_in_bfloat16_follows_that_in_float32(name: str) -> None:
    curves = [
        _losses(name, make_recipe({**SHORT, "precision": precision})).view(-1, 10).mean(1)
        for precision in ("float32", "bf16")
    ]
    assert not torch.equal(*curves)
    assert curves[0][-1] < 0.6 * curves[0][0]
    torch.testing.assert_close(curves[1], curves[0], rtol=BF16_TOLERANCE, atol=0)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler for inductor")
@pytest.mark.parametrize("name", ["edsr_tiny", "edsr_tiny+ps(ratio=1/4)"])
def test_a_compiled_training_follows_the_plain_one(name: str) -> None:
    plain, compiled = (
        _losses(name, make_recipe({**SHORT, "compile": mode})).view(-1, 10).mean(1) for mode in ("none", "inductor")
    )
    assert not torch.equal(plain, compiled), "the compiled step was not used"
    assert plain[-1] < 0.6 * plain[0]
    torch.testing.assert_close(compiled, plain, rtol=INDUCTOR_TOLERANCE, atol=0)


def test_weights_gradients_and_loss_stay_in_float32_under_bfloat16() -> None:
    recipe = make_recipe({**SHORT, "precision": "bf16"})
    model = SRBenchModel(create_model("edsr_tiny", scale=2, seed=0), recipe, CPU)
    seen = []
    for layer in (model.net_g.body[0].conv1, model.net_g.conv_last):
        layer.register_forward_hook(lambda module, given, made: seen.append(made.dtype))
    patches = TrainingPatches(_images(), recipe, (2,))
    loss = model.step(patches.batch(1), 1)
    assert seen == [torch.bfloat16, torch.float32]
    assert loss.dtype == torch.float32
    assert {p.dtype for p in model.net_g.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.net_g.parameters() if p.grad is not None} == {torch.float32}


MODES = [
    {"precision": "bf16"},
    {"channels_last": True},
    {"precision": "bf16", "channels_last": True},
    pytest.param(
        {"compile": "inductor"},
        marks=pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler for inductor"),
    ),
]


@pytest.mark.parametrize("mode", MODES)
def test_a_training_resumes_to_the_same_weights(mode: dict, tmp_path: Path) -> None:
    recipe = make_recipe({"iterations": 9, "batch_size": 2, "gt_size": 24, "checkpoint_every": 4, **mode})

    def run(folder: str, **options) -> str:
        return train(
            "edsr_tiny+ps(ratio=1/4)", scales=(2,), data="embedded-train", recipe=recipe, out_dir=tmp_path / folder,
            **options,
        ).weights_sha256  # fmt: skip

    def interrupt(at) -> None:
        if at.iteration == 4:
            raise KeyboardInterrupt

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("interrupted", progress=interrupt)
    assert (tmp_path / "interrupted/checkpoint.pt").exists()
    assert run("interrupted") == whole


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"compile": "graph"}, "compile 'graph' records CUDA kernels, and the device is cpu; take compile none"),
        ({"precision": "tf32"}, "precision 'tf32' is a mode of NVIDIA GPUs, and the device is cpu; take float32"),
    ],
)
def test_what_a_device_cannot_do_is_refused_in_a_sentence(values: dict, message: str, tmp_path: Path) -> None:
    recipe = make_recipe({"iterations": 1, "gt_size": 24, **values})
    with pytest.raises(ConfigError, match=message):
        train("edsr_tiny", scales=(2,), data="embedded-train", recipe=recipe, out_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_graph_is_refused_where_the_network_follows_a_schedule(toy) -> None:
    from srbench.training.precision import check_arithmetic

    net = create_model("engine_toy", scale=2)
    with pytest.raises(ConfigError, match="changes from iteration to iteration by a schedule"):
        check_arithmetic(make_recipe({"iterations": 1, "compile": "graph"}), net, torch.device("cuda"))


def test_float32_switches_tf32_off_and_puts_it_back() -> None:
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    try:
        torch.backends.cudnn.allow_tf32 = True
        for tf32 in (False, True):
            with reproducible(0, 1, CPU, tf32=tf32):
                assert [backend.allow_tf32 for backend in backends] == [tf32, tf32]
            assert torch.backends.cudnn.allow_tf32
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


@pytest.mark.parametrize("deterministic", [True, False])
def test_kernels_are_chosen_by_trial_where_determinism_is_not_asked_for(deterministic: bool) -> None:
    with reproducible(0, 1, CPU, deterministic=deterministic):
        assert torch.backends.cudnn.benchmark is not deterministic
        assert torch.are_deterministic_algorithms_enabled() is deterministic


def _images():
    from srbench.data.datasets import open_dataset

    return prepare_images(open_dataset("embedded-train"), (2,))
