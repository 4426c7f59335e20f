"""`srbench eval --weights`: files of one scale and of several."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import srbench
from srbench.cli import main
from srbench.models.weight_files import save_state


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (36, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "one.png")
    return tmp_path / "images"


def _eval(model: str, scale: int, images: Path, weights: Path, out: Path) -> int:
    options = ["--data", images, "--protocol", "matlab-y", "--weights", weights, "--json", out]
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in ("eval", model, "--scale", scale, *options)])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("model", ["drrn_b1u9+ps(num_filters=4)", "drrn_b1u9"])
def test_weights_of_a_multi_scale_network_serve_each_of_its_scales(images: Path, tmp_path: Path, model: str) -> None:
    network = srbench.create_model(model, scales=(2, 3), seed=1)
    save_state(network, tmp_path / "both.safetensors")
    figures = {}
    for scale in (2, 3):
        save_state(network.at_scale(scale), tmp_path / "one.safetensors")
        for name in ("both", "one"):
            assert _eval(model, scale, images, tmp_path / f"{name}.safetensors", tmp_path / "out.json") == 0
            figures[name, scale] = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert figures["both", 2] == figures["one", 2]
    assert figures["both", 3] == figures["one", 3]
    assert _eval(model, 4, images, tmp_path / "both.safetensors", tmp_path / "out.json") == 2


def test_a_metric_named_twice_is_measured_once(images: Path, tmp_path: Path) -> None:
    options = ["--scale", "2", "--data", str(images), "--protocol", "matlab-y", "--metrics", "psnr_y,psnr_y"]
    with pytest.raises(SystemExit) as ended:
        main(["eval", "bicubic", *options, "--json", str(tmp_path / "out.json")])
    assert not ended.value.code
    assert list(json.loads((tmp_path / "out.json").read_text())["metrics"]) == ["psnr_y"]
