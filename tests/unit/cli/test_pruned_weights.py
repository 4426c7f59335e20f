"""Weights that say how large a network is: what `cost`, `audit`, `list --table` and `export` make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.errors import ConfigError, WeightsError
from srbench.models.factory import create_model
from srbench.models.weight_files import save_state
from srbench_pruning.layers import DHPConv, latents_of

NAME = "edsr_tiny+dhp"
DENSE = 31_043
# Of each block's inner 16 channels 6 are pruned: 2 convolutions of 16x16x9 lose 6*16*9 weights each, and a bias each.
PRUNED = DENSE - 4 * (2 * 6 * 16 * 9 + 6)


def run(*args: object) -> str:
    result = CliRunner().invoke(app, [*map(str, args)], terminal_width=200)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    model = create_model(NAME, scale=2, seed=0)
    latents = latents_of(model)
    for path, layer in model.named_modules():
        if isinstance(layer, DHPConv) and path.endswith("conv1"):
            latents.alive[layer.outputs[:6]] = False
    save_state(model, tmp_path / "pruned.safetensors")
    return tmp_path / "pruned.safetensors"


def cost(*args: object) -> Any:
    return json.loads(run("cost", *args, "--scale", 2, "--json", "-"))["models"]


def test_cost_counts_what_is_left(weights: Path) -> None:
    (unfolded,) = cost(NAME, "--weights", weights)
    (folded,) = cost(NAME, "--weights", weights, "--fold")
    (dense,) = cost("edsr_tiny")
    assert unfolded["params_folded"] == folded["params"] == folded["params_folded"] == PRUNED
    assert unfolded["params"] > dense["params"] == DENSE
    # Each weight of the blocks works on each of the 640x360 LR pixels.
    saved = 4 * 2 * 6 * 16 * 9 * 640 * 360
    assert dense["output_1280x720"]["macs"] - folded["output_1280x720"]["macs"] == saved
    assert unfolded["output_1280x720"]["macs"] == dense["output_1280x720"]["macs"], "masks are multiplied by"
    assert unfolded["output_1280x720"]["synthesis"] > 0 == folded["output_1280x720"]["synthesis"]


def test_weights_are_given_in_the_order_of_the_models(weights: Path) -> None:
    plain = weights.with_name("plain.safetensors")
    save_state(create_model("edsr_tiny", scale=2, seed=0), plain)
    found = cost("edsr_tiny", NAME, "--weights", plain, "--weights", weights, "--fold")
    assert [model["params"] for model in found] == [DENSE, PRUNED]
    with pytest.raises(ConfigError, match="given once for each model, in their order; got 1 for 2"):
        run("cost", "edsr_tiny", NAME, "--scale", 2, "--weights", weights)


def test_memory_is_measured_with_the_weights(weights: Path) -> None:
    (found,) = cost(NAME, "--weights", weights, "--fold", "--memory", "--lr-size", "16x16")
    assert found["peak_bytes_measured"] >= 0


def test_masks_of_own_weights_say_what_they_execute(tmp_path: Path) -> None:
    file = tmp_path / "smsr.safetensors"
    save_state(create_model("smsr_tiny", scale=2, seed=0), file)
    written = tmp_path / "cost.json"
    run("cost", "smsr_tiny", "--scale", 2, "--weights", file, "--data", "embedded-test", "--json", written)
    (found,) = json.loads(written.read_text())["models"]
    assert len(found["executed_macs"]) > 1
    assert not found["random_masks"]


def test_audit_counts_what_folding_leaves(weights: Path) -> None:
    found = json.loads(run("audit", NAME, "--scale", 2, "--weights", weights, "--json", "-"))
    assert found["folded"] == {"2": PRUNED}
    assert found["unshared"] == {"2": PRUNED}
    assert found["dense"] == {"2": DENSE}
    output = run("audit", NAME, "--scales", 2, "--weights", weights)
    assert "folded, with these weights" in output
    assert f"{PRUNED:,}" in output
    without = json.loads(run("audit", NAME, "--scale", 2, "--json", "-"))
    assert without["folded"] is None
    assert without["unshared"] == {"2": DENSE}


def test_the_table_of_models_counts_what_folding_leaves(weights: Path) -> None:
    options = ("list", "models", NAME, "--table", "--scale", 2, "--weights", weights)
    (row,) = json.loads(run(*options, "--json", "-"))["models"]
    assert row["deployed"] == PRUNED
    assert row["parameters"] > DENSE
    assert f"{PRUNED:,}" in run(*options)
    for wrong in (("list", "models", NAME), ("list", "models", "--table")):
        with pytest.raises(ConfigError, match="--weights belongs to --table and to one model"):
            run(*wrong, "--weights", weights)


def test_the_exported_network_is_the_pruned_one(weights: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    file = weights.with_name("pruned.onnx")
    run("export", NAME, "--scale", 2, "--weights", weights, "-o", file)
    kernels = [tuple(tensor.dims) for tensor in onnx.load(file).graph.initializer if len(tensor.dims) == 4]
    assert kernels.count((10, 16, 3, 3)) == kernels.count((16, 10, 3, 3)) == 4


@pytest.mark.parametrize("command", [("cost", "--scale", 3), ("audit", "--scale", 3), ("list", "--scale", 3)])
def test_weights_of_another_scale_are_refused(weights: Path, command: tuple[object, ...]) -> None:
    name, *rest = command
    front = ("list", "models", NAME, "--table") if name == "list" else (name, NAME)
    with pytest.raises(ConfigError, match="holds weights for scale 2, not 3"):
        run(*front, *rest, "--weights", weights)
    with pytest.raises(WeightsError, match="gone"):
        run(*front, *rest, "--weights", weights.with_name("gone.safetensors"))


def test_weights_of_another_model_are_refused(weights: Path) -> None:
    other = weights.with_name("other.safetensors")
    save_state(create_model("edsr_tiny", scale=2, seed=0), other)
    for front in (("cost", NAME), ("audit", NAME)):
        with pytest.raises(WeightsError):
            run(*front, "--scale", 2, "--weights", other)


def test_masks_are_saved_as_masks(weights: Path) -> None:
    from safetensors.torch import load_file

    (alive,) = [tensor for key, tensor in load_file(weights).items() if key.endswith("alive")]
    assert alive.dtype == torch.bool
    assert int((~alive).sum()) == 24
