"""basicsr's option files: what is read of them, what is told, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from srbench.cli import main
from srbench.cli.app import app
from srbench.errors import SRBenchError
from srbench.interop.basicsr_options import read_options
from srbench.models.factory import create_model
from srbench.training.recipe import make_recipe

OPTIONS = """\
name: tiny_EDSR_x2
model_type: SRModel
scale: 2
num_gpu: 1
manual_seed: 7
datasets:
  train:
    name: mine
    type: PairedImageDataset
    dataroot_gt: images
    dataroot_lq: images_lq
    filename_tmpl: '{}'
    io_backend: {type: disk}
    gt_size: 16
    use_hflip: true
    use_rot: false
    use_shuffle: true
    num_worker_per_gpu: 6
    batch_size_per_gpu: 3
    dataset_enlarge_ratio: 100
    prefetch_mode: ~
  val: {name: mine, type: PairedImageDataset, dataroot_gt: images, dataroot_lq: images_lq, io_backend: {type: disk}}
network_g: {type: EDSR, num_in_ch: 3, num_out_ch: 3, num_feat: 8, num_block: 1, upscale: 2, img_range: 255.,
            rgb_mean: [0.4488, 0.4371, 0.4040]}
path: {pretrain_network_g: ~, strict_load_g: true, resume_state: ~}
train:
  ema_decay: 0.999
  optim_g: {type: Adam, lr: !!float 2e-4, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: MultiStepLR, milestones: [4]}
  total_iter: 6
  warmup_iter: -1
  pixel_opt: {type: L1Loss, loss_weight: 1.0, reduction: mean}
