"""Training on a GPU: killed and resumed to the same bits, recorded as a graph, side by side. By `tox run -e gpu`."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from srbench.data.datasets import open_dataset
from srbench.errors import ConfigError
from srbench.models.factory import create_model
from srbench.results.store import RunStore
from srbench.runs.runner import run
from srbench.suite.definition import load_suite
from srbench.training.basicsr_model import SRBenchModel
from srbench.training.determinism import reproducible
from srbench.training.device_support import gpu_features
from srbench.training.image_cache import prepare_images
from srbench.training.patches import TrainingPatches
from srbench.training.recipe import Recipe, make_recipe
from srbench.training.side_by_side import run_side_by_side
from srbench.training.train import open_training, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

PS = "edsr_tiny+ps(ratio=1/4)"
GRAPH = {"precision": "bf16", "channels_last": True, "compile": "graph"}
SCHEDULED = {"ema_decay": 0.9, "scheduler": {"type": "MultiStepRestartLR", "milestones": [5, 13], "gamma": 0.5}}

# Trains, says each iteration, and never ends by itself: it is killed.
PROGRAM = """
import json, sys
from pathlib import Path
from srbench.training.recipe import make_recipe
from srbench.training.train import open_training
name, folder, recipe = sys.argv[1], Path(sys.argv[2]), make_recipe(json.loads(sys.argv[3]))
with open_training(name, scales=(2,), data="embedded-train", recipe=recipe, out_dir=folder, device="cuda") as opened:
    for iteration in opened.session.iterate():
        print(iteration, flush=True)
"""


@pytest.mark.parametrize(
    ("name", "mode"),
    [("edsr_tiny", {}), ("edsr_tiny", {"precision": "tf32"}), (PS, {"precision": "bf16"}), (PS, GRAPH)],
)
def test_training_on_cuda_resumes(name: str, mode: dict, tmp_path: Path) -> None:
    """Killed by the system after a checkpoint, called again, it ends with the weights of an uninterrupted training."""
    values = {"iterations": 30, "batch_size": 4, "gt_size": 32, "checkpoint_every": 7, **SCHEDULED, **mode}
    options = {"scales": (2,), "data": "embedded-train", "recipe": make_recipe(values), "device": "cuda"}
    whole = train(name, out_dir=tmp_path / "whole", **options)
    command = [sys.executable, "-c", PROGRAM, name, str(tmp_path / "killed"), json.dumps(values)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 17:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    resumed = train(name, out_dir=tmp_path / "killed", **options)
    assert resumed.resumed_from == 14
    assert resumed.weights_sha256 == whole.weights_sha256


def _run(recipe: Recipe, name: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the losses of all iterations, and the weights."""
    device = torch.device("cuda")
    with reproducible(0, 1, device, deterministic=recipe.deterministic, tf32=recipe.precision == "tf32"):
        patches = TrainingPatches(prepare_images(open_dataset("embedded-train"), (2,)), recipe, (2,), device=device)
        model = SRBenchModel(create_model(name, scale=2, seed=0), recipe, device)
        batch = model.batches_of(patches)
        losses = torch.stack([model.step(batch(i), i) for i in range(1, recipe.iterations + 1)])
        return losses.cpu(), {key: tensor.cpu() for key, tensor in model.trained.state_dict().items()}


@pytest.mark.parametrize("name", ["edsr_tiny", PS])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_graph_follows_plain_steps_within_the_rounding_of_the_learning_rate(name: str, precision: str) -> None:
    """Learning rates that change and an average of the weights are in the graph too."""
    values = {"iterations": 20, "batch_size": 4, "gt_size": 32, "precision": precision, **SCHEDULED}
    plain, graph = (_run(make_recipe({**values, "compile": mode}), name) for mode in ("none", "graph"))
    # A plain step takes its learning rate in float64, a recorded one in float32.
    torch.testing.assert_close(graph[0], plain[0], rtol=1e-4, atol=1e-6)
    for key, tensor in plain[1].items():
        torch.testing.assert_close(graph[1][key], tensor, rtol=1e-3, atol=1e-5, msg=key)


