"""`srbench export`: ONNX files that give what the network gives, and refusals that leave nothing behind."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import srbench
from srbench.cli import main
from srbench.errors import ConfigError, PluginError
from srbench.interop.onnx import export_onnx
from srbench.models.backbone import Backbone
from srbench.models.weight_files import save_state

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def command(line: str) -> int:
    try:
        main(shlex.split(line))
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.safetensors"
    save_state(srbench.create_model("edsr_tiny+ps(ratio=1/4)", scale=2, seed=0), path)
    return path


def test_the_file_gives_what_the_network_gives_at_any_size_and_batch(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"export 'edsr_tiny+ps(ratio=1/4)' --weights {weights.name} --scale 2 -o out/tiny.onnx --json -"
    assert command(line) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(check["height"], check["width"]) for check in said["checks"]] == [(24, 40), (48, 32), (13, 17)]
    assert max(check["largest"] for check in said["checks"]) <= 1e-5
    assert said["bytes"] == (tmp_path / "out" / "tiny.onnx").stat().st_size
    model = srbench.create_model("edsr_tiny+ps(ratio=1/4)", scale=2, seed=0).eval()
    session = onnxruntime.InferenceSession(tmp_path / "out" / "tiny.onnx")
    for shape in ((1, 3, 9, 31), (3, 3, 50, 17)):
        lr = torch.rand(shape, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            expected = model(lr, 2).numpy()
        (found,) = session.run(None, {"lr": lr.numpy()})
        assert np.abs(found - expected).max() <= 1e-5


def test_the_network_is_folded(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("export 'edsr_tiny+ps(ratio=1/4)' --weights tiny.safetensors --scale 2 -o tiny.onnx") == 0
    graph = onnx.load(tmp_path / "tiny.onnx").graph
    operators = {node.op_type for node in graph.node}
    assert not operators & {"MatMul", "Gemm", "Einsum"}, "kernels are made once, before the export"
    kernels = [list(tensor.dims) for tensor in graph.initializer if list(tensor.dims) == [16, 16, 3, 3]]
    assert len(kernels) == 9  # two in each of four blocks, and the one after them
    assert "onnxruntime and torch on 40x24: at most" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "scale", "outputs"), [("srfbn_s+ps.author", 2, 1), ("carn_m.author", 3, 1), ("fsrcnn.author", 2, 1)]
)
def test_networks_of_several_outputs_scales_or_luma_are_exported_as_one_image(
    filled_cache: Path, tmp_path: Path, name: str, scale: int, outputs: int
) -> None:
    model = srbench.create_model(name, scale=scale)
    made = export_onnx(model, scale, tmp_path / "a.onnx")
    graph = onnx.load(made.path).graph
    assert [item.name for item in graph.output] == ["sr"] * outputs
    channels = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    assert channels == made.channels == (1 if name.startswith("fsrcnn") else 3)
    assert max(made.largest.values()) <= 1e-5


@pytest.mark.slow
def test_attention_that_extends_small_images_is_exported_for_small_and_large_ones(tmp_path: Path) -> None:
    made = export_onnx(srbench.create_model("bsrn", scale=2, seed=0).eval(), 2, tmp_path / "a.onnx")
    assert made.largest[13, 17] <= 1e-5
    assert max(made.largest.values()) <= 1e-5
    operators = [node.op_type for node in onnx.load(made.path).graph.node]
    assert "Pad" in operators, "the file extends images too, by as much as each needs"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("smfanet", marks=pytest.mark.slow),
        "lkdn_s+reparam(kind=rep1x1)",
        "etds_t+reparam(kind=etds)",
        "ecbsr_m4c16",
    ],
)
def test_pooling_statistics_of_the_image_and_branches_are_exported(tmp_path: Path, name: str) -> None:
    model = srbench.create_model(name, scale=3, seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in filter(lambda one: one.requires_grad, model.parameters()):  # some start at zero
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    made = export_onnx(model, 3, tmp_path / "a.onnx")
    assert max(made.largest.values()) <= 1e-5
    # One convolution for each of the deployed network: branches are merged.
    convs = [node for node in onnx.load(made.path).graph.node if node.op_type == "Conv"]
    plain = srbench.create_model(name.partition("+")[0], scale=3)
    assert len(convs) == sum(isinstance(module, torch.nn.Conv2d) for module in plain.modules())


class Strange(Backbone):
    """Do what an export cannot keep: something that depends on the values, or is another each time."""

    def __init__(self, kind: str) -> None:
        super().__init__((2,))
        self.kind = kind
        self.layer = torch.nn.Conv2d(3, 3, 1)

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        image = self.layer(lr).repeat_interleave(2, -1).repeat_interleave(2, -2)
        if self.kind == "pooling":
            return image + F.max_pool2d(lr, (lr.shape[-2] // 4, lr.shape[-1] // 4)).mean()
        if self.kind == "values":
            return image if float(lr.mean()) > 0.5 else image * 2
        return image + torch.rand_like(image)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("values", r"^'Strange' cannot be exported to ONNX by torch"),
        ("pooling", r"^'Strange' (was exported, and onnxruntime .* cannot run the file|cannot be exported)"),
        ("chance", r"^onnxruntime differs from torch by .* nothing was written"),
    ],
)
def test_what_an_export_does_not_keep_is_a_sentence_and_leaves_no_file(tmp_path: Path, kind: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        export_onnx(Strange(kind), 2, tmp_path / "a.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_untrained_network_is_exported_only_if_asked_for_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("export edsr_tiny --untrained --weights a.pth --scale 2 -o a.onnx") == 2
    assert "--untrained asks for random weights, and --weights a.pth for others" in capsys.readouterr().err
    assert command("export edsr_tiny --untrained --scale 2 -o a.onnx --json a.json") == 0
    assert "its weights are random" in capsys.readouterr().out
    assert json.loads((tmp_path / "a.json").read_text())["untrained"] is True


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PluginError, match=r'pip install "sr-bench\[onnx\]"'):
        export_onnx(srbench.create_model("edsr_tiny", scale=2), 2, tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("export edsr_tiny --scale 2 -o a.onnx", "has no weights"),
        ("export edsr_tin --scale 2 -o a.onnx", "did you mean 'edsr_tiny'?"),
        ("export edsr_tiny --weights none.pth --scale 2 -o a.onnx", "none.pth"),
        ("export edsr_tiny --weights tiny.safetensors --scale 2 -o a.onnx", "not for 'edsr_tiny' (x2)"),
        ("export edsr_tiny --weights tiny.safetensors --scale 2 -o a.pth", "ends in .onnx"),
        ("export edsr_tiny --weights tiny.safetensors --scale 2 -o tiny.safetensors/a.onnx", "cannot be written"),
        ("export edsr_tiny --weights tiny.safetensors --scale 2", "missing option '--output'"),
    ],
)
def test_bad_input_is_one_sentence(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    assert command(line) == 2
    said = capsys.readouterr().err
    assert said.startswith("srbench: "), said
    assert said.count("\n") == 1, said
    assert words in said
    assert [path.name for path in tmp_path.iterdir()] == [weights.name]


def test_a_network_whose_export_ends_the_interpreter_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from srbench.errors import ConfigError
    from srbench.interop import isolated_export

    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(isolated_export, "_COMMAND", (sys.executable, "-c", "import os; os.abort()"))
    with pytest.raises(ConfigError, match=r"the process that tried was ended by SIGABRT; nothing was written"):
        isolated_export.export_checkpoint(tmp_path / "x.pth", 4, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_what_the_exporting_process_refuses_is_its_own_sentence(tmp_path: Path) -> None:
    from srbench.errors import WeightsError
    from srbench.interop.isolated_export import export_checkpoint

    pytest.importorskip("onnxruntime")
    (tmp_path / "x.pth").write_text("no checkpoint")
    with pytest.raises(WeightsError, match="is damaged, or no checkpoint"):
        export_checkpoint(tmp_path / "x.pth", 4, tmp_path / "x.onnx")
