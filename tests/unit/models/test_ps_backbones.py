from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from srbench.errors import ConfigError, SharingError
from srbench.models.backbone import Backbone
from srbench.models.backbones.edsr import EDSR
from srbench.models.counting import count_parameters
from srbench.models.factory import create_model
from srbench.models.methods.dense import Dense
from srbench.models.methods.recursive import Recursive
from srbench.models.sites import SharingSite
from srbench.models.surgery import apply_method, fold, layer_at
from srbench.models.weight_files import unique_state
from srbench_ps.carn import CARN
from srbench_ps.drrn import DRRN
from srbench_ps.layers import SharedConv
from srbench_ps.method import PS
from srbench_ps.rcan import RCAN
from srbench_ps.srfbn import SRFBN

SCALES = (2, 3, 4)


def layers(model: Backbone, ending: str) -> list[nn.Module]:
    return [layer_at(model, site.path) for site in model.sharing_sites() if site.path.endswith(ending)]


def different(modules: list[nn.Module]) -> int:
    return len({id(module) for module in modules})


def image(scale: int = 2) -> torch.Tensor:
    return torch.rand(1, 3, 6, 5, generator=torch.Generator().manual_seed(scale))


@pytest.mark.parametrize(
    ("build", "first", "second"),
    [
        (lambda: EDSR((2,), 8, 3), "conv1", "conv2"),
        (lambda: RCAN((2,), 8, 2, 3, squeeze_factor=2), "rcab.0", "rcab.2"),
    ],
    ids=["edsr", "rcan"],
)
def test_fixed_networks_have_the_same_two_filters_in_every_block(
    build: Callable[[], Backbone], first: str, second: str
) -> None:
    fixed = apply_method(build(), Recursive())
    (one,), (other,) = set(layers(fixed, first)), set(layers(fixed, second))
    assert one is not other
    assert len(layers(fixed, first)) == len(layers(fixed, second)) > 2


def test_carn_m_shares_its_residual_block_within_a_cascading_block() -> None:
    carn_m = CARN(SCALES, num_feat=8, num_block=2, num_unit=3, groups=4)
    for name in ("conv1", "conv2", "pointwise"):
        assert len(layers(carn_m, name)) == 6
        assert different(layers(carn_m, name)) == 2
    assert different(layers(apply_method(carn_m, Dense()), "conv1")) == 6


def test_ps_on_carn_m_leaves_the_pointwise_layers_as_published() -> None:
    shared = apply_method(CARN(SCALES, num_feat=8, groups=4), PS())
    assert different(layers(shared, "pointwise")) == 3
    assert all(isinstance(layer, nn.Conv2d) for layer in layers(shared, "pointwise"))
    assert all(isinstance(layer, SharedConv) for layer in layers(shared, "conv1"))


def test_carn_ps_has_a_bias_for_each_scale() -> None:
    shared = apply_method(CARN(SCALES, num_feat=8), PS())
    layer = shared.get_submodule("body.units.0.units.0.conv1")
    assert isinstance(layer, SharedConv)
    with torch.no_grad():
        for scale in SCALES:
            layer.biases[f"x{scale}"].fill_(scale)
    for scale in SCALES:
        plain = fold(shared, scale).get_submodule("body.units.0.units.0.conv1")
        assert isinstance(plain, nn.Conv2d)
        assert torch.equal(plain.bias, torch.full((8,), float(scale)))
        assert list(shared.at_scale(scale).get_submodule("body.units.0.units.0.conv1").biases) == [f"x{scale}"]


@pytest.mark.parametrize(
    ("bias", "numbers"), [(None, 3 * 18), ("per_scale", 3 * 18), ("own", 18), ("none", 0), ("tied", 6)]
)
def test_the_argument_bias_overrides_the_policy_of_the_sites(bias: str | None, numbers: int) -> None:
    without = count_parameters(apply_method(CARN(SCALES, num_feat=8), PS(bias="none")))
    assert count_parameters(apply_method(CARN(SCALES, num_feat=8), PS(bias=bias))) - without == 8 * numbers


