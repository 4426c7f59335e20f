"""Figures of masks and features: what they hold, that they are the same each time, and what they refuse."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.cli import main
from srbench.data.datasets import open_dataset
from srbench.models.factory import create_model
from srbench.models.loading import load_network
from srbench.models.weight_files import save_state
from srbench.protocols import get_protocol
from srbench_sparse_mask.block import masked_blocks
from srbench_sparse_mask.figures.images import about_weights, find_images
from srbench_sparse_mask.figures.recording import run_recorded
from srbench_sparse_mask.figures.relu import channel_sparsity, relu_maps

pytest.importorskip("matplotlib")
MODEL = "srresnet_tiny+sparse_mask"


def srbench(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with small images and weights of small networks."""
    (tmp_path / "images").mkdir()
    for number, name in enumerate(("a", "b")):
        pixels = open_dataset("embedded-test").hr("chelsea")[:48, 100 * number : 100 * number + 64]
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    for file, model, scale in (
        ("masked", MODEL, 2),
        ("gradient", f"{MODEL}(spatial=gradient)", 2),
        ("x3", MODEL, 3),
        ("plain", "srresnet_tiny", 2),
        ("imdn", "imdn_tiny", 2),
    ):
        save_state(create_model(model, scale=scale, seed=3), tmp_path / f"{file}.safetensors")
    return tmp_path


def drawn(folder: Path, kind: str) -> list[object]:
    """Return the arguments that draw a kind of figure."""
    one = ["--data", folder / "images"]
    masked = [MODEL, "--weights", folder / "masked.safetensors"]
    plain = ["srresnet_tiny", "--weights", folder / "plain.safetensors"]
    beside = ["--beside", f"{MODEL}(spatial=gradient)", "--beside-weights", folder / "gradient.safetensors"]
    return {
        "masks": [*masked, "--image", "a,b", *beside, *one],
        "features": [*plain, "--image", "a,b", *one],
        "feature-sparsity": [*plain, *one],
        "module-sparsity": [*masked, "--weights", folder / "x3.safetensors", *one],
    }[kind]


@pytest.mark.parametrize("kind", ["masks", "features", "feature-sparsity", "module-sparsity"])
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_figure_drawn_again_is_the_same_file(folder: Path, kind: str, ending: str) -> None:
    contents = []
    for name in ("a", "b"):
        file = folder / f"{name}.{ending}"
        assert srbench("figure", kind, *drawn(folder, kind), "-o", file) == 0
        contents.append(file.read_bytes())
    assert contents[0] == contents[1]
    if ending == "png":
        assert min(Image.open(io.BytesIO(contents[0])).size) > 100
    else:
        assert b"<svg" in contents[0]


def test_the_masks_shown_are_those_of_the_network(folder: Path) -> None:
    network = load_network(MODEL, folder / "masked.safetensors").at_scale(2).eval()
    lr = open_dataset(folder / "images").lr("a", 2, get_protocol("matlab-y"))
    modules = run_recorded(network, lr, 2, features=True)
    # Four blocks of two convolutions, of which four share a mask.
    assert [[layer.path for layer in module.layers] for module in modules] == [
        [f"body.{block}.conv{number}" for block in blocks for number in (1, 2)] for blocks in ((0, 1), (2, 3))
    ]
    share = []
    for module in modules:
        for layer in module.layers:
            assert layer.maps is not None
            # Where the mask is off, sparse channels are zero.
            off = layer.maps[~layer.dense][:, ~module.spatial]
            assert not off.any()
            share.append(1 - (1 - layer.dense.mean()) * (1 - module.spatial.mean()))
    assert np.mean([module.sparsity for module in modules]) == pytest.approx(1 - np.mean(share))
    # The recording is over: the network forgets what it was asked to note.
    assert all(block.recorder is None for _, block in masked_blocks(network))


def test_of_a_network_with_its_own_masks_each_block_is_a_module(folder: Path) -> None:
    network = create_model("smsr_tiny", scale=2, seed=1).eval()
    lr = open_dataset(folder / "images").lr("a", 2, get_protocol("matlab-y"))
    modules = run_recorded(network, lr, 2)
    assert [len(module.layers) for module in modules] == [4, 4, 4]
    assert all(module.spatial.shape == lr.shape[:2] for module in modules)
    assert all(layer.maps is None for module in modules for layer in module.layers)


