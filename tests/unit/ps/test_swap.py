"""Coefficient swap: what `srbench swap` measures, on a tiny DRRN."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srbench.cli import main
from srbench.errors import ConfigError, SharingError
from srbench.images.files import write_png
from srbench.images.resize import imresize
from srbench.models.factory import create_model
from srbench.models.surgery import apply_method
from srbench.models.weight_files import save_state
from srbench.registry import canonical_name
from srbench.registry.registries import BACKBONES, register_backbone
from srbench.results.records import Record, RunInfo, now
from srbench.results.store import RunStore
from srbench.suite.definition import load_suite
from srbench_ps.drrn import DRRN
from srbench_ps.loading import shared_layers
from srbench_ps.method import PS
from srbench_ps.swap import with_coefficients_of

SCALES = (2, 3, 4)


def tiny(seed: int = 0, scales: tuple[int, ...] = SCALES) -> DRRN:
    torch.manual_seed(seed)
    model = apply_method(DRRN(scales, num_unit=2, num_feat=4), PS(num_filters=9))
    with torch.no_grad():
        for layer in shared_layers(model).values():
            for coefficients in layer.coefficients.values():
                coefficients.add_(0.1 * torch.randn_like(coefficients))
    return model


@pytest.fixture
def network(tmp_path: Path):
    """A registered tiny network and a file of its weights."""

    def swap_toy(scales: tuple[int, ...]) -> DRRN:
        return DRRN(scales, num_unit=2, num_feat=4)

    register_backbone(swap_toy)
    model = tiny()
    model.model_name = canonical_name("swap_toy+ps(num_filters=9)")
    save_state(model, tmp_path / "toy.safetensors")
    yield tmp_path / "toy.safetensors"
    BACKBONES.remove("swap_toy")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    for name in ("one", "two"):
        write_png(imresize(rng.integers(0, 256, (6, 7, 3), dtype=np.uint8), 4), tmp_path / "images" / f"{name}.png")
    return tmp_path / "images"


def srbench(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


@given(st.integers(0, 2**16), st.sampled_from(SCALES), st.sampled_from(SCALES))
def test_a_swapped_network_is_the_network_whose_matrices_were_exchanged_by_hand(seed: int, task: int, of: int) -> None:
    """Law: only the coefficients change; with a task's own, the deployed view itself."""
    model = tiny(seed)
    swapped = with_coefficients_of(model, task, of)
    image = torch.rand(1, 3, 5, 6)
    state = {key: tensor.clone() for key, tensor in model.at_scale(task).state_dict().items()}
    for path, layer in shared_layers(model).items():
        state[f"{path}.coefficients.x{task}"] = layer.coefficients[f"x{of}"].detach().clone()
    expected = model.at_scale(task)
    expected.load_state_dict(state)
    assert torch.equal(swapped(image), expected(image))
    assert torch.equal(with_coefficients_of(model, task, task)(image), model.at_scale(task)(image))
    assert (task == of) == torch.equal(swapped(image), model.at_scale(task)(image))


def test_swapping_leaves_the_network_as_it_was() -> None:
    model = tiny()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with_coefficients_of(model, 2, 4)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_a_scale_that_the_network_lacks_and_a_network_without_coefficients_are_refused() -> None:
    with pytest.raises(ConfigError, match="coefficients for scale 2, 3; scale 4"):
        with_coefficients_of(tiny(scales=(2, 3)), 2, 4)
    with pytest.raises(SharingError, match="no coefficient matrices"):
        with_coefficients_of(DRRN(SCALES, num_unit=2, num_feat=4), 2, 4)


def test_the_whole_table_has_every_pair_and_zeros_on_its_diagonal(network: Path, images: Path, capsys) -> None:
    command = ["swap", "swap_toy+ps(num_filters=9)", "--weights", network, "--data", images]
    assert srbench(*command, "--all", "--json", network.parent / "table.json") == 0
    printed = capsys.readouterr().out
    assert "(+0.00)" in printed
    assert "task x4" in printed
    result = json.loads((network.parent / "table.json").read_text())
    cells = {(cell["task"], cell["coefficients_of"]): cell for cell in result["cells"]}
    assert set(cells) == {(task, of) for task in SCALES for of in SCALES}
    for (task, of), cell in cells.items():
        assert cell["metrics"]["psnr_y"] == pytest.approx(np.mean([row["psnr_y"] for row in cell["images"]]))
        own = cells[task, task]["metrics"]["psnr_y"]
        assert cell["difference"]["psnr_y"] == pytest.approx(cell["metrics"]["psnr_y"] - own)
        assert (cell["difference"]["psnr_y"] == 0) == (task == of)


