"""Laws of tied transposed convolutions: the adjoint, tying and untying, and where gradients go."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters
from srbench.models.shared_modules import TiedLayer
from srbench.models.sites import SharingSite
from srbench.models.surgery import apply_method, fold, layer_at
from srbench_ps.srfbn import SRFBN
from srbench_tied_tconv.laplacian import UpConv
from srbench_tied_tconv.lapsrn import LapSRN
from srbench_tied_tconv.layers import AdjointConv
from srbench_tied_tconv.method import TiedTConv
from srbench_tied_tconv.ms_lapsrn import MSLapSRN

SEEDS = st.integers(0, 2**16)


class Funnel(Backbone):
    """A convolution that changes the number of channels, and what enlarges the other way round."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__((2,))
        self.conv = nn.Conv2d(num_in, num_out, 3, padding=1)
        self.up = UpConv(num_out, num_in)

    def sharing_sites(self) -> list[SharingSite]:
        return [
            SharingSite("conv", kind="conv", bank="all", tie="conv", place=1, adjoint="all"),
            SharingSite("up.conv", kind="tconv", bank="all", tie="up", adjoint="all"),
        ]

    def forward(self, x: Tensor, scale: int | None = None) -> Tensor:
        return self.up(self.conv(x))  # type: ignore[no-any-return]


