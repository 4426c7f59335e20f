"""The low-rank method of docs/plugins.md: how long it is, what it weighs, and what the tools say of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srbench.cost.audit import audit
from srbench.cost.counts import cost_of
from srbench.errors import SharingError
from srbench.models.backbone import Backbone
from srbench.models.sites import SharingSite
from srbench.plugin import GeneratedConv, GeneratedConvMethod, apply_method, check_model, count_parameters, create_model
from srbench.plugin import fold as folded
from srbench.registry.registries import METHODS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"


def source() -> str:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (block,) = (block for block in blocks if "class LowRank(" in block)
    return block


@pytest.fixture
def low_rank() -> Iterator[dict[str, Any]]:
    names: dict[str, Any] = {"__name__": "low_rank"}
    exec(compile(source(), "low_rank", "exec"), names)
    try:
        yield names
    finally:
        METHODS.remove("lowrank")


def test_it_takes_at_most_50_lines_without_docstrings() -> None:
    tree = ast.parse(source())
    docstrings = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Module) and ast.get_docstring(node) is not None:
            statement = node.body[0]
            docstrings += (statement.end_lineno or 0) - statement.lineno + 1
    lines = [line for line in source().splitlines() if line.strip()]
    assert len(lines) - docstrings <= 50


@pytest.mark.parametrize(("model", "scales"), [("edsr_tiny+lowrank", (2,)), ("ms_lapsrn_tiny+lowrank(rank=2)", (2, 4))])
def test_it_conforms(low_rank: dict[str, Any], model: str, scales: tuple[int, ...]) -> None:
    outcomes = {outcome.check: outcome for outcome in check_model(model, scales, slow=False)}
    assert {name: str(item) for name, item in outcomes.items() if item.status == "failed"} == {}
    assert outcomes["declared_synthesis"].status == "passed"


def test_parameters_by_hand(low_rank: dict[str, Any]) -> None:
    """9 convolutions of 16 channels, 3x3: each 16*r and 16 biases instead of 2304 + 16, and one factor of r*144."""
    plain, made = create_model("edsr_tiny", scale=2), create_model("edsr_tiny+lowrank(rank=3)", scale=2)
    (bank,) = made.shared.values()
    layers = sum(isinstance(module, GeneratedConv) for module in made.modules())
    assert count_parameters(bank) == 3 * 16 * 9
    assert count_parameters(made) == count_parameters(plain) - layers * 16 * 144 + layers * 16 * 3 + 3 * 144


def test_cost_and_audit_count_it(low_rank: dict[str, Any]) -> None:
    model = create_model("edsr_tiny+lowrank(rank=3)", scale=2)
    layers = sum(isinstance(module, GeneratedConv) for module in model.modules())
    cost = cost_of(model)
    assert cost.hd.synthesis == layers * 16 * 3 * 144
    assert cost.folded == count_parameters(create_model("edsr_tiny", scale=2))
    assert audit(model).depth == 1


def test_it_is_folded_in_bfloat16_and_on_meta(low_rank: dict[str, Any]) -> None:
    model = create_model("edsr_tiny+lowrank", scale=2, seed=0).to(torch.bfloat16)
    assert {tensor.dtype for tensor in folded(model).state_dict().values()} == {torch.bfloat16}
    assert {tensor.device.type for tensor in folded(model.to("meta")).state_dict().values()} == {"meta"}


class Mixed(Backbone):
    """Two shapes in one bank, tied biases, a native ConvTranspose2d."""

    def __init__(self) -> None:
        super().__init__((2, 4))
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.c, self.d = nn.Conv2d(8, 8, 1), nn.ConvTranspose2d(8, 3, 2, stride=2)

    def sharing_sites(self) -> list[SharingSite]:
        policies = {"a": "own", "b": "tied", "c": "tied", "d": "per_scale"}
        return [
            SharingSite(name, kind="tconv" if name == "d" else "conv", bank="all", tie="bc", bias=policy)
            for name, policy in policies.items()
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        scale = self.select_scale(scale)
        sr = self.d(self.c(self.b(self.a(lr)).relu()).relu())
        return sr if scale == 2 else sr.repeat_interleave(2, 2).repeat_interleave(2, 3)


class Scaled(GeneratedConv):
    """A shared kernel, times a number for each scale."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.factors = self.per_scale(torch.ones(()))

    def kernel(self) -> Tensor:
        return self.bank["kernel"].weight * self.active(self.factors)


class ByShape(GeneratedConvMethod):
    kinds = frozenset({"conv", "tconv"})

    def part(self, site: SharingSite, layer: Any) -> object:
        return tuple(layer.weight.shape)

    def bank(self, layers: Any, scales: tuple[int, ...]) -> nn.Module:
        return nn.ModuleDict({"kernel": next(iter(layers.values()))})

    def layer(self, site: SharingSite, layer: Any, shared: Any, scales: tuple[int, ...]) -> GeneratedConv:
        return Scaled(site, layer, shared, scales)


def test_a_bank_of_mixed_shapes_is_split_and_biases_follow_their_policy() -> None:
    model = apply_method(Mixed(), ByShape())
    shared = model.shared["byshape_all"]
    assert len(shared.banks) == 3
    assert model.b.bank is model.c.bank
    assert model.b.active_bias() is model.c.active_bias()
    assert model.a.bias is not None
    assert list(model.d.biases) == ["x2", "x4"]
    lr = torch.rand(1, 3, 5, 4)
    for scale in (2, 4):
        assert torch.allclose(folded(model, scale)(lr), model(lr, scale), atol=1e-6)
    view = model.at_scale(4)
    assert [list(view.d.factors), list(view.d.biases)] == [["x4"], ["x4"]]
    assert torch.equal(view(lr), model(lr, 4))


def test_what_is_no_convolution_is_refused() -> None:
    model = Mixed()
    model.b = nn.Identity()
    with pytest.raises(SharingError, match="needs a plain convolution at 'b' and found Identity"):
        apply_method(model, ByShape())