def test_a_cell_is_what_eval_says_of_the_same_network(network: Path, images: Path, capsys) -> None:
    command = ["swap", "swap_toy+ps(num_filters=9)", "--weights", network, "--data", images, "--images", "two"]
    assert srbench(*command, "--task", 3, "--coefficients-of", 2, "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    assert [(cell["task"], cell["coefficients_of"]) for cell in result["cells"]] == [(3, 3), (3, 2)]
    swapped = with_coefficients_of(tiny(), 3, 2)
    swapped.model_name = canonical_name("swap_toy+ps(num_filters=9)")
    save_state(swapped, images.parent / "swapped.safetensors")
    weights = ["--weights", images.parent / "swapped.safetensors"]
    assert (
        srbench("eval", command[1], *weights, "--scale", 3, "--data", images, "--protocol", "matlab-y", "--json", "-")
        == 0
    )
    evaluated = json.loads(capsys.readouterr().out)
    (row,) = [row for row in evaluated["images"] if row["image"] == "two"]
    assert result["cells"][1]["metrics"]["psnr_y"] == row["psnr_y"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to swap"),
        (["--run", "nowhere"], "there is no run in 'nowhere'"),
        (["--task", "2"], "say what to swap"),
        (["--all", "--task", "2", "--coefficients-of", "3"], "say what to swap"),
        (["--task", "2", "--coefficients-of", "8"], "scale 8 was asked for"),
        (["--all", "--images", "three"], "no image 'three'"),
        (["--all", "--protocol", "matlaby"], "did you mean 'matlab-y'"),
        (["--all", "--scales", "2;3"], "whole numbers separated by commas"),
    ],
)
def test_wrong_input_is_one_sentence(network: Path, images: Path, capsys, arguments: list[str], message: str) -> None:
    command = ["swap", "swap_toy+ps(num_filters=9)", "--weights", network, "--data", images]
    assert srbench(*command, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("srbench: ")
    assert error.count("\n") == 1


def test_swapped_drrn_ps_loses_decibels_on_butterfly(filled_cache: Path, capsys) -> None:
    # The supplement's Table 2 (Urban100) reports -9.02 dB for this cell; the loss must be of that kind.
    command = ["swap", "drrn_b1u9+ps.author", "--data", "Set5", "--images", "butterfly"]
    assert srbench(*command, "--task", 2, "--coefficients-of", 3, "--json", "-") == 0
    own, swapped = json.loads(capsys.readouterr().out)["cells"]
    assert own["metrics"]["psnr_y"] > 35
    assert swapped["difference"]["psnr_y"] < -5


@pytest.mark.parametrize("of", SCALES)
def test_the_tags_of_the_suite_are_the_swapped_networks(filled_cache: Path, of: int) -> None:
    author = create_model("drrn_b1u9+ps.author", scales=SCALES)
    image = torch.rand(1, 3, 5, 6)
    with torch.no_grad():
        for task in SCALES:
            tagged = create_model(f"drrn_b1u9+ps.author-coefficients-x{of}", scale=task)
            assert torch.equal(tagged(image), with_coefficients_of(author, task, of)(image))


def test_the_suite_asks_for_the_whole_table() -> None:
    suite = load_suite("ps-swap")
    assert suite.scales == SCALES
    assert [entry.model for entry in suite.models] == [f"drrn_b1u9+ps.author-coefficients-x{of}" for of in SCALES]


def keep(store: RunStore, task: int, of: int, psnr: float) -> None:
    """Put a cell of the suite into a run's directory, as `srbench run` would."""
    model = str(canonical_name(f"drrn_b1u9+ps.author-coefficients-x{of}"))
    record = Record(
        key=f"{task}{of}".rjust(12, "0"), status="ok", model=model, backbone="drrn_b1u9", scale=task, dataset="Set14",
        dataset_hash="h", protocol="matlab-y", protocol_digest="p", tier="reproduced", metrics={"psnr_y": psnr},
        created=now(),
    )  # fmt: skip
    store.write(record, pd.DataFrame({"image": ["a"], "psnr_y": [psnr]}))


def test_a_run_of_the_suite_prints_the_whole_table(tmp_path: Path, capsys) -> None:
    """Tasks are columns and coefficients rows; a table that lacks a cell is refused."""
    store = RunStore(tmp_path / "run")
    store.begin(RunInfo(suite="ps-swap", srbench="0", created=now()))
    values = {(task, of): 10.0 * task + of for task in SCALES for of in SCALES}
    command = ["swap", "drrn_b1u9+ps.author", "--run", tmp_path / "run"]
    assert srbench(*command) == 2
    assert "holds no cell" in capsys.readouterr().err
    for (task, of), psnr in values.items():
        if (task, of) != (3, 4):
            keep(store, task, of, psnr)
    assert srbench(*command) == 2
    assert "not finished: x3 with x4; run the suite again" in capsys.readouterr().err
    keep(store, 3, 4, values[3, 4])
    assert srbench(*command, "--json", "-") == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert {(c["task"], c["coefficients_of"]): c["metrics"]["psnr_y"] for c in table["cells"]} == values
    assert all(c["difference"]["psnr_y"] == c["coefficients_of"] - c["task"] for c in table["cells"])
    assert srbench(*command) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│ x4")]
    assert row.split("│")[1:-1] == [" x4              ", " 24.00 (+2.00) ", " 34.00 (+1.00) ", " 44.00 (+0.00) "]
