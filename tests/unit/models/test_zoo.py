from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srbench.errors import ConfigError, SharingError
from srbench.models.factory import create_model
from srbench.models.surgery import fold
from srbench.testing import CHECKS, CheckSkipped, Example
from srbench.testing.checks import Subject
from srbench_zoo.attention import ContrastAttention, SpatialAttention
from srbench_zoo.drcn import DRCN
from srbench_zoo.ecbsr import ECBSR, EdgeBlock
from srbench_zoo.lkdn import LKDN
from srbench_zoo.mdsr import MDSR
from srbench_zoo.smfanet import Modulation, SMFANet
from srbench_zoo.swinir import SwinIR


@settings(max_examples=5)
@given(
    blocks=st.integers(0, 2),
    feat=st.integers(2, 5),
    scale=st.sampled_from([2, 3, 4]),
    example=st.builds(Example, seed=st.integers(0, 2**16), height=st.integers(4, 8), width=st.integers(4, 8)),
)
def test_laws_of_the_kit_hold_for_ecbsr(blocks: int, feat: int, scale: int, example: Example) -> None:
    """Law: each check of the kit, which the table of all backbones leaves out as ECBSR has no sharing sites."""

    def make(seed: int) -> ECBSR:
        torch.manual_seed(seed)
        return ECBSR((scale,), blocks, feat)

    for check in CHECKS.values():
        try:
            check(Subject(make, (scale,)), example)
        except CheckSkipped:
            continue


@settings(max_examples=10)
@given(num_in=st.integers(1, 4), num_out=st.integers(1, 4), seed=st.integers(0, 2**16))
def test_a_merged_edge_block_equals_its_branches(num_in: int, num_out: int, seed: int) -> None:
    """Law: the one convolution computes what the five branches do, to 1e-12 in float64, borders included."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        block = EdgeBlock(num_in, num_out, "prelu").double()
        with torch.no_grad():
            for parameter in block.parameters():
                if parameter.requires_grad:
                    parameter.normal_()
        image = torch.randn(2, num_in, 5, 4, dtype=torch.float64)
    branches, merged = block.train()(image), block.merged()(image)
    assert torch.allclose(branches, merged, rtol=1e-12, atol=1e-12)
    assert torch.allclose(block.eval()(image), merged, rtol=1e-12, atol=1e-12)


def test_deployed_ecbsr_computes_the_same_and_takes_no_method() -> None:
    model = create_model("ecbsr", scale=2, seed=1).eval()
    lr = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(2))
    deployed = fold(model)
    assert not any(isinstance(module, EdgeBlock) for module in deployed.modules())
    assert torch.allclose(deployed.super_resolve(lr), model.super_resolve(lr), atol=1e-5)
    with pytest.raises(SharingError, match="ecbsr"):
        create_model("ecbsr+recursive", scale=2)


@pytest.mark.parametrize(
    "name",
    [
        "bsrn",
        "ecbsr",
        "fsrcnn",
        "imdn",
        "pan",
        "rlfn",
        "srvgg",
        "swinir_light",
        "smfanet",
        "lkdn_s",
        "etds_t",
        "ecbsr_m4c16",
    ],
)
def test_single_scale_networks_say_which_scales_they_do(name: str) -> None:
    with pytest.raises(ConfigError, match="one scale of 2, 3, 4; got 2, 3"):
        create_model(name, scales=(2, 3))
    with pytest.raises(ConfigError, match="one scale of 2, 3, 4; got 8"):
        create_model(name, scale=8)


def test_weights_of_another_scale_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"the weights of 'rlfn\.author' are for scale 2, 4; scale 3 was asked for"):
        create_model("rlfn.author", scale=3)


@pytest.mark.parametrize(
    "name", ["bsrn", "imdn", "rlfn", "pan", "fsrcnn", "swinir_light", "smfanet", "lkdn_s", "etds_t", "ecbsr_m4c16"]
)
def test_an_image_of_one_pixel_is_enlarged(name: str) -> None:
    model = create_model(name, scale=2, seed=0).eval()
    sr = model.super_resolve(torch.full((1, 3, 1, 1), 0.5))
    assert sr.shape == (1, 3, 2, 2)
    assert bool(torch.isfinite(sr).all())


def test_attention_on_a_constant_image_has_a_finite_gradient() -> None:
    features = torch.full((1, 4, 5, 5), 0.3, requires_grad=True)
    ContrastAttention(4, 2)(features).sum().backward()
    assert features.grad is not None
    assert bool(torch.isfinite(features.grad).all())


def test_spatial_attention_extends_only_images_smaller_than_its_pooling() -> None:
    conv = torch.nn.Conv2d(2, 2, 3, stride=2)
    attention = SpatialAttention(3, 2, reduce=conv, context=torch.nn.Identity())
    seen: list[tuple[int, ...]] = []
    conv.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape[2:])))
    for height, width in ((15, 20), (3, 40), (1, 1)):
        assert attention(torch.rand(1, 3, height, width)).shape == (1, 3, height, width)
    assert seen == [(15, 20), (15, 40), (15, 15)]


def test_swinir_on_images_of_whole_windows_is_not_extended(seed: int) -> None:
    torch.manual_seed(seed)
    model = SwinIR((2,), num_feat=4, depths=(1,), num_head=2, window_size=4).eval()
    lr = torch.rand(1, 3, 7, 5)
    # The mirror image that follows an image of 7 x 5: 7 is extended to 8 and 5 to 8.
    mirrored = torch.cat([lr, lr[:, :, -1:]], 2)
    mirrored = torch.cat([mirrored, mirrored.flip(3)[:, :, :, :3]], 3)
    with torch.no_grad():
        assert torch.equal(model(lr), model(mirrored)[:, :, :14, :10])


@settings(max_examples=6)
@given(blocks=st.integers(1, 3), scale=st.sampled_from([2, 3, 4]), seed=st.integers(0, 2**16))
def test_mdsr_sees_as_far_as_it_declares(blocks: int, scale: int, seed: int) -> None:
    """Law: an LR pixel's SR pixels depend on the receptive field and on nothing beyond; the full depth is too large."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MDSR((2, 3, 4), num_feat=2, num_block=blocks).double()
    for parameter in model.parameters():
        parameter.data.abs_()  # no dead ReLU and no two paths that cancel
    view = model.at_scale(scale)
    field, side = view.receptive_field, 2 * view.receptive_field + 5
    lr = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    middle = side // 2
    own = slice(middle * scale, (middle + 1) * scale)
    (gradient,) = torch.autograd.grad(view(lr)[:, :, own, own].sum(), lr)
    used = (gradient != 0).any(1)[0].any(0).nonzero().flatten()
    assert (int(used.min()), int(used.max())) == (middle - field, middle + field)


