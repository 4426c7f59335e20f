"""What networks with masks say they execute."""

from __future__ import annotations

import pytest
from torch import Tensor

from srbench.cost.counts import cost_of
from srbench.cost.executed import executed_on, skips_work
from srbench.data.datasets import open_dataset
from srbench.errors import CostError
from srbench.models.backbones.edsr import EDSR
from srbench.models.factory import create_model
from srbench.protocols import get_protocol


class Half(EDSR):
    """EDSR that says it skips every second position."""

    answers = 1

    def executed_macs(self, lr: Tensor, scale: int | None = None) -> list[int]:
        dense = 8 * 36 * lr.shape[-2] * lr.shape[-1]
        return [dense // 2] * self.answers


def test_counts_are_brought_to_1280x720_by_area() -> None:
    found = executed_on(Half((2,), 8, 1), open_dataset("embedded-test"), 2, get_protocol("matlab-y"))
    assert found is not None
    assert set(found) == set(open_dataset("embedded-test").image_names())
    # Whatever the size of an image, half of 8 * 36 for each of 640 x 360 LR pixels.
    assert list(found.values()) == pytest.approx([4 * 36 * 640 * 360] * len(found))


def test_a_network_that_skips_nothing_has_no_such_figure() -> None:
    model = create_model("edsr_tiny", scale=2, seed=0)
    assert not skips_work(model)
    assert model.executed_macs(None) is None  # type: ignore[arg-type]
    assert executed_on(model, open_dataset("embedded-test"), 2, get_protocol("matlab-y")) is None
    assert cost_of(model).hd.macs > 0


def test_one_count_for_each_image_or_an_error() -> None:
    model = Half((2,), 8, 1)
    model.answers = 2
    with pytest.raises(CostError, match=r"Half\.executed_macs returned 2 counts for one image"):
        executed_on(model, open_dataset("embedded-test"), 2, get_protocol("matlab-y"))