def test_zeros_are_counted_after_the_relus_of_the_blocks(folder: Path) -> None:
    network = load_network("srresnet_tiny", folder / "plain.safetensors").at_scale(2).eval()
    dataset = open_dataset(folder / "images")
    lrs = {name: dataset.lr(name, 2, get_protocol("matlab-y")) for name in ("a", "b")}
    expected: dict[str, list[np.ndarray]] = {}
    hooks = [
        network.get_submodule(f"body.{block}.conv1").register_forward_hook(
            lambda _, inputs, output, path=f"body.{block}.conv1": expected.setdefault(path, []).append(
                (output[0] <= 0).float().mean((1, 2)).numpy()
            )
        )
        for block in range(4)
    ]
    found = channel_sparsity(network, lrs, 2)
    for hook in hooks:
        hook.remove()
    assert list(found) == list(expected)
    for path, values in found.items():
        np.testing.assert_allclose(values, np.mean(expected[path], axis=0), atol=1e-6)


def test_relus_outside_the_blocks_and_of_attention_are_left_out() -> None:
    network = create_model("rcan_g5b10", scale=2, seed=0).eval()
    seen: list[str] = []
    lr = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    relu_maps(network, lr, 2, lambda path, maps: seen.append(path))
    assert seen == [f"body.{group}.residual_group.{block}.rcab.0" for group in range(5) for block in range(10)]


def test_images_are_found_by_name_and_free_ones_first() -> None:
    assert [(dataset.name, name) for dataset, name in find_images("camera,butterfly", None)] == [
        ("embedded-test", "camera"),
        ("Set5", "butterfly"),
    ]
    ((dataset, name),) = find_images(None, None)
    assert dataset.redistributable
    assert name == "astronaut"


def test_a_figure_says_that_a_training_is_our_own(tmp_path: Path) -> None:
    training: dict[str, dict[str, object]] = {"result": {"iterations": 2000, "data": "bsds400"}}
    (tmp_path / "training.json").write_text(json.dumps(training))
    assert about_weights("smsr_tiny", tmp_path / "weights.safetensors") == (
        "own small training: 2,000 iterations on bsds400"
    )
    training["result"]["starting_weights_sha256"] = "0" * 64
    (tmp_path / "training.json").write_text(json.dumps(training))
    assert about_weights("smsr", tmp_path / "weights.safetensors").endswith("on bsds400, started from other weights")
    (tmp_path / "training.json").write_text("{}")
    assert about_weights("smsr_tiny", tmp_path / "weights.safetensors") == "weights: weights.safetensors"
    assert about_weights("smsr.author", None) == "the authors' weights"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["masks", MODEL, "-o", "x.jpg"], ".png or .svg; got 'x.jpg'"),
        (["masks", MODEL, "-o", "x.png"], "has no weights"),
        (["masks", MODEL, "-o", "x.png", "--beside-weights", "y"], "--beside-weights needs --beside"),
        (["masks", "srresnet_tiny", "--weights", "plain.safetensors", "-o", "x.png"], "no sparse masks"),
        (["module-sparsity", "srresnet_tiny", "--weights", "plain.safetensors", "-o", "x.png"], "no sparse masks"),
        (["masks", MODEL, "-o", "x.png", "--image", "butterfli"], "did you mean 'butterfly'"),
        (["features", MODEL, "-o", "x.png", "--data", "images", "--image", "c"], "no image 'c'"),
        (["features", "imdn_tiny", "--weights", "imdn.safetensors", "-o", "x.png"], "no ReLU in its blocks"),
        (["feature-sparsity", "imdn_tiny", "--weights", "imdn.safetensors", "--data", "images", "-o", "x.png"],
         "no ReLU in its blocks"),
        (["feature-sparsity", "srresnet_tiny", "--weights", "plain.safetensors", "--scale", "3", "-o", "x.png"],
         "plain.safetensors"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence_and_leaves_no_file(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    assert srbench("figure", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("srbench: ")
    assert error.count("\n") == 1
    assert not list(folder.glob("x.*"))


@torch.no_grad()
def test_drawing_leaves_the_network_as_it_was(folder: Path) -> None:
    network = load_network(MODEL, folder / "masked.safetensors").at_scale(2).eval()
    lr = torch.rand(1, 3, 10, 12, generator=torch.Generator().manual_seed(0))
    before = network(lr)
    run_recorded(network, (lr[0].permute(1, 2, 0) * 255).byte().numpy(), 2, features=True)
    assert torch.equal(network(lr), before)
