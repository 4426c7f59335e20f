"""Executed multiply-accumulates are counted from masks; the command that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.cost.counts import cost_of
from srbench.cost.executed import executed_on
from srbench.data.datasets import open_dataset
from srbench.errors import ConfigError
from srbench.models.factory import create_model
from srbench.models.weight_files import save_state
from srbench.protocols import get_protocol
from srbench_sparse_mask.accounting import account
from srbench_sparse_mask.block import MaskedBlock, masked_blocks
from srbench_sparse_mask.smsr import SMSR
from srbench_sparse_mask.surgery import with_path


class Given(nn.Module):
    """Masks as given."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self, x: Tensor, temperature: float | None = None) -> Tensor:
        return self.value


def counted_by_hand(block: MaskedBlock, spatial: Tensor, dense: Tensor) -> int:
    """Count product by product: an output channel at a position takes an input channel there, or does not."""
    layers = dense.view(4, -1)
    on, positions, total = int(spatial.sum()), spatial.numel(), 0
    for layer in range(4):
        for output in layers[layer]:
            for inputs in torch.ones_like(layers[0]) if layer == 0 else layers[layer - 1]:
                total += 9 * (positions if output and inputs else on)
    for inputs in dense:
        total += layers.shape[1] * (positions if inputs else on)
    return total


def test_modules_are_counted_product_by_product(seed: int) -> None:
    torch.manual_seed(seed)
    model = SMSR((2,), num_feat=4, num_module=2).eval()
    wanted = []
    for _, block in masked_blocks(model):
        spatial, dense = (torch.rand(1, 1, 5, 6) < 0.4).float(), (torch.rand(1, 16) < 0.3).float()
        block.spatial, block.channel = nn.ModuleList([Given(spatial)]), Given(dense)
        wanted.append(counted_by_hand(block, spatial, dense[0]))
    work = account(model, torch.rand(1, 3, 5, 6))[0]
    assert [module.executed for module in work.modules] == wanted


@pytest.mark.parametrize("name", ["smsr_tiny", "imdn+sparse_mask", "srresnet_tiny+sparse_mask(channel=dynamic)"])
@pytest.mark.parametrize("path", ["masked_dense", "sparse"])
def test_masks_that_are_on_leave_the_dense_count_and_off_leave_the_rest(name: str, path: str, seed: int) -> None:
    model = with_path(create_model(name, scale=2, seed=seed), path)
    lr = torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    for on in (1.0, 0.0):
        for _, block in masked_blocks(model):
            block._referred = ()
            block.spatial = nn.ModuleList(
                Given(torch.full((1, 1, 6, 8), on)) for _ in range(max(len(block.spatial), 1))
            )
            total = sum(layer.channels for layer in block.layers())
            block.channel = Given(torch.zeros(1, total))
        works = account(model, lr)
        assert len(works) == 2
        for work in works:
            masked = sum(module.full for module in work.modules)
            assert work.executed == (work.dense if on else work.dense - masked)
            assert work.sparsity == pytest.approx(1 - on)
            assert 0 < masked < work.dense


def test_a_network_without_masks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has no sparse masks; give a model such as smsr\.author"):
        account(create_model("edsr_tiny", scale=2), torch.rand(1, 3, 4, 4))


def test_cost_reads_the_same_counts(seed: int) -> None:
    model = create_model("smsr_tiny", scale=2, seed=seed).eval()
    found = executed_on(model, open_dataset("embedded-test"), 2, get_protocol("matlab-y"))
    assert found is not None
    assert all(0 < macs <= cost_of(model).hd.macs * 1.001 for macs in found.values())


def test_the_command_shows_images_modules_and_work(tmp_path: Path, seed: int) -> None:
    model = create_model("smsr_tiny", scale=2, seed=seed)
    save_state(model, tmp_path / "weights.safetensors")
    options = ["smsr_tiny", "--weights", str(tmp_path / "weights.safetensors"), "--data", "embedded-test"]
    result = CliRunner().invoke(app, ["sparsity", *options, "--json", str(tmp_path / "found.json")])
    assert result.exit_code == 0, result.output
    names = open_dataset("embedded-test").image_names()
    assert all(name in result.output for name in [*names, "mean", "body.2", "executed, G"])
    found = json.loads((tmp_path / "found.json").read_text())
    assert [image["image"] for image in found["images"]] == names
    assert found["sparsity"] == pytest.approx(sum(image["sparsity"] for image in found["images"]) / len(names))
    assert found["dense_macs"] == pytest.approx(cost_of(model).hd.macs, rel=2e-3)
    one = CliRunner().invoke(app, ["sparsity", *options, "--images", names[0], "--json", "-"])
    assert [image["image"] for image in json.loads(one.stdout)["images"]] == names[:1]


def test_the_command_refuses_networks_without_masks_and_unknown_images(tmp_path: Path) -> None:
    save_state(create_model("edsr_tiny", scale=2, seed=0), tmp_path / "edsr.safetensors")
    options = ["sparsity", "edsr_tiny", "--weights", str(tmp_path / "edsr.safetensors"), "--data", "embedded-test"]
    result = CliRunner().invoke(app, options)
    assert isinstance(result.exception, ConfigError)
    result = CliRunner().invoke(app, [*options, "--images", "kamera"])
    assert "did you mean 'camera'" in str(result.exception)