@pytest.mark.parametrize("mode", [{"precision": "tf32"}, GRAPH, {**GRAPH, "deterministic": False}])
def test_losses_follow_those_of_float32_over_200_iterations(mode: dict) -> None:
    values = {"iterations": 200, "batch_size": 4, "gt_size": 32, "lr": 3e-4}
    exact, found = (_run(make_recipe({**values, **more}), "edsr_tiny")[0].view(-1, 10).mean(1) for more in ({}, mode))
    torch.testing.assert_close(found, exact, rtol=0.03, atol=0)


def test_float32_on_cuda_is_that_of_the_cpu() -> None:
    """With TF32 left on, gradients would differ by a thousandth."""
    recipe = make_recipe({"iterations": 1, "batch_size": 4, "gt_size": 32})
    images = prepare_images(open_dataset("embedded-train"), (2,))
    losses, gradients = [], []
    for device in (torch.device("cpu"), torch.device("cuda")):
        with reproducible(0, 1, device):
            patches = TrainingPatches(images, recipe, (2,), device=device)
            model = SRBenchModel(create_model(PS, scale=2, seed=0), recipe, device)
            losses.append(model.step(patches.batch(1), 1).cpu())
            gradients.append([p.grad.cpu() for p in model.net_g.parameters() if p.grad is not None])
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=0)
    for wanted, found in zip(*gradients, strict=True):
        assert (found - wanted).norm() < 1e-4 * wanted.norm()


def test_trainings_side_by_side_end_as_alone(tmp_path: Path) -> None:
    values = {"iterations": 40, "batch_size": 4, "gt_size": 32, **SCHEDULED, **GRAPH}
    options = {"scales": (2,), "data": "embedded-train", "device": "cuda"}
    names = ("edsr_tiny", "edsr_tiny+recursive", PS)
    recipes = [make_recipe({**values, "seed": seed}) for seed in range(3)]
    alone = [
        train(name, recipe=recipe, out_dir=tmp_path / f"alone{recipe.seed}", **options).weights_sha256
        for name, recipe in zip(names, recipes, strict=True)
    ]
    together: dict[int, str] = {}
    with contextlib.ExitStack() as stack:
        opened = (
            stack.enter_context(open_training(name, recipe=recipe, out_dir=tmp_path / str(recipe.seed), **options))
            for name, recipe in zip(names, recipes, strict=True)
        )
        assert run_side_by_side(
            opened, torch.device("cuda"), jobs=2,
            finished=lambda training, result: together.__setitem__(training.session.recipe.seed, result.weights_sha256),
        )  # fmt: skip
    assert [together[seed] for seed in range(3)] == alone


def test_several_trainings_of_a_run_on_one_gpu_end_as_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(
        "name: small\nscale: 2\nmodels: [edsr_tiny, edsr_tiny+recursive]\ndatasets: [embedded-test]\n"
        "train: {data: embedded-train, iterations: 20, batch_size: 4, gt_size: 32}\n"
    )
    records = {}
    for device, jobs in (("cuda", 1), ("cuda:0", 2), ("cuda:0", None)):
        report = run(load_suite(tmp_path / "small.yaml"), tmp_path / f"{jobs}", device=device, jobs=jobs)
        assert report.failed == []
        records[jobs] = {one.model: (one.weights_sha256, one.metrics) for one in report.done}
    assert records[2] == records[1]
    assert records[None] == records[1]


def test_several_gpus_share_a_run(tmp_path: Path) -> None:
    count = torch.cuda.device_count()
    with pytest.raises(ConfigError, match=f"there is no 'cuda:{count}'"):
        run(load_suite("quickstart"), tmp_path / "none", device=f"cuda:0-{count}")
    if count < 2:
        pytest.skip("needs two GPUs")
    report = run(load_suite("quickstart"), tmp_path / "run", device="cuda:0-1", jobs=2)
    assert report.failed == []
    speeds = [cell.speed for cell in RunStore(report.run_dir).cells()]
    assert all(speed is not None and speed["hardware"]["kind"] == "cuda" for speed in speeds)


def test_the_features_of_a_gpu_are_those_that_torch_names() -> None:
    found = gpu_features(torch.device("cuda"))
    assert found.name == torch.cuda.get_device_name()
    assert found.native_bf16 == torch.cuda.is_bf16_supported(including_emulation=False)
    assert found.triton == torch.utils._triton.has_triton_package()
    if torch.version.hip is None:
        assert found.capability == torch.cuda.get_device_capability()
