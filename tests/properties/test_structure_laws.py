"""Laws of the methods that restructure each layer, `dsconv` and `basis`, on EDSR's and DRRN's structure."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from srbench.errors import ConfigError, SharingError
from srbench.models.backbone import Backbone
from srbench.models.backbones.edsr import EDSR
from srbench.models.counting import count_parameters, count_stored
from srbench.models.factory import create_model
from srbench.models.methods.sharing_method import SharingMethod
from srbench.models.shared_modules import TiedLayer
from srbench.models.sites import SharingSite
from srbench.models.surgery import apply_method, fold, layer_at, tie
from srbench_ps.basis import Basis
from srbench_ps.drrn import DRRN
from srbench_ps.dsconv import DSConv
from srbench_ps.structures import BasisConv, DepthwiseSeparable

BLOCKS, FEATURES = 3, 8
METHODS = st.one_of(
    st.builds(DSConv, blocks=st.none() | st.integers(1, BLOCKS)),
    st.builds(
        Basis, num_basis=st.integers(1, 8), splits=st.sampled_from([1, 2, 4]), init=st.sampled_from([None, "svd"])
    ),
)


def network(name: str, scale: int, seed: int) -> Backbone:
    torch.manual_seed(seed)
    if name == "edsr":
        return EDSR((scale,), num_feat=FEATURES, num_block=BLOCKS)
    return DRRN((2, 3, 4), num_unit=BLOCKS, num_feat=FEATURES)


networks = st.builds(network, st.sampled_from(["edsr", "drrn"]), st.just(2), st.integers(0, 2**16))


def images(seed: int, size: tuple[int, int] = (7, 6)) -> torch.Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(seed))


@st.composite
def convolutions(draw: st.DrawFn) -> nn.Conv2d:
    """Draw a convolution with any stride, padding, dilation, groups, padding mode and bias policy."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    groups = draw(st.sampled_from([1, 2, 3]))
    return nn.Conv2d(
        4 * groups,
        draw(st.integers(1, 3)) * groups,
        (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        stride=draw(st.integers(1, 2)),
        padding=draw(st.integers(0, 2)),
        dilation=draw(st.integers(1, 2)),
        groups=groups,
        bias=draw(st.booleans()),
        padding_mode=draw(st.sampled_from(["zeros", "replicate"])),
    )


@given(networks, METHODS, st.integers(0, 2**16))
def test_images_have_the_size_asked_for_and_gradients_reach_everything(
    model: Backbone, method: SharingMethod, seed: int
) -> None:
    """Law: at every scale the SR image has scale times the sides, and one backward pass reaches every parameter."""
    model = apply_method(model, method)
    for scale in model.scales:
        sr = model(images(seed), scale)
        assert sr.shape == (2, 3, 7 * scale, 6 * scale)
        sr.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@given(networks, METHODS, st.integers(0, 2**16))
def test_copies_and_state_dicts_compute_the_same(model: Backbone, method: SharingMethod, seed: int) -> None:
    """Law: a state dict, a deep copy, one scale's view and `fold` (which declines) change no bit."""
    original = copy.deepcopy(model)
    model = apply_method(model, method)
    loaded = apply_method(original, copy.deepcopy(method))
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(1)
    loaded.load_state_dict(model.state_dict())
    expected = model(images(seed), 2)
    for other in (loaded, copy.deepcopy(model), model.at_scale(2), fold(model, 2)):
        assert torch.equal(other(images(seed), 2), expected)
        assert count_parameters(other) == count_stored(other) == count_parameters(model)
    assert not any(type(layer_at(fold(model, 2), site.path)) is nn.Conv2d for site in changed_sites(model))


def changed_sites(model: Backbone) -> list[object]:
    return [s for s in model.sharing_sites() if isinstance(layer_at(model, s.path), BasisConv | DepthwiseSeparable)]


@given(networks, st.integers(1, BLOCKS))
def test_dsconv_replaces_the_last_blocks_and_counts_as_the_formula(model: Backbone, blocks: int) -> None:
    """Law: the layers of the last n blocks are depthwise-separable, the others are as they were.

    Each distinct layer costs `i*k*k + i*o` weights, and `i + o` biases if it had one.
    """
    before = copy.deepcopy(model)
    sites = model.sharing_sites()
    expected = count_parameters(before)
    removed = {}
    for site in sites:
        if site.step[0] >= BLOCKS - blocks:
            removed[id(layer_at(before, site.path))] = layer_at(before, site.path)
    kept = {id(layer_at(before, site.path)) for site in sites if site.step[0] < BLOCKS - blocks}
    for key, layer in removed.items():
        # A layer of DRRN is in every block: it stays while a block keeps it.
        expected -= 0 if key in kept else sum(p.numel() for p in layer.parameters())
        i, o, bias = layer.in_channels, layer.out_channels, layer.bias is not None
        expected += i * 9 + i * o + (i + o) * bias
    model = apply_method(model, DSConv(blocks=blocks))
    assert count_parameters(model) == expected
    for site in sites:
        is_separable = isinstance(layer_at(model, site.path), DepthwiseSeparable)
        assert is_separable == (site.step[0] >= BLOCKS - blocks)


@given(networks, st.integers(1, 8), st.sampled_from([1, 2, 4]))
def test_basis_counts_as_the_formula(model: Backbone, num_basis: int, splits: int) -> None:
    """Law: each distinct layer costs `m*(i/s)*k*k + o*s*m` weights, and `o` biases if it had them."""
    layers = {id(layer_at(model, site.path)): layer_at(model, site.path) for site in model.sharing_sites()}
    expected = count_parameters(model)
    for layer in layers.values():
        i, o = layer.in_channels, layer.out_channels
        expected += num_basis * (i // splits) * 9 + o * splits * num_basis - layer.weight.numel()
    assert count_parameters(apply_method(model, Basis(num_basis=num_basis, splits=splits))) == expected


def test_a_layer_used_in_every_unit_of_drrn_stays_one_layer() -> None:
    for name, replaced in (("dsconv", DepthwiseSeparable), ("basis", BasisConv)):
        model = create_model(f"drrn_b1u9+{name}", scales=(2, 3, 4))
        layers = {id(layer_at(model, site.path)) for site in model.sharing_sites()}
        assert len(layers) == 2
        assert sum(isinstance(module, replaced) for module in model.modules()) == 2


class Feedback(Backbone):
    """A toy with native recurrence: one convolution and one activation, used in each of three steps."""

    def __init__(self) -> None:
        super().__init__((1,))
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        activation = nn.PReLU()
        self.shared["act"] = activation
        self.acts = nn.ModuleList(TiedLayer(activation) for _ in range(3))
        tie(self, self.sharing_sites())

    def sharing_sites(self) -> list[SharingSite]:
        return [
            SharingSite(f"convs.{t}", kind="conv", bank="all", tie="conv", step=(t,), companions=(f"acts.{t}",))
            for t in range(3)
        ]

    def forward(self, lr: torch.Tensor, scale: int | None = None) -> torch.Tensor:
        for conv, act in zip(self.convs, self.acts, strict=True):
            lr = act(conv(lr))
        return lr


def test_what_goes_with_a_layer_is_untied_only_where_the_layer_is() -> None:
    # Depthwise 3*9 + 3, pointwise 9 + 3, PReLU 1; replaced in the last step alone, that step has its own PReLU.
    assert count_parameters(apply_method(Feedback(), DSConv())) == 42 + 1
    assert count_parameters(apply_method(Feedback(), DSConv(blocks=1))) == (84 + 1) + (42 + 1)


@given(convolutions(), st.sampled_from([1, 2, 4]), st.data())
def test_basis_equals_the_convolution_with_its_kernel(conv: nn.Conv2d, splits: int, data: st.DataObject) -> None:
    """Law: basis and combination are one convolution, of any stride, padding, dilation and groups, to rounding."""
    largest = min(conv.out_channels * splits, conv.weight[0].numel() // splits)
    layer = BasisConv(conv, data.draw(st.integers(1, largest)), splits, "layer").double()
    plain = copy.deepcopy(conv).double()
    with torch.no_grad():
        plain.weight.copy_(layer.kernel())
        if plain.bias is not None:
            plain.bias.copy_(layer.coefficients.bias)
    x = torch.randn(2, conv.in_channels, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(x), plain(x), rtol=1e-10, atol=1e-10)


@given(convolutions(), st.sampled_from([1, 2, 4]), st.data())
def test_svd_start_is_the_best_basis(conv: nn.Conv2d, splits: int, data: st.DataObject) -> None:
    """Law (Eckart-Young): the squared error is the tail of the singular values; a full basis is the layer itself."""
    conv = conv.double()
    singular = torch.linalg.svdvals(conv.weight.detach().reshape(conv.out_channels * splits, -1))
    num_basis = data.draw(st.integers(1, len(singular)))
    layer = Basis(num_basis=num_basis, splits=splits, init="svd").restructured("layer", conv)
    assert isinstance(layer, BasisConv)
    error = float((layer.kernel() - conv.weight).detach().pow(2).sum())
    assert error == pytest.approx(float(singular[num_basis:].pow(2).sum()), rel=1e-9, abs=1e-24)
    if num_basis == len(singular):
        x = torch.randn(1, conv.in_channels, 9, 8, dtype=torch.float64)
        torch.testing.assert_close(layer(x), conv(x), rtol=1e-9, atol=1e-9)


@given(convolutions())
def test_depthwise_separable_layers_have_the_output_shape_of_the_convolution(conv: nn.Conv2d) -> None:
    """Law: whatever stride, padding, dilation and groups, the output has the shape that the convolution's has.

    Output channels depend on the input channels of their own group only, as the convolution's do.
    """
    layer = DepthwiseSeparable(conv)
    x = torch.randn(1, conv.in_channels, 9, 8, requires_grad=True)
    y = layer(x)
    assert y.shape == conv(x).shape
    y[:, : conv.out_channels // conv.groups].sum().backward()
    assert x.grad is not None
    assert x.grad[:, conv.in_channels // conv.groups :].abs().sum() == 0


@pytest.mark.parametrize("arguments", [{"blocks": 0}, {"blocks": -1}, {"blocks": "all"}, {"blocks": True}])
def test_dsconv_refuses_a_wrong_number(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="whole number of at least 1"):
        DSConv(**arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"num_basis": 0}, "num_basis=0 is not a whole number"),
        ({"num_basis": "many"}, "num_basis=many is not a whole number"),
        ({"splits": 0}, "splits=0 is not a whole number"),
        ({"splits": True}, "splits=True is not a whole number"),
        ({"init": "he"}, "init=he is not svd"),
    ],
)
def test_basis_refuses_wrong_arguments(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Basis(**arguments)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("edsr_tiny+dsconv(blocks=5)", "blocks=5 exceeds the 4 blocks .* at most 4"),
        ("edsr_tiny+basis(num_basis=17)", "num_basis=17 exceeds 16, .*'body.0.conv1' .* at most 16"),
        ("edsr_tiny+basis(num_basis=37,splits=4)", "num_basis=37 exceeds 36"),
        ("edsr_tiny+basis(splits=3)", "splits=3 does not divide the 16 input channels of the layer 'body.0.conv1'"),
    ],
)
def test_what_does_not_fit_a_network_is_refused_and_leaves_it_whole(name: str, said: str) -> None:
    with pytest.raises(SharingError, match=said):
        create_model(name, scale=2)


def test_a_count_of_splits_that_does_not_divide_a_group_names_the_groups() -> None:
    with pytest.raises(SharingError, match="splits=3 does not divide the 4 input channels of each of the 2 groups"):
        BasisConv(nn.Conv2d(8, 8, 3, groups=2), 1, 3, "layer")


def test_other_layers_than_convolutions_are_refused() -> None:
    for method in (DSConv(), Basis()):
        with pytest.raises(SharingError, match="needs a plain convolution at 'up' and found ConvTranspose2d"):
            method.restructured("up", nn.ConvTranspose2d(4, 4, 3))


@given(st.integers(0, 2**16))
def test_the_fresh_network_neither_explodes_nor_vanishes(seed: int) -> None:
    """Law: freshly initialised, each layer's output varies about as the input does, within a factor of ten."""
    torch.manual_seed(seed)
    conv = nn.Conv2d(64, 64, 3, padding=1)
    x = torch.randn(1, 64, 16, 16)
    for layer in (DepthwiseSeparable(conv), BasisConv(conv, 16, 2, "layer")):
        spread = float(layer(x).detach().std())
        assert 0.1 < spread < 10
