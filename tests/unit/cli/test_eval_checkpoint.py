"""`srbench eval CHECKPOINT`: any checkpoint that spandrel recognises is a model."""

from __future__ import annotations

import importlib.util
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.compat import basicsr_archs as archs
from srbench.errors import ConfigError, PluginError, SRBenchError, WeightsError
from srbench.images.files import write_png
from srbench.interop.spandrel import checkpoint_named, load_checkpoint
from srbench.models.weight_files import save_state

pytestmark = pytest.mark.skipif(importlib.util.find_spec("spandrel") is None, reason="the extra spandrel is absent")


@pytest.fixture(scope="module")
def compact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """Return a checkpoint of basicsr's SRVGGNetCompact (spandrel: Compact), as its users have it, and the network."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = archs.SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2).eval()
    path = tmp_path_factory.mktemp("checkpoints") / "compact.pth"
    torch.save({"params_ema": network.state_dict()}, path)
    return path, network


def test_a_checkpoint_computes_what_its_network_does(compact: tuple[Path, torch.nn.Module]) -> None:
    path, network = compact
    model = load_checkpoint(path, 2).eval()
    lr = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model.super_resolve(lr), network(lr).clamp(0, 1))
    assert model.scales == (2,)


def test_eval_measures_a_checkpoint(compact: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write_png(np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8), images / "noise.png")
    arguments = ["--data", str(images), "--scale", "2", "--protocol", "matlab-y", "--json", "-"]
    result = CliRunner().invoke(app, ["eval", str(compact[0]), *arguments])
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert measured["model"] == str(compact[0])
    assert len(measured["weights_sha256"]) == 64
    assert 0 < measured["metrics"]["psnr_y"] < 60


class Dangerous:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 + 1",)


def wrong(tmp_path: Path, compact: Path) -> dict[str, tuple[Path, int, type[SRBenchError], str]]:
    def saved(name: str, value: object) -> Path:
        torch.save(value, tmp_path / name)
        return tmp_path / name

    (tmp_path / "truncated.pth").write_bytes(compact.read_bytes()[:500])
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps(Dangerous()))
    state = torch.load(compact, weights_only=True)["params_ema"]
    state["body.1.weight"] = torch.zeros(3, 3)
    return {
        "scale": (compact, 4, ConfigError, r"\(RealESRGAN Compact\) enlarges by 2; scale 4 was asked for"),
        "architecture": (saved("other.pth", {"w": torch.zeros(2)}), 2, WeightsError, "not recognize the architecture"),
        "dangerous": (saved("evil.pth", {"w": Dangerous()}), 2, WeightsError, "was refused: reading it would"),
        "pickle": (tmp_path / "pickle.ckpt", 2, WeightsError, "was refused"),
        "truncated": (tmp_path / "truncated.pth", 2, WeightsError, "is damaged, or no checkpoint"),
        "misfit": (saved("misfit.pth", state), 2, WeightsError, "resembles an architecture"),
    }


@pytest.mark.parametrize("case", ["scale", "architecture", "dangerous", "pickle", "truncated", "misfit"])
def test_other_checkpoints_are_refused_in_a_sentence(
    case: str, compact: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    path, scale, error, said = wrong(tmp_path, compact[0])[case]
    with pytest.raises(error, match=said) as raised:
        load_checkpoint(path, scale)
    assert "\n" not in str(raised.value)


def test_a_checkpoint_without_spandrel_names_the_extra(
    compact: tuple[Path, torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r'pip install "sr-bench\[spandrel\]"'):
        checkpoint_named(str(compact[0]))


def test_what_names_a_checkpoint(compact: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    from srbench.models.factory import create_model

    assert checkpoint_named("edsr_tiny") is None
    assert checkpoint_named("drrn_b1u9+ps.author") is None
    assert checkpoint_named(str(compact[0])) == compact[0]
    with pytest.raises(WeightsError, match=r"there is no checkpoint 'nowhere\.pth'"):
        checkpoint_named("nowhere.pth")
    own = tmp_path / "own.safetensors"
    save_state(create_model("edsr_tiny", scale=2), own)
    with pytest.raises(WeightsError, match=r"has weights for 'edsr_tiny'.*--weights"):
        checkpoint_named(str(own))


def test_a_checkpoint_with_other_weights_is_refused(compact: tuple[Path, torch.nn.Module]) -> None:
    path = str(compact[0])
    result = CliRunner().invoke(
        app,
        ["eval", path, "--data", "embedded-test", "--scale", "2", "--protocol", "matlab-y", "--weights", path],
    )
    assert isinstance(result.exception, ConfigError)
    assert "is a checkpoint itself" in str(result.exception)
