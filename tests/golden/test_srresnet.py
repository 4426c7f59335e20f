"""The SRResNets against what SMSR's supplement (Table II) and FACTS print; docs/adr/0013-which-srresnet.md."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from srbench.models.counting import count_parameters
from srbench.models.factory import create_model


def giga_macs(name: str, scale: int) -> float:
    """Return the multiply-accumulates in G for 1280x720 pixels; on the meta device nothing is computed."""
    model = create_model(name, scale=scale).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(torch.empty(1, 3, 720 // scale, 1280 // scale, device="meta"))
    return float(counter.get_total_flops()) / 2e9


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("msrresnet", 1_517_571, 146.0810),  # FACTS: 146.1
        ("srresnet", 1_480_643, 112.1071),  # Table II prints 112.11 G
        ("srresnet_bn", 1_535_638, 115.0267),  # Table II prints 1.54M
    ],
)
def test_sizes_and_costs_at_x4(name: str, parameters: int, macs: float) -> None:
    assert count_parameters(create_model(name, scale=4)) == parameters
    assert giga_macs(name, 4) == pytest.approx(macs, abs=5e-5)


def test_the_printed_macs_are_those_of_srresnet_and_the_printed_size_that_of_srresnet_bn() -> None:
    assert f"{giga_macs('srresnet', 4):.2f}" == "112.11"
    assert f"{count_parameters(create_model('srresnet_bn', scale=4)) / 1e6:.2f}" == "1.54"


@pytest.mark.parametrize(("filters", "printed"), [(20, 67.51), (10, 55.72)])
def test_basis_takes_about_the_printed_macs(filters: int, printed: float) -> None:
    assert giga_macs(f"srresnet+basis(num_basis={filters})", 4) == pytest.approx(printed, rel=0.005)


@pytest.mark.parametrize("name", ["srresnet_tiny", "msrresnet", "srresnet_bn"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_nothing_beyond_the_receptive_field_changes_a_pixel(name: str, scale: int, seed: int) -> None:
    model = create_model(name, scale=scale, seed=seed).eval()
    field = model.receptive_field
    assert field is not None
    side = 2 * field + 3
    lr = torch.rand(1, 3, 8, side, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    middle = side // 2
    model(lr)[..., scale * middle : scale * (middle + 1)].sum().backward()
    columns = lr.grad.abs().sum((0, 1, 2)).nonzero()[:, 0] - middle  # type: ignore[union-attr]
    assert columns.abs().max() <= field
    assert columns.abs().max() >= field - 2  # nor is it said much too large