@settings(max_examples=4)
@given(blocks=st.integers(1, 2), scale=st.sampled_from([2, 3, 4]), seed=st.integers(0, 2**16))
def test_lkdn_sees_as_far_as_it_declares(blocks: int, scale: int, seed: int) -> None:
    """Law: an LR pixel's SR pixels depend on the receptive field and on nothing beyond; the full depth is too large."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LKDN((scale,), num_feat=2, num_block=blocks).double()
    field, side = model.receptive_field, 2 * model.receptive_field + 5
    lr = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    middle = side // 2
    own = slice(middle * scale, (middle + 1) * scale)
    (gradient,) = torch.autograd.grad(model(lr)[:, :, own, own].sum(), lr)
    used = (gradient != 0).any(1)[0].any(0).nonzero().flatten()
    assert (int(used.min()), int(used.max())) == (middle - field, middle + field)


def test_features_are_an_even_number_where_a_network_halves_them() -> None:
    for network in (SMFANet, LKDN):
        with pytest.raises(ConfigError, match="num_feat=5"):
            network((2,), num_feat=5)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (15, 9), (16, 31), (40, 24), (3, 50)])
def test_smfanet_weighs_features_by_their_unbiased_variance_over_the_image(height: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    block = Modulation(4).double()
    with torch.no_grad():
        block.context_scale.zero_()
        block.variance_scale.normal_()
    x = torch.rand(2, 4, height, width, dtype=torch.float64)
    near, far = block.split(x).chunk(2, 1)
    weight = torch.nn.functional.gelu(block.weigh(far.var((2, 3), keepdim=True) * block.variance_scale))
    with torch.no_grad():
        assert torch.allclose(block(x), block.merge(far * weight + block.local(near)), rtol=1e-12, atol=1e-12)


def test_drcn_shifts_its_loss_from_the_predictions_to_the_image() -> None:
    model = DRCN((2,), num_recursion=2, num_feat=2)
    hr, lr = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 4, 4)
    outputs, targets = model(lr), model.targets(hr, 2)
    *predictions, image = (torch.nn.functional.l1_loss(luma, targets[0]).item() for luma in outputs.luma)
    mean = sum(predictions) / 2
    for iteration, expected in ((1, mean), (11, image), (6, (mean + image) / 2)):
        model.on_step(iteration, 11)
        assert model.loss(outputs, targets, torch.nn.functional.l1_loss).item() == pytest.approx(expected, rel=1e-5)
