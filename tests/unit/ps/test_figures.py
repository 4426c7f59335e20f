"""Figures: what they hold, that they are the same each time, and what they refuse."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.cli import main
from srbench.data.embedded import embedded_test
from srbench.images.crops import crop_box
from srbench.models.surgery import apply_method
from srbench.models.weight_files import save_state
from srbench.protocols import get_protocol
from srbench.registry import canonical_name
from srbench.registry.names import parse
from srbench.registry.registries import BACKBONES, register_backbone
from srbench_ps.drrn import DRRN
from srbench_ps.figures import filters, size_quality, wrong_scale
from srbench_ps.loading import shared_layers
from srbench_ps.method import PS

pytest.importorskip("matplotlib")
MODEL = "figure_toy+ps(num_filters=9)"


def srbench(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


@pytest.fixture
def weights(tmp_path: Path):
    def figure_toy(scales: tuple[int, ...]) -> DRRN:
        return DRRN(scales, num_unit=3, num_feat=8)

    register_backbone(figure_toy)
    torch.manual_seed(0)
    model = apply_method(figure_toy((2, 3, 4)), PS(num_filters=9))
    with torch.no_grad():
        for layer in shared_layers(model).values():
            for coefficients in layer.coefficients.values():
                coefficients.add_(0.1 * torch.randn_like(coefficients))
    model.model_name = canonical_name(MODEL)
    save_state(model, tmp_path / "toy.safetensors")
    yield tmp_path / "toy.safetensors"
    BACKBONES.remove("figure_toy")


@pytest.mark.parametrize("kind", ["filters", "coefficients", "wrong-scale"])
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_figure_drawn_again_is_the_same_file(weights: Path, tmp_path: Path, kind: str, ending: str) -> None:
    size = ["--size", 24] if kind == "wrong-scale" else []
    contents = []
    for name in ("a", "b"):
        file = tmp_path / f"{name}.{ending}"
        assert srbench("figure", kind, MODEL, "--weights", weights, *size, "-o", file) == 0
        contents.append(file.read_bytes())
    assert contents[0] == contents[1]
    if ending == "png":
        assert min(Image.open(io.BytesIO(contents[0])).size) > 100
    else:
        assert b"<svg" in contents[0]


def test_the_users_own_style_changes_no_figure(weights: Path, tmp_path: Path) -> None:
    import matplotlib as mpl

    command = ["figure", "coefficients", MODEL, "--weights", weights, "-o"]
    assert srbench(*command, tmp_path / "plain.png") == 0
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30}):
        assert srbench(*command, tmp_path / "styled.png") == 0
        assert mpl.rcParams["font.size"] == 20
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_the_filters_shown_are_those_of_the_layers(weights: Path) -> None:
    from srbench_ps.loading import load_network

    network = load_network(MODEL, weights)
    paths = filters._chosen(network.sharing_sites(), None)
    assert paths == [f"units.{unit}.{conv}" for unit in (0, 1, 2) for conv in ("conv1", "conv2")]
    panels = filters._panels(network, paths, 5, 3)
    assert [panel.scale for panel in panels] == [2, 3, 4]
    for panel in panels:
        network.select_scale(panel.scale)
        for path, shown in zip(paths, panel.kernels, strict=True):
            expected = network.get_submodule(path).kernel()[0:5, 3].detach().double().numpy()
            np.testing.assert_array_equal(shown, expected)


def test_a_recursive_network_shows_one_filter_at_every_depth(tmp_path: Path) -> None:
    from srbench.models.factory import create_model
    from srbench_ps.loading import load_network

    save_state(create_model("edsr_tiny+recursive", scale=2, seed=1), tmp_path / "recursive.safetensors")
    save_state(create_model("edsr_tiny+ps", scale=2, seed=1), tmp_path / "ps.safetensors")
    network = load_network("edsr_tiny+recursive", tmp_path / "recursive.safetensors")
    (panel,) = filters._panels(network, ["body.0.conv1", "body.3.conv1"], 5, 0)
    np.testing.assert_array_equal(*panel.kernels)
    command = ["figure", "filters", "edsr_tiny+recursive", "--weights", tmp_path / "recursive.safetensors"]
    beside = ["--beside", "edsr_tiny+ps", "--beside-weights", tmp_path / "ps.safetensors"]
    assert srbench(*command, *beside, "-o", tmp_path / "beside.png") == 0
    assert srbench(*command, "-o", tmp_path / "alone.png") == 0
    assert Image.open(tmp_path / "beside.png").width > Image.open(tmp_path / "alone.png").width


def test_the_crop_shown_is_that_of_the_whole_image(weights: Path) -> None:
    """A part of the image is enlarged, with a margin: the network sees all that its receptive field asks for."""
    from srbench.evaluation.evaluate import super_resolve
    from srbench.metrics.comparison import Comparison
    from srbench.metrics.psnr import PSNRY
    from srbench_ps.loading import load_network
    from srbench_ps.swap import with_coefficients_of

    network, protocol = load_network(MODEL, weights).eval(), get_protocol("matlab-y")
    hr = embedded_test().hr("chelsea")[:240, :252]
    crop = wrong_scale._place(hr, 48, None, (2, 3, 4))
    row = wrong_scale._row(network, hr, crop, 2, protocol)
    whole, _ = super_resolve(
        with_coefficients_of(network, 2, 4).eval(), protocol.lr_image(hr, 2), 2, torch.device("cpu")
    )
    place = np.s_[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    expected = protocol.quantise(whole.detach().permute(1, 2, 0).numpy())[place]
    difference = np.abs(row.pictures[4].astype(int) - expected)
    assert difference.max() <= 1  # another size, another order of sums
    np.testing.assert_array_equal(row.pictures[0], hr[place])
    comparison = Comparison.under(replace(protocol, crop_border=0), expected, hr[place], 2)
    assert row.psnr[3] == pytest.approx(PSNRY()(comparison), abs=1e-2)
    assert crop_box(hr, 48, 12)[:2] == (crop.top, crop.left)


TABLE = """paper,table,model,scale,dataset,psnr,params
A paper,Table 1,edsr_baseline,2,Set5,38.01,1.37M
A paper,Table 1,edsr_baseline+recursive,2,Set5,37.50,262k
A paper,Table 1,"edsr_baseline+ps(ratio=1/16,shape=64x64x1x1)",2,Set5,37.65,269123
A paper,Table 1,"edsr_baseline+ps(ratio=1/2,shape=64x64x1x1)",2,Set5,38.00,0.82M
A paper,Table 1,"edsr_baseline+ps(ratio=1/2,shape=64x64x1x1)",2,Set14,33.50,0.82M
A paper,Table 1,,2,Set5,35.00,0.10M
"""


def test_published_points_are_read_as_printed(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE)
    panel = size_quality._reported(tmp_path / "table.csv", "Set5", 2)
    assert [(point.params, point.psnr) for point in panel.points] == [
        (1.37e6, 38.01), (262e3, 37.5), (269123, 37.65), (0.82e6, 38.0),
    ]  # fmt: skip
    assert panel.about == "A paper, Table 1"
    series = size_quality._series(panel.points)
    assert list(series) == ["as published", "recursive", "ps, 64x64x1x1"]
    assert [point.params for point in series["ps, 64x64x1x1"]] == [269123, 0.82e6]


def record(store_path: Path, model: str, psnr: float, params: int, seed: int) -> None:
    import pandas as pd

    from srbench.results.records import Record, RunInfo, Training, now
    from srbench.results.store import RunStore

    store = RunStore(store_path)
    store.begin(RunInfo(suite="toy", srbench="0", created=now()))
    training = Training(recipe={}, iterations=2000, seeds=[seed], data="d", data_hash="h", seconds=1.0)
    name = parse(model)
    cell = Record(
        key=f"{params:06d}{seed:06d}", status="ok", model=model, backbone=name.backbone,
        method=name.method, scale=2, dataset="embedded-test", dataset_hash="h", protocol="matlab-y",
        protocol_digest="p", tier="trained", metrics={"psnr_y": psnr}, params_unique=params, training=training,
        created=now(),
    )  # fmt: skip
    store.write(cell, pd.DataFrame({"image": ["a"], "psnr_y": [psnr]}))


def test_several_seeds_are_their_mean_and_range(tmp_path: Path) -> None:
    for seed, shift in ((0, 0.0), (1, 0.2)):
        record(tmp_path / f"run{seed}", "edsr_tiny+ps(ratio=1/4,shape=CxCx1x1)", 30 + shift, 18500, seed)
        record(tmp_path / f"run{seed}", "edsr_tiny", 31 + shift, 31043, seed)
    panel = size_quality._measured([tmp_path / "run0", tmp_path / "run1"], None, 2)
    assert panel.title == "Measured: edsr_tiny, embedded-test"
    assert "2,000 iterations, mean and range of 2 trainings" in panel.about
    found = {str(point.model): (point.params, point.psnr, point.low, point.high) for point in panel.points}
    assert found["edsr_tiny"] == pytest.approx((31043, 31.1, 31.0, 31.2))
    assert found["edsr_tiny+ps(ratio=1/4,shape=CxCx1x1)"] == pytest.approx((18500, 30.1, 30.0, 30.2))
    (tmp_path / "table.csv").write_text(TABLE)
    runs, out = [tmp_path / "run0", tmp_path / "run1"], [tmp_path / "a.svg", tmp_path / "b.svg"]
    for file in out:
        assert srbench("figure", "size-quality", *runs, "--reported", tmp_path / "table.csv", "-o", file) == 0
    assert out[0].read_bytes() == out[1].read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["filters", MODEL, "-o", "x.jpg"], ".png or .svg; got 'x.jpg'"),
        (["filters", MODEL, "-o", "x.png", "--layers", "units.9.conv1"], "did you mean 'units.2.conv1'"),
        (["filters", MODEL, "-o", "x.png", "--channel", "8"], "8 input channels"),
        (["filters", MODEL, "-o", "x.png", "--beside-weights", "y"], "--beside-weights needs --beside"),
        (["coefficients", MODEL, "-o", "x.png", "--layer", "units.0"], "no layer 'units.0' with coefficients"),
        (["wrong-scale", MODEL, "-o", "x.png", "--at", "5"], "LEFT,TOP"),
        (["wrong-scale", MODEL, "-o", "x.png", "--at", "480,480"], "leaves the image of 504x504 pixels"),
        (["wrong-scale", MODEL, "-o", "x.png", "--task", "8"], "scale 8 was asked for"),
        (["wrong-scale", MODEL, "-o", "x.png", "--image", "cat"], "no image 'cat'"),
        (["size-quality", "nowhere", "-o", "x.png"], "there is no run in 'nowhere'"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_no_file(
    weights: Path, monkeypatch, capsys, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(weights.parent)
    more = ["--weights", weights] if arguments[0] != "size-quality" else []
    assert srbench("figure", *arguments, *more) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("srbench: ")
    assert error.count("\n") == 1
    assert not list(weights.parent.glob("x.*"))


def test_a_network_without_coefficients_is_refused(tmp_path: Path, capsys) -> None:
    from srbench.models.factory import create_model

    save_state(create_model("edsr_tiny", scale=2), tmp_path / "dense.safetensors")
    for kind in ("coefficients", "wrong-scale"):
        assert srbench("figure", kind, "edsr_tiny", "--weights", tmp_path / "dense.safetensors", "-o", "x.png") == 2
        assert "no coefficient matrices" in capsys.readouterr().err


def test_without_matplotlib_a_sentence_says_what_to_install(weights: Path, monkeypatch, capsys) -> None:
    from srbench import figures

    monkeypatch.setattr(figures, "find_spec", lambda name: None)
    assert srbench("figure", "filters", MODEL, "--weights", weights, "-o", weights.parent / "x.png") == 2
    assert 'pip install "sr-bench[figures]"' in capsys.readouterr().err


def test_an_unreadable_table_of_published_figures_is_named(tmp_path: Path, capsys) -> None:
    record(tmp_path / "run", "edsr_tiny", 31, 31043, 0)
    (tmp_path / "table.csv").write_text("model,psnr\nedsr_tiny,31\n")
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "table.csv", tmp_path / "none.csv", tmp_path / "pipe.csv"):
        assert srbench("figure", "size-quality", tmp_path / "run", "--reported", path, "-o", tmp_path / "x.png") == 2
        assert path.name in capsys.readouterr().err
        assert not (tmp_path / "x.png").exists()
