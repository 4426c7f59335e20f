"""What a training computes, against plain torch and basicsr's own parts; and what it refuses."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from srbench.errors import ConfigError, DataError, StoreError, UnknownNameError
from srbench.models.factory import create_model
from srbench.models.weight_files import load_into, load_state
from srbench.training.basicsr_model import SRBenchModel
from srbench.training.checkpoint import load_checkpoint, save_checkpoint
from srbench.training.patches import TrainingPatches
from srbench.training.train import train

CPU = torch.device("cpu")


def _images(count: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {f"image{n}": rng.integers(0, 256, (30 + n, 40 - n, 3), dtype=np.uint8) for n in range(count)}


def _train(toy, folder: Path, out: Path, **options):
    changes = options.pop("recipe", {})
    return train("engine_toy", scales=(2, 3), data=folder, recipe=toy.recipe(**changes), out_dir=out, **options)


def test_steps_equal_a_plain_torch_loop(toy) -> None:
    recipe = toy.recipe(ema_decay=0, scheduler={"type": "none"}, weight_decay=0.01, betas=[0.8, 0.95])
    patches = TrainingPatches(_images(), recipe, (2,))
    net = create_model("edsr_tiny", scale=2, seed=0)
    plain = copy.deepcopy(net)
    model = SRBenchModel(net, recipe, CPU)
    optimizer = torch.optim.Adam(plain.parameters(), lr=recipe.lr, betas=(0.8, 0.95), weight_decay=0.01)
    for iteration in range(1, 9):
        batch = patches.batch(iteration)
        optimizer.zero_grad()
        loss = (plain(batch.lr) - batch.hr).abs().mean()
        loss.backward()
        optimizer.step()
        # The fused optimiser adds in another order than the plain one.
        assert model.step(batch, iteration).item() == pytest.approx(loss.item(), rel=1e-5)


def test_the_auxiliary_loss_is_added(toy) -> None:
    class Penalised(toy.EngineToy):
        def auxiliary_loss(self) -> torch.Tensor:
            return 100 * self.head.bias.square().sum()

    recipe = toy.recipe(ema_decay=0)
    batch = TrainingPatches(_images(), recipe, (2,)).batch(1)
    torch.manual_seed(0)
    net = Penalised((2,))
    penalty = net.auxiliary_loss().item()
    net.drop.p = 0
    rest = nn.functional.l1_loss(net(batch.lr), batch.hr).item()
    assert SRBenchModel(net, recipe, CPU).step(batch, 1).item() == pytest.approx(rest + penalty, rel=1e-5)


def test_the_average_follows_basicsr_and_covers_buffers(toy) -> None:
    recipe = toy.recipe(ema_decay=0.7)
    patches = TrainingPatches(_images(), recipe, (2, 3))
    model = SRBenchModel(create_model("engine_toy", scales=(2, 3), seed=0), recipe, CPU)
    mean = copy.deepcopy(model.net_g.state_dict())
    for iteration in range(1, 6):
        model.step(patches.batch(iteration), iteration)
        for key, value in model.net_g.state_dict().items():
            mean[key] = 0.7 * mean[key] + 0.3 * value if value.is_floating_point() else value.clone()
    averaged = model.trained.state_dict()
    assert int(averaged["norm.num_batches_tracked"]) == 5
    for key, value in averaged.items():
        torch.testing.assert_close(value, mean[key], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ({"type": "none"}, [1e-3] * 6),
        (
            {"type": "MultiStepRestartLR", "milestones": [2, 4], "gamma": 0.1},
            [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5],
        ),
        (
            {"type": "CosineAnnealingRestartLR", "eta_min": 0},
            # Half a cosine over the 6 iterations, by its formula.
            [1e-3 * 0.5 * (1 + np.cos(np.pi * step / 6)) for step in range(6)],
        ),
    ],
)
def test_the_learning_rate_follows_the_scheduler(toy, scheduler: dict, expected: list[float]) -> None:
    recipe = toy.recipe(iterations=6, scheduler=scheduler)
    patches = TrainingPatches(_images(), recipe, (2,))
    model = SRBenchModel(create_model("engine_toy", scales=(2,), seed=0), recipe, CPU)
    rates = []
    for iteration in range(1, 7):
        model.step(patches.batch(iteration), iteration)
        rates += model.get_current_learning_rate()
    assert rates == pytest.approx(expected)


def test_two_trainings_with_one_seed_write_the_same_file(toy, image_folder: Path, tmp_path: Path) -> None:
    first = _train(toy, image_folder, tmp_path / "a")
    again = _train(toy, image_folder, tmp_path / "b")
    other = _train(toy, image_folder, tmp_path / "c", recipe={"seed": 4})
    assert first.weights.read_bytes() == again.weights.read_bytes()
    assert first.weights_sha256 != other.weights_sha256


def test_names_of_images_do_not_matter(toy, image_folder: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for number, path in enumerate(sorted(image_folder.iterdir(), reverse=True)):
        (renamed / f"{number}.png").write_bytes(path.read_bytes())
    first = _train(toy, image_folder, tmp_path / "a")
    assert _train(toy, renamed, tmp_path / "b").weights_sha256 == first.weights_sha256


def test_validation_reports_and_leaves_no_trace(toy, image_folder: Path, tmp_path: Path) -> None:
    seen = []
    plain = _train(toy, image_folder, tmp_path / "a")
    validated = _train(
        toy,
        image_folder,
        tmp_path / "b",
        recipe={"validate_every": 16},
        val=image_folder,
        progress=seen.append,
    )
    assert validated.weights_sha256 == plain.weights_sha256
    assert [entry["iteration"] for entry in validated.validations] == [16, 32, 40]
    assert set(validated.validations[0]) == {"iteration", "psnr_y x2", "psnr_y x3", "ssim_y x2", "ssim_y x3"}
    assert seen[-1].iteration == 40
    assert seen[-1].seconds_left == 0
    assert seen[-1].validation["psnr_y x2"] == validated.validations[-1]["psnr_y x2"]


def test_training_leaves_the_callers_settings_as_they_were(toy, image_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(11)
    random.seed(12)
    before = (torch.get_rng_state(), random.getstate(), torch.get_num_threads())
    _train(toy, image_folder, tmp_path, recipe={"iterations": 3}, threads=2)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), torch.get_num_threads()) == before[1:]
    assert not torch.are_deterministic_algorithms_enabled()


def test_trained_weights_load_into_the_model(toy, image_folder: Path, tmp_path: Path) -> None:
    result = _train(toy, image_folder, tmp_path, recipe={"iterations": 3})
    net = create_model("engine_toy", scales=(2, 3))
    load_into(net, result.weights)
    assert torch.equal(net.head.weight, load_state(result.weights)["head.weight"])


def test_a_completed_training_is_not_repeated(toy, image_folder: Path, tmp_path: Path) -> None:
    first = _train(toy, image_folder, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = _train(toy, image_folder, tmp_path)
    assert again.complete_before
    assert (again.weights, again.weights_sha256, again.loss) == (first.weights, first.weights_sha256, first.loss)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written
    fresh = _train(toy, image_folder, tmp_path, resume=False)
    assert (fresh.complete_before, fresh.weights_sha256) == (False, first.weights_sha256)


def test_a_checkpoint_that_a_kill_left_beside_a_complete_training_is_removed(
    toy, image_folder: Path, tmp_path: Path
) -> None:
    first = _train(toy, image_folder, tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"what a kill between the marker and the removal leaves")
    again = _train(toy, image_folder, tmp_path)
    assert (again.complete_before, again.weights_sha256) == (True, first.weights_sha256)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_checkpointing_more_often_is_the_same_training(toy, image_folder: Path, tmp_path: Path) -> None:
    often = _train(toy, image_folder, tmp_path, recipe={"checkpoint_every": 1})
    assert _train(toy, image_folder, tmp_path, recipe={"checkpoint_every": 1000}).complete_before
    assert often.weights_sha256 == _train(toy, image_folder, tmp_path / "rare").weights_sha256


def test_results_of_another_training_are_refused_by_what_differs(toy, image_folder: Path, tmp_path: Path) -> None:
    _train(toy, image_folder, tmp_path)
    with pytest.raises(
        ConfigError, match=r"training.json belongs to another training: lr is '0.001', asked for is '0.1'"
    ):
        _train(toy, image_folder, tmp_path, recipe={"lr": 0.1})
    with pytest.raises(ConfigError, match=r"model is 'engine_toy', asked for is 'edsr_tiny'; scales is "):
        train("edsr_tiny", scales=(2,), data=image_folder, recipe=toy.recipe(), out_dir=tmp_path)


def test_a_checkpoint_of_another_training_is_refused_by_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"model": "a", "recipe": {"seed": 1, "lr": 0.1}}, {})
    assert load_checkpoint(path, {"model": "a", "recipe": {"seed": 1, "lr": 0.1}}) == {}
    with pytest.raises(ConfigError, match="seed is '1', asked for is '2'"):
        load_checkpoint(path, {"model": "a", "recipe": {"seed": 2, "lr": 0.1}})
    with pytest.raises(ConfigError, match="model is 'a', asked for is 'b'"):
        load_checkpoint(path, {"model": "b", "recipe": {"seed": 1, "lr": 0.1}})


def test_a_checkpoint_stores_a_shared_tensor_once(tmp_path: Path) -> None:
    shared = torch.zeros(100_000)
    save_checkpoint(tmp_path / "c.pt", {}, {"a": shared, "b": {"c": shared}})
    assert (tmp_path / "c.pt").stat().st_size < 1.1 * shared.nbytes


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "code"])
def test_a_damaged_checkpoint_is_refused_and_left_alone(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {}, {"weight": torch.zeros(1000)})
    whole = path.read_bytes()
    if damage == "code":
        torch.save({"srbench_checkpoint": 1, "identity": {}, "state": pytest.approx}, path)
    else:
        path.write_bytes({"truncated": whole[:2000], "empty": b"", "text": b"not a checkpoint"}[damage])
    content = path.read_bytes()
    with pytest.raises(StoreError, match=r"checkpoint\.pt cannot be read as a checkpoint"):
        load_checkpoint(path, {})
    assert path.read_bytes() == content


def test_altered_weights_of_a_completed_training_are_noticed(toy, image_folder: Path, tmp_path: Path) -> None:
    result = _train(toy, image_folder, tmp_path, recipe={"iterations": 2})
    result.weights.write_bytes(result.weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(StoreError, match="was not written by the training"):
        _train(toy, image_folder, tmp_path, recipe={"iterations": 2})


def test_a_diverged_training_says_so(toy, image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"diverged: the loss is (nan|inf).*lower than 1e\+30"):
        _train(toy, image_folder, tmp_path, recipe={"lr": 1e30, "loss": "MSELoss"})
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": "edsr_tinny"}, UnknownNameError, "did you mean 'edsr_tiny'"),
        ({"model": "drrn_b1u9+ps.author"}, ConfigError, "leave the tag out"),
        ({"model": "bicubic"}, ConfigError, "no parameters to train"),
        ({"scales": (2, 3)}, ConfigError, "EDSR is a network for one scale"),
        ({"scales": ()}, ConfigError, "scales must be distinct"),
        ({"scales": (0,)}, ConfigError, "scales must be distinct"),
        ({"scales": (2, 2)}, ConfigError, "scales must be distinct"),
        ({"recipe": {"gt_size": 13}}, ConfigError, "gt_size 13 is not a multiple of scale 2.*try 12 or 14"),
        ({"recipe": {"gt_size": 26}}, DataError, "1 of 3 training images are smaller than gt_size 26: image2"),
        ({"device": "gpu"}, ConfigError, "unknown device 'gpu'"),
        ({"device": "mps"}, ConfigError, "unknown device"),
        ({"threads": 0}, ConfigError, "threads=0 is not a whole number"),
        ({"data": "no-such-set"}, UnknownNameError, "unknown data set 'no-such-set'"),
        ({"val": "no-such-set"}, UnknownNameError, "unknown data set 'no-such-set'"),
        ({"val": "embedded-test", "protocol": "matlab-z"}, UnknownNameError, "did you mean 'matlab-y'"),
    ],
)
def test_wrong_arguments_are_sentences_and_write_nothing(
    toy, image_folder: Path, tmp_path: Path, change: dict, error: type[Exception], message: str
) -> None:
    options = {"scales": (2,), "data": image_folder, **change, "recipe": toy.recipe(**change.get("recipe", {}))}
    name = options.pop("model", "edsr_tiny")
    with pytest.raises(error, match=message):
        train(name, out_dir=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_a_gpu_is_a_sentence(toy, image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sees no GPU"):
        _train(toy, image_folder, tmp_path, device="cuda")


def test_the_record_of_a_training_can_be_read(toy, image_folder: Path, tmp_path: Path) -> None:
    result = _train(toy, image_folder, tmp_path, recipe={"iterations": 2})
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["result"]["recipe"]["iterations"] == 2
    assert record["result"]["weights_sha256"] == result.weights_sha256
    assert toy.recipe(iterations=2).digest == result.recipe_digest


def test_tensorboard_gets_loss_rate_and_validation(toy, image_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = _train(
        toy, image_folder, tmp_path, recipe={"iterations": 4, "checkpoint_every": 2}, val=image_folder, tensorboard=True
    )
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("loss")] == [2, 4]
    assert board.Scalars("loss")[-1].value == pytest.approx(result.loss)
    assert board.Scalars("psnr_y/x3")[-1].value == pytest.approx(result.validations[-1]["psnr_y x3"])