def random_like(shape: torch.Size | tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(build: type[Backbone], seed: int, *args: object, **options: object) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(*args, **options).double()  # type: ignore[arg-type]


def assert_adjoint(up: nn.Module, bias: Tensor, strided: nn.Module | None, x: Tensor, weight: Tensor) -> None:
    """Compare <up(x), y> with <x, conv(y)>, the explicit strided convolution of the law."""
    enlarged = (up(x) - bias[:, None, None]).detach()
    y = random_like(enlarged.shape, 7)
    made_small = F.conv2d(F.pad(y, (0, 1, 0, 1)), weight, stride=2) if strided is None else strided(y)
    assert made_small.shape == x.shape
    left, right = float((enlarged * y).sum()), float((x * made_small.detach()).sum())
    scale = float(enlarged.norm() * y.norm())
    assert abs(left - right) <= 1e-10 * scale


@settings(max_examples=30)
@given(
    num_in=st.integers(1, 6), num_out=st.integers(1, 6), height=st.integers(1, 7), width=st.integers(1, 7), seed=SEEDS
)
def test_the_installed_module_is_the_adjoint_of_the_strided_convolution(
    num_in: int, num_out: int, height: int, width: int, seed: int
) -> None:
    """Law: <U x, y> = <x, C y>, C = conv2d(pad(y, (0, 1, 0, 1)), w, stride=2); U with its cut row and column."""
    model = apply_method(made(Funnel, seed, num_in, num_out), TiedTConv(conv=1))
    layer = layer_at(model, "up.conv")
    assert isinstance(layer, AdjointConv)
    assert layer.kernel() is model.get_submodule("conv").weight
    x = random_like((2, num_out, height, width), seed)
    assert layer.bias is not None
    assert_adjoint(model.get_submodule("up"), layer.bias, None, x, layer.kernel())


@settings(max_examples=10)
@given(conv=st.integers(1, 5), levels=st.integers(1, 3), height=st.integers(1, 6), width=st.integers(1, 6), seed=SEEDS)
def test_in_ms_lapsrn_it_is_the_adjoint_of_the_chosen_convolution(
    conv: int, levels: int, height: int, width: int, seed: int
) -> None:
    """Law: the same at every level of the network, for every choice."""
    model = apply_method(made(MSLapSRN, seed, (2**levels,), 2, num_feat=3), TiedTConv(conv=conv))
    for level in range(levels):
        layer = layer_at(model, f"levels.{level}.up.conv")
        assert isinstance(layer, AdjointConv)
        chosen = layer_at(model, f"levels.{level}.blocks.0.convs.{conv - 1}")
        assert layer.kernel() is chosen.weight
        assert layer.bias is not None
        up = model.get_submodule(f"levels.{level}.up")
        x = random_like((1, 3, height, width), seed)
        assert up(x).shape == (1, 3, 2 * height, 2 * width)
        assert_adjoint(up, layer.bias, None, x, layer.kernel())


@settings(max_examples=10)
@given(scale=st.sampled_from([2, 3, 4]), height=st.integers(2, 6), width=st.integers(2, 6), seed=SEEDS)
def test_in_srfbn_what_enlarges_is_the_adjoint_of_what_makes_small(
    scale: int, height: int, width: int, seed: int
) -> None:
    """Law: on a second backbone, whose convolutions have strides of their own: their very adjoint."""
    model = apply_method(made(SRFBN, seed, (scale,), 3, 2, 2), TiedTConv(conv=1))
    for step in range(2):
        for group in range(2):
            layer = layer_at(model, f"steps.{step}.ups.{group}.conv")
            down = layer_at(model, f"steps.{step}.downs.{group}.conv")
            assert isinstance(layer, AdjointConv)
            assert layer.bias is not None
            assert isinstance(down, nn.Conv2d)
            assert layer.kernel() is down.weight
            without_bias = copy.deepcopy(down)
            without_bias.bias = None
            x = random_like((1, 3, height, width), seed)
            assert_adjoint(layer, layer.bias, without_bias, x, down.weight)


@settings(max_examples=20)
@given(
    num_in=st.integers(1, 4), num_out=st.integers(1, 4), height=st.integers(1, 6), width=st.integers(1, 6), seed=SEEDS
)
def test_it_transposes_the_block_s_own_convolution_on_features_spread_out(
    num_in: int, num_out: int, height: int, width: int, seed: int
) -> None:
    """Law: U x = C1* (Z x), C1 the block's convolution as it stands, Z x with x at odd rows and columns, 0 between."""
    model = apply_method(made(Funnel, seed, num_in, num_out), TiedTConv(conv=1))
    x = random_like((2, num_out, height, width), seed)
    spread = x.new_zeros(2, num_out, 2 * height, 2 * width)
    spread[..., 1::2, 1::2] = x
    layer, conv = layer_at(model, "up.conv"), model.get_submodule("conv")
    assert isinstance(layer, AdjointConv)
    assert isinstance(conv, nn.Conv2d)
    expected = F.conv_transpose2d(spread, conv.weight, layer.bias, conv.stride, conv.padding)
    torch.testing.assert_close(model.get_submodule("up")(x), expected, rtol=1e-10, atol=1e-12)


def test_another_padding_is_another_map() -> None:
    """The near miss that no shape shows: padding=1, output_padding=1 cuts off the first row and column instead."""
    model = apply_method(made(Funnel, 3, 4, 4), TiedTConv(conv=1))
    layer = layer_at(model, "up.conv")
    assert isinstance(layer, AdjointConv)
    x = random_like((1, 4, 5, 5), 0)
    other = F.conv_transpose2d(x, layer.kernel(), layer.bias, stride=2, padding=1, output_padding=1)
    ours = model.get_submodule("up")(x)
    assert other.shape == ours.shape
    assert not torch.allclose(other, ours)
    swapped = F.conv_transpose2d(x, layer.kernel().transpose(0, 1), layer.bias, stride=2)[..., :10, :10]
    assert not torch.allclose(swapped, ours)


def untie(model: Backbone) -> None:
    """Give every tied transposed convolution a kernel of its own, in place; the network computes the same.

    Transposed convolutions that are one layer natively stay one.
    """
    plain: dict[int, nn.Module] = {}
    for key, module in list(model.shared.items()):
        if isinstance(module, AdjointConv):
            plain[id(module)] = model.shared[key] = module.folded()
    for path, module in list(model.named_modules()):
        if isinstance(module, TiedLayer) and id(module.shared_module) in plain:
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, TiedLayer(plain[id(module.shared_module)]))
        elif isinstance(module, AdjointConv):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, module.folded())
    model.method = None


@pytest.mark.parametrize("conv", [1, 2, 3, 4, 5, "mix"])
@pytest.mark.parametrize("scale", [2, 4])
def test_tying_then_untying_changes_no_bit_and_costs_36864(conv: int | str, scale: int) -> None:
    """Law: the tied network, untied, computes bit for bit the same, with one kernel more, at every number of levels."""
    torch.manual_seed(5)
    model = apply_method(MSLapSRN((scale,), 2), TiedTConv(conv=conv))
    lr = torch.rand(1, 3, 7, 6)
    before, count = model.image(model(lr)), count_parameters(model)
    untie(model)
    assert torch.equal(model.image(model(lr)), before)
    logits = 5 if conv == "mix" else 0
    assert count_parameters(model) == 222_801 == count + 36_864 - logits
    assert not any(isinstance(module, AdjointConv) for module in model.modules())