val: {val_freq: !!float 5e3, save_img: false, metrics: {psnr: {type: calculate_psnr, crop_border: 2}}}
logger: {print_freq: 100, save_checkpoint_freq: !!float 4e3, use_tb_logger: false, wandb: {project: ~, resume_id: ~}}
dist_params: {backend: nccl, port: 29500}
"""


def _written(folder: Path, **changes: object) -> Path:
    """Write the options with some replaced, named by dotted paths with `__`; None takes a key out."""
    values = yaml.safe_load(OPTIONS)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = values
        for part in parents:
            place = place[part]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    file = folder / "options.yml"
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    return file


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(5)
    for number in range(2):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((33, 27), Image.Resampling.BICUBIC).save(tmp_path / "images" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_becomes_the_training_that_it_describes(tmp_path: Path) -> None:
    (tmp_path / "options.yml").write_text(OPTIONS)
    options = read_options(tmp_path / "options.yml")
    assert (options.name, options.model, options.scale) == ("tiny_EDSR_x2", "basicsr/EDSR(num_block=1,num_feat=8)", 2)
    assert (options.data, options.val, options.weights, options.tensorboard) == ("images", "images", None, False)
    assert make_recipe(options.recipe) == make_recipe(
        {
            "iterations": 6, "batch_size": 3, "gt_size": 16, "hflip": True, "rot90": False, "seed": 7, "lr": 2e-4,
            "ema_decay": 0.999, "betas": [0.9, 0.99], "validate_every": 5000, "checkpoint_every": 4000,
            "scheduler": {"type": "MultiStepRestartLR", "milestones": [4], "gamma": 0.1},
        }
    )  # fmt: skip


def test_every_key_without_effect_is_listed_once_with_a_reason(tmp_path: Path) -> None:
    listed = dict(line.split(": ", 1) for line in read_options(_written(tmp_path, tpyo=3)).not_honoured)
    assert list(listed) == [
        "datasets.train.dataroot_lq", "datasets.train.filename_tmpl", "datasets.train.io_backend",
        "datasets.train.use_shuffle", "datasets.train.num_worker_per_gpu", "datasets.train.dataset_enlarge_ratio",
        "datasets.val.dataroot_lq", "val.save_img", "val.metrics", "logger.print_freq", "dist_params", "tpyo",
    ]  # fmt: skip
    assert (
        listed["datasets.train.dataroot_lq"] == "LR images are made from dataroot_gt with Matlab's bicubic, at scale 2"
    )
    assert listed["tpyo"] == "the key is unknown"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train__optim_g": {"type": "AdamW", "lr": 1e-3}}, {"optimizer": "AdamW", "weight_decay": 0.01, "lr": 1e-3}),
        ({"train__optim_g": {"type": "Adam", "lr": 1e-3}}, {"betas": (0.9, 0.999), "weight_decay": 0}),
        (
            {"train__optim_g": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
            {"optimizer": "SGD", "optimizer_options": {"momentum": 0.9}},
        ),
        ({"train__warmup_iter": 100}, {"warmup": 100}),
        ({"num_gpu": 4}, {"batch_size": 12}),
        ({"train__pixel_opt": {"type": "CharbonnierLoss"}}, {"loss_options": {"eps": 1e-12}}),
        (
            {"train__pixel_opt": {"type": "MSELoss", "loss_weight": 0.5}},
            {"loss": "MSELoss", "loss_options": {"loss_weight": 0.5}},
        ),
        (
            {"train__perceptual_opt": {"type": "PerceptualLoss", "layer_weights": {"conv5_4": 1}}},
            {"extra_losses": ({"type": "PerceptualLoss", "layer_weights": {"conv5_4": 1}},)},
        ),
    ],
)
def test_settings_of_training_are_honoured(tmp_path: Path, changes: dict, expected: dict) -> None:
    recipe = make_recipe(read_options(_written(tmp_path, **changes)).recipe)
    assert {key: getattr(recipe, key) for key in expected} == expected


def test_restarts_and_cosines_have_basicsrs_defaults(tmp_path: Path) -> None:
    cosine = {"type": "CosineAnnealingRestartLR", "periods": [6]}
    recipe = make_recipe(read_options(_written(tmp_path, train__scheduler=cosine)).recipe)
    assert (recipe.scheduler.eta_min, recipe.scheduler.restart_weights) == (0, (1,))
    steps = {"type": "MultiStepRestartLR", "milestones": [2], "restarts": [0, 3], "restart_weights": [1, 0.5]}
    recipe = make_recipe(read_options(_written(tmp_path, train__scheduler=steps)).recipe)
    assert (recipe.scheduler.restarts, recipe.scheduler.restart_weights) == ((0, 3), (1, 0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "ESRGANModel"}, "'model_type' is 'ESRGANModel', and option files of SRModel and SwinIRModel"),
        ({"scale": "two"}, "'scale' is 'two'"),
        ({"network_g__upscale": 4}, "'network_g.upscale' is 4, and the file's scale is 2"),
        ({"network_g__num_in_ch": 1}, "'network_g.num_in_ch' is 1, and images here are RGB"),
        ({"network_g__num_fet": 4}, "no argument 'num_fet'; did you mean 'num_feat'?"),
        ({"network_g__type": "EDRS"}, "did you mean 'EDSR'?"),
        ({"network_g__rgb_mean": [0.5, 0.5, 0.5]}, "which cannot be written in a model name"),
        ({"network_g": 3}, "'network_g' is 3; it must be a mapping"),
        ({"datasets__train__gt_size": 15}, "gt_size 15 is not a multiple of scale 2"),
        ({"datasets__train__gt_size": None}, "'datasets.train.gt_size' is missing"),
        ({"datasets__train__type": "RealESRGANDataset"}, "'datasets.train.type' is 'RealESRGANDataset'"),
        ({"datasets__train__color": "y"}, "'datasets.train.color' changes the input of the network"),
        ({"datasets__train__dataroot_gt": "x/train.lmdb"}, "is an LMDB file; give the folder of images"),
        ({"datasets__train__batch_size_per_gpu": 0}, "'batch_size' is 0"),
        ({"train__total_iter": None}, "'train.total_iter' is missing"),
        ({"train__optim_g__type": "Adm"}, "unknown optimizer 'Adm'; did you mean 'Adam'?"),
        ({"train__optim_g__lr": None}, "'train.optim_g' needs 'type' and 'lr'"),
        ({"train__optim_g__momentum": 1}, "the optimizer 'Adam' has no option 'momentum'"),
        ({"train__scheduler__type": "CosineLR"}, "'train.scheduler.type' is 'CosineLR'"),
        ({"train__scheduler__gama": 1}, "did you mean 'gamma'?"),
        ({"train__pixel_opt": None}, "neither 'pixel_opt' nor 'perceptual_opt'"),
        ({"train__pixel_opt__type": "L2Loss"}, "unknown loss 'L2Loss'; did you mean 'L1Loss'?"),
        ({"train__gan_opt": {"type": "GANLoss"}}, "'train.gan_opt' is a loss that SRModel does not compute"),
        ({"path__resume_state": "a.state"}, "'path.resume_state' is a state of basicsr"),
        ({"path__pretrain_network_g": "a.pth", "path__strict_load_g": False}, "'path.strict_load_g' is false"),
        ({"name": "../elsewhere"}, "'name' is '../elsewhere', and a folder is named after it"),
        ({"train": [1]}, "'train' is [1]; it must be a mapping"),
    ],
)
def test_what_would_be_another_training_is_a_sentence(tmp_path: Path, changes: dict, message: str) -> None:
    path = _written(tmp_path, **changes)
    with pytest.raises(SRBenchError) as caught:
        read_options(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"option file {path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [", "is not YAML"),
        (b"name: !!python/object/apply:os.system [touch ran]\n", "is not YAML: could not determine a constructor"),
        (b"- 1\n", "must be a mapping"),
        (b"\xff\xfe\x00", "is not a text file in UTF-8"),
        (b"", "must be a mapping"),
    ],
)
def test_bad_files_are_one_sentence_and_leave_nothing(
    workplace: Path, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "bad.yml").write_bytes(content)
    before = sorted(workplace.rglob("*"))
    with pytest.raises(SystemExit) as caught:
        main(["train", "--basicsr-options", "bad.yml"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert sorted(workplace.rglob("*")) == before


def test_the_command_trains_and_tells_what_it_does_not_honour(workplace: Path) -> None:
    start = create_model("basicsr/EDSR(num_block=1,num_feat=8)", scale=2, seed=5)
    torch.save({"params": start.state_dict()}, workplace / "start.pth")
    file = _written(workplace, path__pretrain_network_g="start.pth")
    done = CliRunner().invoke(app, ["train", "--basicsr-options", str(file), "--iterations", "2", "--json", "out.json"])
    assert done.exit_code == 0, done.output
    told = json.loads((workplace / "out.json").read_text())
    assert told["not_honoured"] == list(read_options(file).not_honoured)
    for line in told["not_honoured"]:
        assert f"not honoured: {line}" in done.output
    assert (told["iterations"], told["recipe"]["batch_size"], told["recipe"]["seed"]) == (2, 3, 7)
    assert told["starting_weights_sha256"] is not None
    assert [entry["iteration"] for entry in told["validations"]] == [2]
    assert Path(told["weights"]) == Path("runs/train/tiny_EDSR_x2_x2/weights.safetensors")
    assert (workplace / told["weights"]).is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["edsr_tiny"], "leave out MODEL (edsr_tiny)"),
        (["--recipe", "r.yaml"], "leave out --recipe"),
        (["--scales", "2,3"], "leave out --scales"),
        (["--scale", "3"], "--scale 3 contradicts option file"),
    ],
)
def test_options_that_contradict_the_file_are_refused(workplace: Path, arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["train", "--basicsr-options", str(_written(workplace)), *arguments])
    assert message in str(done.exception)
