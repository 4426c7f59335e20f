"""Surgery on networks: what methods untie, tie, leave alone, and fold."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import srbench
from srbench.errors import ConfigError, SharingError
from srbench.models.backbone import Backbone
from srbench.models.counting import count_stored
from srbench.models.methods.dense import Dense
from srbench.models.methods.recursive import Recursive
from srbench.models.methods.sharing_method import SharingMethod
from srbench.models.shared_modules import TiedLayer
from srbench.models.sites import SharingSite
from srbench.models.surgery import apply_method, fold, layer_at, tie
from srbench.registry import canonical_name, make_method


class Steps(Backbone):
    """Three steps of a convolution and a PReLU, which goes with it; recursive natively if asked."""

    def __init__(self, *, native: bool, widths: tuple[int, int, int] = (8, 8, 8)) -> None:
        super().__init__((2,))
        self.entry = nn.Conv2d(3, 8, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, groups=8 // width) for width in widths)
        act = nn.PReLU(8)
        self.shared["act"] = act
        self.acts = nn.ModuleList(TiedLayer(act) for _ in widths)
        self.exit = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2))
        if native:
            tie(self, self.sharing_sites())

    def sharing_sites(self) -> list[SharingSite]:
        return [
            SharingSite(f"convs.{i}", "conv", "steps", "conv", (i,), companions=(f"acts.{i}",))
            for i in range(len(self.convs))
        ]

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        self.select_scale(scale)
        features = self.entry(lr)
        for conv, act in zip(self.convs, self.acts, strict=True):
            features = act(conv(features)) + features
        return self.exit(features)


def _image(seed: int = 0) -> Tensor:
    return torch.rand(1, 3, 12, 10, generator=torch.Generator().manual_seed(seed))


def _method(spelling: str) -> SharingMethod:
    method = make_method(canonical_name(f"edsr_tiny+{spelling}"))
    assert method is not None
    return method


# --- dense and recursive


def test_dense_unties_counts_and_values() -> None:
    tied = srbench.create_model("drrn_b1u9", scale=2, seed=1)
    dense = apply_method(copy.deepcopy(tied), Dense())
    conv = 128 * 128 * 9  # no bias
    assert srbench.count_parameters(tied) - srbench.count_parameters(dense) == (2 - 18) * conv
    assert len(dense.shared) == 0
    assert torch.equal(tied(_image()), dense(_image()))  # untying changes no value ...
    paths = [site.path for site in dense.sharing_sites()]
    storages = {layer_at(dense, path).weight.data_ptr() for path in paths}
    assert len(storages) == len(paths) == 18
    before = layer_at(dense, paths[2]).weight.detach().clone()
    with torch.no_grad():
        layer_at(dense, paths[0]).weight.add_(1)
    assert torch.equal(layer_at(dense, paths[2]).weight, before)  # ... and each use is on its own


def test_dense_leaves_a_network_without_ties_as_it_is() -> None:
    plain = srbench.create_model("edsr_tiny", scale=2, seed=1)
    dense = srbench.create_model("edsr_tiny+dense", scale=2, seed=1)
    assert plain.state_dict().keys() == dense.state_dict().keys()
    assert torch.equal(plain(_image()), dense(_image()))


def test_recursive_ties_each_class_to_its_first_use() -> None:
    plain = srbench.create_model("edsr_tiny", scale=2, seed=1)
    tied = srbench.create_model("edsr_tiny+recursive", scale=2, seed=1)
    conv = 16 * 16 * 9 + 16
    assert srbench.count_parameters(plain) - srbench.count_parameters(tied) == (8 - 2) * conv
    for name in ("conv1", "conv2"):
        layers = {id(layer_at(tied, f"body.{block}.{name}")) for block in range(4)}
        assert len(layers) == 1
        assert torch.equal(layer_at(tied, f"body.3.{name}").weight, layer_at(plain, f"body.0.{name}").weight)
    assert layer_at(tied, "body.0.conv1") is not layer_at(tied, "body.0.conv2")
    assert count_stored(tied) == srbench.count_parameters(tied)


def test_gradients_of_all_uses_add_up_in_the_tied_layer() -> None:
    tied = srbench.create_model("edsr_tiny+recursive", scale=2, seed=1).double()
    untied = apply_method(copy.deepcopy(tied), Dense())
    for model in (tied, untied):
        model(_image().double()).square().mean().backward()
    for name in ("conv1", "conv2"):
        total = sum(layer_at(untied, f"body.{block}.{name}").weight.grad for block in range(4))
        torch.testing.assert_close(layer_at(tied, f"body.0.{name}").weight.grad, total)


def test_recursive_after_dense_is_recursive() -> None:
    model = srbench.create_model("edsr_tiny", scale=2, seed=1)
    twice = apply_method(apply_method(copy.deepcopy(model), Dense()), Recursive())
    once = apply_method(model, Recursive())
    assert twice.state_dict().keys() == once.state_dict().keys()
    assert torch.equal(twice(_image()), once(_image()))


def test_ps_forgets_the_native_tie() -> None:
    native = srbench.create_model("drrn_b1u9", scale=2)
    assert sorted(native.shared) == ["native_conv1", "native_conv2"]
    shared = srbench.create_model("drrn_b1u9+ps(ratio=1/9)", scale=2)
    assert sorted(shared.shared) == ["ps_units"]
    assert not [key for key in shared.state_dict() if "native" in key]
    assert not [module for module in shared.modules() if isinstance(module, TiedLayer)]


# --- companions


@pytest.mark.parametrize(
    ("spelling", "independent"),
    [("dense", True), ("ps", True), ("recursive", False), ("dsconv", False), ("basis(num_basis=2)", False)],
)
def test_companions_are_untied_with_their_sites(spelling: str, independent: bool) -> None:
    model = apply_method(Steps(native=True), _method(spelling))
    slopes = {layer_at(model, f"acts.{i}").weight.data_ptr() for i in range(3)}
    assert len(slopes) == (3 if independent else 1)
    # The method's own key or the published network's: registered once, whoever ties it.
    activations = [key for key, module in model.shared.items() if isinstance(module, torch.nn.PReLU)]
    assert len(activations) == (0 if independent else 1)
    assert count_stored(model) == srbench.count_parameters(model)


# --- what is refused leaves the network as it was


class FailsLate(Dense):
    """Fails at the last site."""

    def replace(
        self, site: SharingSite, module: nn.Module, shared: nn.Module | None, scales: tuple[int, ...]
    ) -> nn.Module:
        if site.path == "convs.2":
            raise SharingError("not this one")
        return nn.Identity()


@pytest.mark.parametrize("native", [False, True])
def test_a_method_that_fails_leaves_the_network_unchanged(native: bool) -> None:
    model = Steps(native=native)
    modules, state, output = dict(model.named_modules()), model.state_dict(), model(_image())
    with pytest.raises(SharingError, match="not this one"):
        apply_method(model, FailsLate())
    assert dict(model.named_modules()) == modules
    assert model.state_dict().keys() == state.keys()
    assert model.method is None
    assert torch.equal(model(_image()), output)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("5x16x1x1", "'body.0.conv1': 5 does not divide its input channels, 16"),
        ("16x3x1x1", "'body.0.conv1': 3 does not divide its output channels, 16"),
        ("CxCx2x1", "'body.0.conv1': 2 does not divide its kernel height, 3"),
        ("CxCx1x2", "'body.0.conv1': 2 does not divide its kernel width, 3"),
        ("32xCx1x1", "'body.0.conv1': 32 does not divide its input channels, 16"),
    ],
)
def test_a_shape_that_does_not_tile_names_dimension_and_layer(shape: str, said: str) -> None:
    model = srbench.create_model("edsr_tiny", scale=2)
    keys = list(model.state_dict())
    with pytest.raises(SharingError) as caught:
        apply_method(model, _method(f"ps(shape={shape})"))
    assert said in str(caught.value)
    assert "its kernel is 16x16x3x3" in str(caught.value)
    assert list(model.state_dict()) == keys


def test_only_the_layer_that_is_not_tiled_is_named() -> None:
    model = Steps(native=False, widths=(8, 8, 4))  # the last convolution has two groups of 4 input channels
    with pytest.raises(SharingError, match=r"'convs\.2': 8 does not divide its input channels, 4"):
        apply_method(model, _method("ps(shape=8x8x1x1)"))


def test_sites_of_different_shapes_cannot_be_tied() -> None:
    model = Steps(native=False, widths=(8, 8, 4))
    with pytest.raises(SharingError, match=r"'convs\.2' cannot be tied to 'convs\.0'.*\(8, 4, 3, 3\).*\(8, 8, 3, 3\)"):
        apply_method(model, Recursive())
    with pytest.raises(SharingError, match=r"'convs\.2' cannot be tied to 'convs\.0'"):
        Steps(native=True, widths=(8, 8, 4))


def test_a_network_without_sites_takes_no_method() -> None:
    with pytest.raises(SharingError, match="'bicubic' declares none"):
        srbench.create_model("bicubic+recursive", scale=2)


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        ([SharingSite("convs.0", "conv", "b", "t")] * 2, "declares the sharing site 'convs.0' twice"),
        ([SharingSite("convs.9", "conv", "b", "t")], "'convs.9', but has no such module"),
        ([SharingSite("convs.0", "conv", "b", "t", companions=("none",))], "'none', but has no such module"),
    ],
)
def test_wrongly_declared_sites_are_named(monkeypatch: pytest.MonkeyPatch, sites: list[SharingSite], said: str) -> None:
    monkeypatch.setattr(Steps, "sharing_sites", lambda _self: sites)
    with pytest.raises(SharingError, match=said.replace(".", r"\.")):
        apply_method(Steps(native=False), Dense())


# --- scales: fold and at_scale


@pytest.fixture(scope="module")
def multi() -> Backbone:
    """Return a three-scale network whose coefficients differ from scale to scale."""
    model = srbench.create_model("drrn_b1u9+ps(num_filters=4)", scales=(2, 3, 4), seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "coefficients" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_deployed_view_and_the_folded_network_compute_the_same(multi: Backbone, scale: int) -> None:
    whole = multi(_image(), scale)
    view = multi.at_scale(scale)
    assert view.scales == (scale,)
    assert torch.equal(view(_image()), whole)
    folded = fold(multi, scale)
    assert folded.scales == (scale,)
    assert len(folded.shared) == 0
    assert {type(layer_at(folded, site.path)) for site in folded.sharing_sites()} == {nn.Conv2d}
    torch.testing.assert_close(folded(_image()), whole, rtol=1e-4, atol=1e-5)
    others = [multi(_image(), other) for other in (2, 3, 4) if other != scale]
    assert all(other.shape != whole.shape for other in others)


def test_the_deployed_view_is_a_copy_without_other_scales(multi: Backbone) -> None:
    keys = list(multi.state_dict())
    view = multi.at_scale(3)
    assert [key for key in keys if ".x2" in key]
    assert not [key for key in view.state_dict() if ".x2" in key or ".x4" in key]
    assert list(multi.state_dict()) == keys
    assert multi.scales == (2, 3, 4)
    ours = {tensor.data_ptr() for tensor in multi.state_dict().values() if tensor.numel()}
    assert ours.isdisjoint(tensor.data_ptr() for tensor in view.state_dict().values() if tensor.numel())
    for other in (2, 4):
        with pytest.raises(ConfigError, match=rf"supports scale 3, not {other}"):
            view(_image(), other)


def test_a_multi_scale_network_wants_to_know_the_scale(multi: Backbone) -> None:
    for call in (lambda: multi(_image()), lambda: fold(multi)):
        with pytest.raises(ConfigError, match=r"has the scales 2, 3, 4; choose one: model\(lr, scale=2\)"):
            call()
    for wrong in (lambda: multi(_image(), 5), lambda: fold(multi, 5), lambda: multi.at_scale(5)):
        with pytest.raises(ConfigError, match="supports scale 2, 3, 4, not 5"):
            wrong()


def test_fold_returns_a_copy_and_leaves_the_network_alone() -> None:
    model = srbench.create_model("edsr_tiny+recursive", scale=2, seed=1)
    keys, output = list(model.state_dict()), model(_image())
    folded = fold(model)
    assert torch.equal(folded(_image()), output)
    with torch.no_grad():
        for parameter in folded.parameters():
            parameter.zero_()
    assert list(model.state_dict()) == keys
    assert torch.equal(model(_image()), output)


@pytest.mark.parametrize("name", ["drrn_b1u9+recursive", "drrn_b1u9+dense", "drrn_b1u9+ps"])
def test_a_method_on_a_natively_tied_network_stores_each_tensor_once(name: str) -> None:
    model = srbench.create_model(name, scale=2)
    assert count_stored(model) == srbench.count_parameters(model)
    if name.endswith("recursive"):  # what the published network is
        assert srbench.count_parameters(model) == srbench.count_parameters(srbench.create_model("drrn_b1u9", scale=2))
