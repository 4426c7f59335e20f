"""Method `sparse_mask`: what it refuses, its schedules, its regularisation."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from srbench.errors import ConfigError, SharingError
from srbench.models.backbone import Backbone
from srbench.models.factory import create_model
from srbench.models.sites import BlockSpec, SharingSite
from srbench.models.surgery import apply_method
from srbench_sparse_mask.block import masked_blocks
from srbench_sparse_mask.method import SparseMask, temperature_at, warm_up_at
from srbench_sparse_mask.smsr import SMSR
from srbench_sparse_mask.surgery import with_path


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("edsr_tiny+sparse_mask", SharingError, "'edsr_tiny' declares no sites of kind block"),
        ("smsr_tiny+sparse_mask(channel=fixed)", ConfigError, "channel=fixed is an unknown kind of mask; give one of"),
        ("smsr_tiny+sparse_mask(spatial=random)", ConfigError, "spatial=random is an unknown kind of mask"),
        ("smsr_tiny+sparse_mask(n_layers=3)", SharingError, "n_layers=3 does not divide the 4 convolutions"),
        ("smsr_tiny+sparse_mask(n_layers=8)", SharingError, "n_layers=8 does not divide the 3 blocks"),
        ("smsr_tiny+sparse_mask(n_layers=5,spatial=gradient)", SharingError, "n_layers=5 does not divide"),
        ("smsr_tiny+sparse_mask(n_layers=0)", ConfigError, "n_layers=0 is not a whole number of at least 1"),
        ("smsr_tiny+sparse_mask(weight=-1)", ConfigError, "weight=-1 is not a number of at least 0"),
        ("smsr_tiny+sparse_mask(layers=4)", ConfigError, "no argument 'layers'"),
    ],
)
def test_wrong_use_gets_a_sentence(name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        create_model(name, scale=2)


def test_a_path_that_does_not_exist_or_masks_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="no inference path 'fast'; give one of masked_dense, sparse, dense"):
        with_path(create_model("smsr_tiny", scale=2), "fast")
    with pytest.raises(ConfigError, match="has no masks"):
        with_path(create_model("edsr_tiny", scale=2), "sparse")


class Odd(Backbone):
    """A network with one block, for what a block may not be."""

    def __init__(self, conv: nn.Module, parts: BlockSpec) -> None:
        super().__init__((2,))
        self.block = nn.Sequential(conv)
        self.parts = parts

    def sharing_sites(self) -> list[SharingSite]:
        return [SharingSite("block", kind="block", bank="blocks", tie="block", parts=self.parts)]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        return self.block(lr)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("conv", "parts", "said"),
    [
        (
            nn.Conv2d(3, 3, 3, stride=2, padding=1),
            BlockSpec(("0",)),
            "'block.0' cannot be masked: it must have stride 1",
        ),
        (nn.Conv2d(3, 3, 3), BlockSpec(("0",)), "an output as large as its input"),
        (nn.Conv2d(4, 4, 3, padding=1, groups=2), BlockSpec(("0",)), "one group"),
        (nn.Linear(3, 3), BlockSpec(("0",)), "'block.0' is a Linear; masks act on convolutions"),
        (nn.Conv2d(3, 3, 1), BlockSpec(("0",), splits=(1, 1)), "1 convolutions and 2 splits"),
        (nn.Conv2d(3, 3, 1), BlockSpec(("0",), mask_input="1"), "from the input of '1'"),
    ],
)
def test_a_block_that_cannot_be_masked_is_named_and_left_as_it_was(
    conv: nn.Module, parts: BlockSpec, said: str
) -> None:
    model = Odd(conv, parts)
    with pytest.raises(SharingError, match=said):
        apply_method(model, SparseMask(n_layers=1))
    assert model.block[0] is conv
    assert model.method is None


def test_the_temperature_falls_from_1_to_the_lowest_and_the_regularisation_rises() -> None:
    # FACTS: max(1 - epoch/500, 0.4) of 1000 epochs, lambda linear over 50: here one iteration is one epoch.
    assert [temperature_at(i, 1000) for i in (1, 101, 301, 1000)] == pytest.approx([1, 0.8, 0.4, 0.4])
    assert [warm_up_at(i, 1000) for i in (1, 26, 51, 1000)] == pytest.approx([0, 0.5, 1, 1])
    # Whatever the length of the training.
    assert temperature_at(1 + 20, 100) == pytest.approx(temperature_at(1 + 200, 1000))


def test_every_step_sets_every_block(seed: int) -> None:
    model = create_model("smsr_tiny", scale=2, seed=seed)
    model.on_step(151, 1000)
    assert [block.temperature for _, block in masked_blocks(model)] == [pytest.approx(0.7)] * 3
    model.on_step(1, 1000)
    assert [block.temperature for _, block in masked_blocks(model)] == [1.0] * 3


def test_the_regularisation_is_the_weighted_active_share_on_the_authors_scale(seed: int) -> None:
    torch.manual_seed(seed)
    model = create_model("smsr_tiny+sparse_mask(weight=1/2)", scale=2, seed=seed).train()
    assert model.auxiliary_loss() is None  # nothing was computed yet
    model.on_step(500, 1000)
    for _, block in masked_blocks(model):
        block.recorder = []
    model(torch.rand(2, 3, 8, 8))
    shares = [block.recorder[0].active() for _, block in masked_blocks(model) if block.recorder]
    loss = model.auxiliary_loss()
    assert loss is not None
    # The authors' loss is on pixels of 0..255, ours on 0..1.
    assert loss.item() == pytest.approx(torch.cat(shares).mean().item() * 0.5 / 255, rel=1e-5)
    assert model.auxiliary_loss() is None  # counted once


def test_the_active_share_is_that_of_positions_and_channels(seed: int) -> None:
    torch.manual_seed(seed)
    model = SMSR((2,), num_feat=8, num_module=1).train()
    block = next(block for _, block in masked_blocks(model))
    block.recorder = []
    model(torch.rand(3, 3, 6, 7))
    masks = block.recorder[0]
    dense = torch.cat(masks.dense, 1)[:, :, None, None]
    # As the authors write it: M * sparse + dense, averaged.
    theirs = (masks.spatial[0] * (1 - dense) + dense).mean((1, 2, 3))
    assert torch.allclose(masks.active(), theirs, atol=1e-6)


def test_training_masks_are_soft_and_evaluation_masks_hard(seed: int) -> None:
    model = create_model("smsr_tiny", scale=2, seed=seed)
    lr = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    for training in (True, False):
        model.train(training)
        block = next(block for _, block in masked_blocks(model))
        block.recorder = []
        with torch.no_grad():
            model(lr)
        values = torch.cat(
            [*(m.flatten() for m in block.recorder[0].spatial), *(d.flatten() for d in block.recorder[0].dense)]
        )
        assert bool(((values == 0) | (values == 1)).all()) != training
        block.recorder = None


def test_a_copy_forgets_the_pass_that_the_original_is_in(seed: int) -> None:
    model = create_model("smsr_tiny+sparse_mask(n_layers=12)", scale=2, seed=seed).train()
    model(torch.rand(1, 3, 6, 6))
    copied = copy.deepcopy(model)  # holding a graph, it could not be copied
    assert copied.auxiliary_loss() is None
    assert model.auxiliary_loss() is not None


def test_weights_that_change_reach_the_sparse_path(seed: int) -> None:
    model = with_path(create_model("smsr_tiny", scale=2, seed=seed).eval(), "sparse")
    lr = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        model(lr)  # splits the weights
        other = create_model("smsr_tiny", scale=2, seed=seed + 1).eval()
        model.load_state_dict(other.state_dict())
        assert torch.allclose(model(lr), other(lr), atol=1e-5)


def test_the_methods_masks_take_the_place_of_native_ones(seed: int) -> None:
    native, applied = (create_model(name, scale=2, seed=seed) for name in ("smsr_tiny", "smsr_tiny+sparse_mask"))
    assert list(native.state_dict()) == list(applied.state_dict())
    applied.load_state_dict(native.state_dict())
    lr = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        assert torch.equal(native.eval()(lr), applied.eval()(lr))


def test_masked_dense_can_be_exported(seed: int) -> None:
    model = with_path(create_model("smsr_tiny", scale=2, seed=seed).eval(), "masked_dense")
    lr = torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        exported = torch.export.export(model, (lr,), strict=False).module()
        assert torch.allclose(exported(lr), model(lr), atol=1e-6)


def test_the_package_offers_paths_and_counts_and_imports_no_torch_for_it() -> None:
    code = (
        "import sys, srbench_sparse_mask as m; assert 'torch' not in sys.modules; "
        "assert m.with_path.__name__ == 'with_path' and m.account.__name__ == 'account'; "
        "assert not hasattr(m, 'path')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
