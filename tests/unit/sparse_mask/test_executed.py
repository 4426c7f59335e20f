"""What masks leave of the work: by hand on small masks, none where all is on, and never more than everything."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from srbench.cost.counts import work_at
from srbench.cost.operators import on_meta
from srbench.models.backbone import Backbone
from srbench.models.factory import create_model
from srbench_sparse_mask.accounting import module_work
from srbench_sparse_mask.block import BlockMasks, masked_blocks
from srbench_sparse_mask.surgery import with_path


def dense_macs(model: Backbone, height: int, width: int) -> int:
    return work_at(on_meta(model), 2, height, width).macs


def skipped(masks: BlockMasks) -> int:
    work = module_work("body.0", masks)
    return work.full - work.executed


def test_a_block_by_hand() -> None:
    model = create_model("smsr_tiny", scale=2, seed=0)
    _, block = next(iter(masked_blocks(model)))
    spatial = torch.ones(1, 1, 5, 6)
    spatial[..., :3, :] = 0  # 18 positions off
    dense = [torch.zeros(1, 16) for _ in range(4)]
    dense[0][0, :3] = 1
    dense[1][0, :2] = 1
    masks = BlockMasks(block, dense, None, [spatial])
    # 16 -> 3 of 16 -> 16, 3 -> 2, 2 -> 0 and 0 -> 0 are left of each 16 -> 16, and 5 of 64 -> 16 where all is gathered.
    left = 9 * (16 * 3 + 3 * 2) + 16 * 5
    assert skipped(masks) == 18 * (9 * 4 * 16 * 16 + 16 * 64 - left)
    assert skipped(BlockMasks(block, dense, None, [torch.ones(1, 1, 5, 6)])) == 0
    assert skipped(BlockMasks(block, [torch.ones(1, 16)] * 4, None, [spatial])) == 0


@settings(max_examples=10)
@given(
    st.sampled_from(["smsr_tiny", "imdn_tiny+sparse_mask(n_layers=2)", "srresnet_tiny+sparse_mask(channel=dynamic)"]),
    st.integers(0, 2**16),
    st.tuples(st.integers(9, 16), st.integers(9, 16)),
)
def test_what_is_left_is_no_more_than_everything_and_the_image_decides(
    name: str, seed: int, size: tuple[int, int]
) -> None:
    """Law: what is executed is no more than the dense count; images of a batch count by themselves."""
    model = create_model(name, scale=2, seed=seed).train()
    lr = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(seed))
    together = model.executed_macs(lr)
    assert model.training
    assert together is not None
    assert together == [count for image in lr.split(1) for count in model.executed_macs(image) or []]
    assert all(0 < count <= dense_macs(model, *size) for count in together)


@pytest.mark.parametrize("name", ["smsr_tiny", "imdn_tiny+sparse_mask"])
def test_masks_that_are_on_everywhere_leave_everything(name: str) -> None:
    model = create_model(name, scale=2, seed=0)
    for _, block in masked_blocks(model):
        for mask in block.spatial:
            last = mask.layers[-1]
            assert isinstance(last, nn.ConvTranspose2d)
            nn.init.zeros_(last.weight)
            with torch.no_grad():
                last.bias.copy_(torch.tensor([-1.0, 1.0]))  # off, on
    assert model.executed_macs(torch.rand(1, 3, 9, 8)) == [dense_macs(model, 9, 8)]


def test_the_sparse_path_and_the_masked_one_have_the_same_masks() -> None:
    model = create_model("smsr_tiny", scale=2, seed=1)
    lr = torch.rand(2, 3, 12, 14, generator=torch.Generator().manual_seed(0))
    assert with_path(model, "sparse").executed_macs(lr) == model.executed_macs(lr)
    assert with_path(model, "dense").executed_macs(lr) is None


def test_a_masked_network_with_shared_filters_costs_what_its_dense_form_does() -> None:
    shared, plain = (create_model(name, scale=2, seed=0) for name in ("smsr_tiny+ps", "smsr_tiny"))
    assert dense_macs(shared, 12, 12) == dense_macs(plain, 12, 12)
