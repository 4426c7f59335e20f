"""The image that networks are timed on."""

from __future__ import annotations

import pytest
import torch

from srbench.cost.images import photograph
from srbench.data.datasets import open_dataset
from srbench.errors import CostError
from srbench.protocols import get_protocol


def astronaut(scale: int) -> torch.Tensor:
    lr, _ = open_dataset("embedded-test").pair("astronaut", scale, get_protocol("matlab-y"))
    return torch.from_numpy(lr.copy()).permute(2, 0, 1)[None].float() / 255


def test_it_is_the_middle_of_a_test_image() -> None:
    assert torch.equal(photograph(2, 128, 96), astronaut(2)[..., 64:192, 80:176])
    assert torch.equal(photograph(2, 256, 256), astronaut(2))


def test_it_is_mirrored_where_it_is_smaller_than_asked_for() -> None:
    found, there = photograph(4, 2 * 128, 5 * 128), astronaut(4)
    middle = found[..., 64:192, 256:384]
    assert torch.equal(middle, there)
    assert torch.equal(found[..., 64:192, 128:256], there.flip(-1))
    assert torch.equal(found[..., 64:192, :128], there)
    assert torch.equal(found[..., 192:, 256:384], there.flip(-2)[..., :64, :])


def test_one_that_no_memory_holds_is_an_error() -> None:
    with pytest.raises(CostError, match="an LR image of 1000000000x1000000000 pixels does not fit into the memory"):
        photograph(2, 10**9, 10**9)