def test_untying_srfbn_costs_its_three_kernels() -> None:
    torch.manual_seed(5)
    model = apply_method(SRFBN((2,)), TiedTConv(conv=1))
    count = count_parameters(model)
    lr = torch.rand(1, 3, 6, 5)
    before = model.image(model(lr))
    untie(model)
    assert torch.equal(model.image(model(lr)), before)
    assert count_parameters(model) == 282_442 == count + 3 * 32 * 32 * 36


@pytest.mark.parametrize("conv", [1, 3, 5])
def test_folding_gives_plain_layers_bit_for_bit(conv: int) -> None:
    torch.manual_seed(2)
    model = apply_method(MSLapSRN((2, 4), 2, num_feat=8), TiedTConv(conv=conv)).eval()
    lr = torch.rand(1, 3, 7, 6)
    for scale in (2, 4):
        folded = fold(model, scale)
        assert torch.equal(folded.image(folded(lr)), model.image(model(lr, scale)))
        assert isinstance(folded.get_submodule("levels.0.up.conv"), nn.ConvTranspose2d)


@settings(max_examples=10)
@given(conv=st.sampled_from([1, 3, 5]), levels=st.integers(1, 2), seed=SEEDS)
def test_the_gradient_of_a_tied_tensor_is_the_sum_of_both_uses(conv: int, levels: int, seed: int) -> None:
    """Law: d loss / d w of the tied network is the sum of those of the two kernels, had they been apart."""
    model = apply_method(made(MSLapSRN, seed, (2**levels,), 2, num_feat=3), TiedTConv(conv=conv))
    apart = copy.deepcopy(model)
    untie(apart)
    lr, hr = random_like((2, 3, 5, 4), seed).abs(), random_like((2, 3, 5 * 2**levels, 4 * 2**levels), seed + 1).abs()
    for network in (model, apart):
        network.loss(network(lr), network.targets(hr, 2**levels), F.mse_loss).backward()
    tied = layer_at(model, f"levels.0.blocks.0.convs.{conv - 1}").weight.grad
    conv_part = layer_at(apart, f"levels.0.blocks.0.convs.{conv - 1}").weight.grad
    up_part = layer_at(apart, "levels.0.up.conv").weight.grad
    assert isinstance(tied, Tensor)
    assert isinstance(conv_part, Tensor)
    assert isinstance(up_part, Tensor)
    assert up_part.abs().max() > 0
    torch.testing.assert_close(tied, conv_part + up_part, rtol=1e-10, atol=1e-14)


@settings(max_examples=10)
@given(seed=SEEDS)
def test_a_mixture_is_the_adjoint_of_the_mixed_convolutions(seed: int) -> None:
    """Law: a mixture's kernel is the sum of the kernels times softmax(logits); one-hot, it is one of them."""
    model = apply_method(made(MSLapSRN, seed, (2,), 1, num_feat=3), TiedTConv(conv="mix"))
    layer = layer_at(model, "levels.0.up.conv")
    assert isinstance(layer, AdjointConv)
    assert layer.logits is not None
    kernels = [layer_at(model, f"levels.0.blocks.0.convs.{index}").weight for index in range(5)]
    torch.testing.assert_close(
        layer.kernel(), torch.stack(kernels).mean(0), rtol=1e-12, atol=1e-14
    )  # all equal at first
    with torch.no_grad():
        layer.logits.copy_(random_like((5,), seed))
        shares = layer.logits.softmax(0)
        expected = sum(share * kernel for share, kernel in zip(shares, kernels, strict=True))
        torch.testing.assert_close(layer.kernel(), expected, rtol=1e-12, atol=1e-14)
        layer.logits[2] += 1000
        assert torch.equal(layer.kernel(), kernels[2])


def test_in_lapsrn_each_level_takes_its_own_convolution() -> None:
    torch.manual_seed(1)
    model = apply_method(LapSRN((4,), num_conv=3, num_feat=4), TiedTConv(conv=2))
    for level in (0, 1):
        layer = layer_at(model, f"levels.{level}.up.conv")
        assert isinstance(layer, AdjointConv)
        assert layer.kernel() is model.get_submodule(f"levels.{level}.convs.1").weight
