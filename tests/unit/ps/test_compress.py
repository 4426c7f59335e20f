"""`srbench compress`: the error is what theory says, and the weights are what other commands take."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from srbench.cli import main
from srbench.images.files import write_png
from srbench.images.resize import imresize
from srbench.models.counting import count_parameters
from srbench.models.factory import create_model
from srbench.models.surgery import layer_at
from srbench.models.weight_files import load_into, save_state


def srbench(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


@pytest.fixture
def trained(tmp_path: Path, seed: int) -> Path:
    """Weights as training leaves them: kernels that have something in common, and biases that are not zero."""
    model = create_model("edsr_tiny", scale=2, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(16, 16, 3, 3, generator=generator)
    with torch.no_grad():
        for site in model.sharing_sites():
            layer = layer_at(model, site.path)
            layer.weight.add_(0.05 * torch.rand((), generator=generator) * common)
            layer.bias.normal_(std=0.01, generator=generator)
    save_state(model, tmp_path / "trained.safetensors")
    return tmp_path / "trained.safetensors"


def rows_of_tiles(weight: torch.Tensor, shape: tuple[int, int, int, int]) -> torch.Tensor:
    """Cut a kernel (out, in, h, w) into flattened tiles, in plain loops."""
    c_in, c_out, k_h, k_w = shape
    kernel = weight.transpose(0, 1)
    cut = [
        kernel[i : i + c_in, o : o + c_out, h : h + k_h, w : w + k_w].reshape(-1)
        for i in range(0, kernel.shape[0], c_in)
        for o in range(0, kernel.shape[1], c_out)
        for h in range(0, kernel.shape[2], k_h)
        for w in range(0, kernel.shape[3], k_w)
    ]
    return torch.stack(cut)


@pytest.mark.parametrize("ratio", ["1/16", "1/8", "1/4", "1/2", "3/4", "15/16"])
@pytest.mark.parametrize(("shape", "tile"), [("CxCx1x1", (16, 16, 1, 1)), ("16x1x3x3", (16, 1, 3, 3))])
def test_the_error_equals_the_tail_singular_values(
    trained: Path, capsys, ratio: str, shape: str, tile: tuple[int, int, int, int]
) -> None:
    """Eckart and Young: to 1e-5 relative, at every ratio; per layer too, the sums agree."""
    out = trained.parent / "small.safetensors"
    command = ["compress", "edsr_tiny", "--weights", trained, "--ratio", ratio, "--shape", shape, "-o", out]
    assert srbench(*command, "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    dense = create_model("edsr_tiny", scale=2)
    load_into(dense, trained)
    weights = {site.path: layer_at(dense, site.path).weight.detach().double() for site in dense.sharing_sites()}
    singular = torch.linalg.svdvals(torch.cat([rows_of_tiles(weight, tile) for weight in weights.values()]))
    total = sum(weight.numel() for weight in weights.values()) // math.prod(tile)
    kept = int(Fraction(ratio) * total + Fraction(1, 2))
    tail = float(singular[kept:].square().sum().sqrt())
    assert result["error"] == pytest.approx(tail, rel=1e-5)
    assert result["singular_values_left_out"] == pytest.approx(tail, rel=1e-9)
    # The file itself, not what the command says of it.
    small = create_model(result["model"], scale=2)
    load_into(small, out)
    for layer in result["layers"]:
        made = small.get_submodule(layer["path"]).kernel().detach().double()
        assert float((made - weights[layer["path"]]).norm()) == pytest.approx(layer["error"], rel=1e-6)
    assert result["parameters"] == count_parameters(small)
    assert result["parameters_before"] == count_parameters(dense)


def test_ratio_one_loses_nothing(trained: Path, capsys) -> None:
    out = trained.parent / "whole.safetensors"
    assert srbench("compress", "edsr_tiny", "--weights", trained, "--ratio", 1, "-o", out, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["relative_error"] < 1e-6
    dense, whole = create_model("edsr_tiny", scale=2), create_model("edsr_tiny+ps(ratio=1)", scale=2)
    load_into(dense, trained)
    load_into(whole, out)
    image = torch.rand(1, 3, 9, 8)
    assert torch.allclose(dense(image), whole(image), atol=1e-5)


def test_smaller_ratios_lose_more(trained: Path, capsys) -> None:
    errors = []
    for ratio in ("1/16", "1/4", "1/2", "3/4"):
        out = trained.parent / "small.safetensors"
        assert srbench("compress", "edsr_tiny", "--weights", trained, "--ratio", ratio, "-o", out, "--json", "-") == 0
        errors.append(json.loads(capsys.readouterr().out)["error"])
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) == len(errors)


def test_a_multi_scale_network_starts_all_its_scales_at_the_same_kernels(tmp_path: Path, capsys) -> None:
    dense = create_model("drrn_b1u9+dense", scales=(2, 3), seed=1)
    save_state(dense, tmp_path / "dense.safetensors")
    command = ["compress", "drrn_b1u9+dense", "--weights", tmp_path / "dense.safetensors", "--num-filters", 4]
    assert srbench(*command, "-o", tmp_path / "small.safetensors", "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["model"], result["scales"]) == ("drrn_b1u9+ps(num_filters=4,shape=CxCx1x1)", [2, 3])
    small = create_model(result["model"], scales=(2, 3))
    load_into(small, tmp_path / "small.safetensors")
    layer = small.get_submodule("units.0.conv1")
    assert torch.equal(layer.coefficients["x2"], layer.coefficients["x3"])


def test_training_and_evaluation_take_the_compressed_weights(trained: Path, tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    write_png(imresize(rng.integers(0, 256, (6, 7, 3), dtype=np.uint8), 4), tmp_path / "images" / "one.png")
    out, model, data = tmp_path / "half.safetensors", "edsr_tiny+ps(ratio=1/2)", ["--data", tmp_path / "images"]
    assert srbench("compress", "edsr_tiny", "--weights", trained, "--ratio", "1/2", "-o", out) == 0
    printed = capsys.readouterr().out
    assert "body.3.conv2" in printed
    assert 'srbench train "edsr_tiny+ps(ratio=1/2,shape=CxCx1x1)" --weights' in printed
    measure = ["--scale", 2, *data, "--protocol", "matlab-y", "--json", "-"]
    assert srbench("eval", model, "--weights", out, *measure) == 0
    start = json.loads(capsys.readouterr().out)
    train = ["--scale", 2, *data, "--iterations", 1, "--batch-size", 1, "--gt-size", 8, "--lr", 1e-9]
    assert srbench("train", model, "--weights", out, *train, "--out", tmp_path / "run", "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["starting_weights_sha256"] == start["weights_sha256"]
    # At this learning rate one step changes nothing that can be seen: it began where the file is.
    assert srbench("eval", model, "--weights", result["weights"], *measure) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == pytest.approx(start["metrics"], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["edsr_tiny", "-o", "x.safetensors"], "say how far to compress"),
        (["edsr_tiny", "-o", "x.safetensors", "--ratio", "1/2", "--num-filters", "3"], "say how far to compress"),
        (["edsr_tiny", "-o", "x.safetensors", "--ratio", "1/2"], "has no weights"),
        (["edsr_tiny", "-o", "x.pth", "--ratio", "1/2", "--weights", "W"], "written as .safetensors"),
        (["edsr_tiny", "-o", "x.safetensors", "--ratio", "2", "--weights", "W"], "not in (0, 1]"),
        (["edsr_tiny", "-o", "x.safetensors", "--ratio", "half", "--weights", "W"], "not in (0, 1]"),
        (["edsr_tiny", "-o", "x.safetensors", "--ratio", "1/2", "--weights", "none.pth"], "no weights file 'none.pth'"),
        (["edsr_tiny", "-o", "x.safetensors", "--ratio", "1/2", "--weights", "W", "--shape", "5x5x1x1"], "do not tile"),
        (["edsr_tiny", "-o", "x.safetensors", "--ratio", "1/2", "--weights", "W", "--method", "basis"], "'ps'"),
        (["edsr_tiny+recursive", "-o", "x.safetensors", "--ratio", "1/2", "--weights", "R"], "shares weights by"),
        (
            ["edsr_baseline", "-o", "x.safetensors", "--ratio", "1/2", "--weights", "W"],
            "are for 'edsr_tiny' (x2), not for 'edsr_baseline' (x2)",
        ),
        (["drrn_b1u9+ps.author", "-o", "x.safetensors", "--ratio", "1/2"], "shares weights by 'ps' already"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_no_file(
    trained: Path, filled_cache: Path, monkeypatch, capsys, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(trained.parent)
    save_state(create_model("edsr_tiny+recursive", scale=2), "recursive.safetensors")
    files = {"W": str(trained), "R": "recursive.safetensors"}
    assert srbench("compress", *(files.get(argument, argument) for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("srbench: ")
    assert error.count("\n") == 1
    assert not list(trained.parent.glob("x.*"))
