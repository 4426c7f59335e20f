"""Recipes that a device or a network does not support are refused before data are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from srbench.cli import main
from srbench.errors import ConfigError
from srbench.models.factory import create_model
from srbench.training.device_support import GPUFeatures, check_features, check_training
from srbench.training.recipe import Recipe, make_recipe

H100 = GPUFeatures("H100", (9, 0), native_bf16=True, triton=True)
T4 = GPUFeatures("T4", (7, 5), native_bf16=False, triton=True)
P100 = GPUFeatures("P100", (6, 0), native_bf16=False, triton=True)


def recipe(**values: str) -> Recipe:
    return make_recipe({"iterations": 1, "gt_size": 24, **values})


@pytest.mark.parametrize(
    ("values", "gpu", "message"),
    [
        ({"precision": "bf16"}, T4, "precision 'bf16' is only emulated on T4"),
        ({"precision": "tf32"}, T4, "no effect on T4: it needs compute capability 8.0, and this GPU has 7.5"),
        ({"compile": "inductor"}, P100, "needs compute capability 7.0 on a GPU, and P100 has 6.0"),
        ({"compile": "inductor"}, replace(H100, triton=False), "needs Triton on a GPU, and it is not installed"),
    ],
)
def test_what_a_gpu_emulates_ignores_or_cannot_compile_is_refused(values: dict, gpu: GPUFeatures, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_features(recipe(**values), gpu)


@pytest.mark.parametrize(
    ("values", "gpu"),
    [
        ({"precision": "bf16", "compile": "inductor"}, H100),
        ({"precision": "tf32"}, H100),
        ({"precision": "tf32", "compile": "inductor"}, replace(H100, capability=(8, 0))),
        ({"precision": "tf32"}, replace(T4, name="of another maker", capability=None)),
        ({"compile": "inductor"}, T4),
        ({"compile": "graph"}, replace(P100, triton=False)),
    ],
)
def test_what_a_gpu_can_do_is_accepted(values: dict, gpu: GPUFeatures) -> None:
    check_features(recipe(**values), gpu)


@pytest.mark.parametrize(
    ("values", "device", "refused"),
    [
        ({"compile": "graph", "optimizer": "SGD"}, "cuda", True),
        ({"compile": "graph", "precision": "bf16"}, "cuda", False),
        ({"precision": "tf32"}, "cuda", False),
        ({"compile": "inductor"}, "cpu", False),
        ({"precision": "tf32"}, "cpu", True),
        ({"compile": "graph"}, "cpu", True),
    ],
)
def test_for_a_cluster_only_what_no_node_can_do_is_refused(values: dict, device: str, refused: bool) -> None:
    net = create_model("edsr_tiny", scale=2)
    if refused:
        with pytest.raises(ConfigError):
            check_training(recipe(**values), net, device, here=False)
    else:
        check_training(recipe(**values), net, device, here=False)


@pytest.mark.parametrize("values", ["precision: tf32", "compile: graph"])
def test_train_refuses_before_images_are_read(values: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.yaml").write_text(f"{{iterations: 1, gt_size: 24, {values}}}\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/broken.png").write_bytes(b"not an image")
    words = ["train", "edsr_tiny", "--scale", "2", "--data", tmp_path / "images", "--recipe", tmp_path / "recipe.yaml"]
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words), "--out", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err.startswith(f"srbench: {values.replace(': ', ' ').split()[0]} '")
    assert "the device is cpu" in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