def test_svd_keeps_the_biases_of_every_scale() -> None:
    dense = CARN(SCALES, num_feat=8)
    bias = dense.get_submodule("body.units.0.units.0.conv1").bias.detach().clone()
    shared = apply_method(dense, PS(ratio=1, init="svd"))
    for own in shared.get_submodule("body.units.0.units.0.conv1").biases.values():
        assert torch.equal(own, bias)


def test_an_unknown_bias_policy_is_named() -> None:
    class Strange(EDSR):
        def sharing_sites(self) -> list[SharingSite]:
            return [SharingSite("conv_first", kind="conv", bank="body", tie="conv", bias="twice")]

    with pytest.raises(SharingError, match="bias policy 'twice' at 'conv_first'"):
        apply_method(Strange((2,), 8, 1), PS())
    with pytest.raises(ConfigError, match="bias=twice is not one of own, per_scale, tied, none"):
        PS(bias="twice")


def test_srfbn_returns_an_image_for_each_time_step() -> None:
    model = SRFBN((3,), num_feat=4, num_step=3, num_group=2)
    outputs = model(image())
    assert [tuple(output.shape) for output in outputs] == 3 * [(1, 3, 18, 15)]
    assert model.image(outputs) is outputs[-1]
    assert not torch.equal(outputs[0], outputs[1])


def test_srfbns_loss_is_the_mean_over_the_time_steps() -> None:
    model = SRFBN((2,), num_feat=4, num_step=3, num_group=2)
    hr = torch.rand(1, 3, 12, 10)
    outputs = model(image())
    expected = sum(nn.functional.l1_loss(output, hr) for output in outputs) / 3
    loss = model.loss(outputs, model.targets(hr, 2), nn.functional.l1_loss)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_srfbns_time_steps_are_one_natively_prelus_and_all() -> None:
    model = SRFBN((2,), num_feat=4, num_step=3, num_group=2)
    sites = model.sharing_sites()
    for paths in ([site.path for site in sites], [path for site in sites for path in site.companions]):
        assert different([layer_at(model, path) for path in paths]) == len(paths) // 3
    assert not [key for key in unique_state(model) if key.startswith("steps.")]


def test_ps_on_srfbn_unties_the_down_sampling_layers_and_their_prelus_only() -> None:
    shared = apply_method(SRFBN((2,), num_feat=4, num_step=3, num_group=2), PS(shape="Cx1xKxK"))
    own = {key.rsplit(".", 1)[0] for key in unique_state(shared) if key.startswith("steps.")}
    downs = [f"steps.{step}.downs.{group}" for step in range(3) for group in range(2)]
    assert own == {f"{down}.{part}" for down in downs for part in ("conv.coefficients", "act")}


def test_the_native_form_tied_again_is_the_native_form() -> None:
    for network in (SRFBN((2,), 4, 2, 2), CARN((2,), 8, groups=4), DRRN((2,), 2, 8)):
        native = network.image(network(image()))
        tied = apply_method(network, Recursive())
        assert torch.equal(tied.image(tied(image())), native)
        unique_state(tied)  # each tensor under one key, or an error


@pytest.mark.parametrize(
    ("name", "scales", "said"),
    [
        ("carn", (5,), "CARN enlarges by 2, 3 or 4; got scale 5"),
        ("carn_m", (2, 8), "got scale 2, 8"),
        ("rcan_g5b10", (2, 3), "RCAN is a network for one scale"),
        ("rcan_g5b10", (5,), "got 5"),
        ("srfbn_s", (2, 3), "SRFBN is a network for one scale"),
        ("srfbn_s", (8,), "got 8"),
        ("srfbn_s+ps.author", (3,), "are for scale 2; scale 3 was asked for"),
    ],
)
def test_scales_that_a_network_lacks_get_a_sentence(name: str, scales: tuple[int, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_model(name, scales=scales)
