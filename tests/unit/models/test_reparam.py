"""The method `reparam`: what its branches compute, what they are merged into, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from srbench.errors import ConfigError, SharingError
from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters, count_stored
from srbench.models.factory import create_model
from srbench.models.shared_modules import TiedLayer
from srbench.models.sites import SharingSite
from srbench.models.surgery import apply_method, deployed, fold
from srbench_zoo.bsrn import BSRN
from srbench_zoo.ecbsr import EdgeBlock
from srbench_zoo.etds import ETDS
from srbench_zoo.plainusr import PartialBlock
from srbench_zoo.reparam import ecb, edbb, etds, rep1x1, repmbconv, rrrb, span
from srbench_zoo.reparam.branches import BranchedConv
from srbench_zoo.reparam.method import KINDS, Reparam

BANKED = SharingSite("body.0", kind="conv", bank="body", tie="conv")
END = SharingSite("end", kind="conv", bank=None, tie="end")


@st.composite
def branched(draw: st.DrawFn) -> BranchedConv:
    """Draw branches of any kind in the place of a convolution that fits it, all of their numbers at random."""
    num_in, num_out, bias = draw(st.integers(4, 6)), draw(st.integers(4, 6)), draw(st.booleans())
    full = nn.Conv2d(num_in, num_out, 3, padding=1, bias=bias)
    size = draw(st.sampled_from([3, 5]))
    depthwise = nn.Conv2d(num_in, num_in, size, padding=size // 2, groups=num_in, bias=bias)
    padded = nn.Conv2d(num_in, num_out, 3, padding=1, bias=bias)
    padded.weight.data[-1] = 0
    clip = nn.Conv2d(num_in, num_in, 1).requires_grad_(False)
    made = draw(
        st.sampled_from(
            [
                ecb.branched(full, BANKED),
                edbb.branched(full, BANKED),
                span.branched(full, BANKED),
                rep1x1.branched(full, BANKED),
                *(
                    kind.branched(nn.Conv2d(num_in, num_in, 3, padding=1, bias=bias), BANKED)
                    for kind in (repmbconv, rrrb)
                ),
                rep1x1.branched(depthwise, BANKED),
                rep1x1.branched(nn.Conv2d(num_in, num_in, 1, bias=bias), BANKED),
                etds.branched(full, BANKED),
                etds.branched(full, END),
                etds.branched(padded, END),
                etds.branched(nn.Conv2d(3, num_out, 3, padding=1, bias=bias), END),
                etds.branched(clip, END),
            ]
        )
    )
    assert made is not None
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    for parameter in made.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    return made


@settings(max_examples=60)
@given(made=branched(), dtype=st.sampled_from([torch.float64, torch.float32]), seed=st.integers(0, 2**16))
def test_merged_branches_compute_the_same(made: BranchedConv, dtype: torch.dtype, seed: int) -> None:
    """Law: the merged convolution equals the branches, borders included: to 1e-12 of the range in float64, 1e-5 in
    float32; what pads the number of outputs is zero.
    """
    made = made.to(dtype)
    channels = made.options.in_channels
    image = torch.randn(2, channels, 5, 4, generator=torch.Generator().manual_seed(seed)).to(dtype)
    merged = made.merged()
    assert type(merged) is nn.Conv2d
    with torch.no_grad():
        branches, plain = made(image), merged(image)
    used = branches.shape[1]
    tolerance = (1e-12 if dtype == torch.float64 else 1e-5) * float(branches.abs().max())
    assert float((branches - plain[:, :used]).abs().max()) <= tolerance
    assert not plain[:, used:].any()


@settings(max_examples=10)
@given(num_in=st.integers(1, 4), num_out=st.integers(1, 4), seed=st.integers(0, 2**16))
def test_ecb_is_basicsrs_block(num_in: int, num_out: int, seed: int) -> None:
    """Law: with the weights of basicsr's block, the branches of kind `ecb` are its branches, to 1e-12 in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        block = EdgeBlock(num_in, num_out, "linear").double().train()
        made = ecb.branched(nn.Conv2d(num_in, num_out, 3, padding=1), BANKED)
        image = torch.randn(2, num_in, 5, 4, dtype=torch.float64)
    assert made is not None
    theirs, ours = block.state_dict(), made.double().state_dict()
    # Both hold the same tensors in the same order; basicsr's edge filters keep weight, bias, scale, bias, mask.
    moved = {"conv.weight": "conv3x3.weight", "conv.bias": "conv3x3.bias"}
    for ours_name, theirs_name in (("expand.weight", "k0"), ("expand.bias", "b0"), ("reduce.weight", "k1"),
                                   ("reduce.bias", "b1")):  # fmt: skip
        moved[f"expanded.{ours_name}"] = f"conv1x1_3x3.{theirs_name}"
    for number, name in enumerate(("conv1x1_sbx", "conv1x1_sby", "conv1x1_lpl")):
        for ours_name, theirs_name in (("pointwise.weight", "k0"), ("pointwise.bias", "b0"), ("scale", "scale"),
                                       ("bias", "bias")):  # fmt: skip
            moved[f"edges.{number}.{ours_name}"] = f"{name}.{theirs_name}"
        # The filters themselves are ours, and the same.
        assert torch.equal(ours[f"edges.{number}.edges"], theirs[f"{name}.mask"])
    assert set(ours) == set(moved) | {f"edges.{number}.edges" for number in range(3)}
    made.load_state_dict({key: theirs[name] for key, name in moved.items()}, strict=False)
    with torch.no_grad():
        assert torch.allclose(made(image), block(image), rtol=1e-12, atol=1e-12)


@settings(max_examples=8)
@given(
    name=st.sampled_from(["edsr_tiny", "imdn_tiny", "ecbsr_m4c16", "etds_t", "srvgg"]),
    kind=st.sampled_from(list(KINDS)),
    scale=st.sampled_from([2, 3, 4]),
    seed=st.integers(0, 2**16),
)
def test_a_folded_network_equals_the_trained_one(name: str, kind: str, scale: int, seed: int) -> None:
    """Law: a network whose branches were moved from their start by chance equals the folded one to 1e-5 of the range,
    which is the backbone itself: the same modules, without branches.
    """
    model = create_model(f"{name}+reparam(kind={kind})", scale=scale, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    folded, plain = fold(model), create_model(name, scale=scale)
    lr = torch.rand(1, 3, 9, 11, generator=generator)
    with torch.no_grad():
        trained, deployed = model(lr), folded(lr)
    assert float((trained - deployed).abs().max()) <= 1e-5 * max(1.0, float(trained.abs().max()))
    assert {key: tensor.shape for key, tensor in folded.state_dict().items()} == {
        key: tensor.shape for key, tensor in plain.state_dict().items()
    }


def test_evaluations_measure_the_folded_network_and_others_as_they_are() -> None:
    model = create_model("edsr_tiny+reparam(kind=ecb)", scale=2)
    assert not list(branched_layers(deployed(model, 2)))
    assert list(branched_layers(model))
    shared = create_model("edsr_tiny+ps(ratio=1/4)", scale=2)
    assert deployed(shared, 2) is shared


def branched_layers(model: Backbone) -> Iterator[BranchedConv]:
    return (module for module in model.modules() if isinstance(module, BranchedConv))


@pytest.mark.parametrize(("name", "layers"), [("drrn_b1u9", 2), ("drcn", 3), ("carn_m", 3)])
def test_layers_that_a_network_uses_several_times_stay_one(name: str, layers: int) -> None:
    model = create_model(f"{name}+reparam(kind=rep1x1)", scale=2)
    assert count_parameters(model) == count_stored(model)
    assert len(list(branched_layers(model))) == layers
    assert any(isinstance(module, TiedLayer) for module in model.modules())


@pytest.mark.parametrize(
    ("name", "scale", "trained"),
    [
        # MODERN of the shared reference, PlainUSR, "Trained parameters x2/x4".
        ("plainusr_u", 2, 52_133), ("plainusr_u", 4, 58_325), ("plainusr_t", 2, 201_765), ("plainusr_t", 4, 213_141),
        ("plainusr_s", 2, 231_777), ("plainusr_s", 4, 243_153), ("plainusr_m", 2, 607_417), ("plainusr_m", 4, 623_977),
        ("plainusr", 2, 1_227_081), ("plainusr", 4, 1_248_825), ("plainusr_l", 2, 3_019_769),
        ("plainusr_l", 4, 3_046_697),
    ],
)  # fmt: skip
def test_plainusr_is_trained_with_as_many_numbers_as_its_authors_have(name: str, scale: int, trained: int) -> None:
    model = create_model(f"{name}+reparam(kind=repmbconv)", scale=scale)
    assert isinstance(model, Backbone)
    plain = create_model(name, scale=scale)
    # A 1x1 convolution to one channel, which the authors put before each attention, is no branch of a convolution.
    last = [
        block.num_feat + 1
        for block in plain.modules()
        if isinstance(block, PartialBlock) and not isinstance(block.attention, nn.Identity)
    ]
    assert last
    assert count_parameters(model) + sum(last) == trained
    assert count_parameters(fold(model)) == count_parameters(plain)


def test_span_is_trained_with_as_many_numbers_as_its_authors_have() -> None:
    # MODERN, "SPAN": 634,048 at x4 with 28 features, of which 32,312 at each of 19 convolutions from 28 to 28 channels
    # and 4,812 at the first. The first and the last of the 20 are no sharing sites; deployed they have 784 and 7,084.
    model = create_model("span_c28+reparam(kind=span)", scale=4)
    layers = list(branched_layers(model))
    assert [count_numbers(layer) for layer in layers] == [32_312] * 18
    assert count_parameters(model) + (4_812 - 784) + (32_312 - 7_084) == 634_048
    entry = span.branched(model.get_submodule("entry"), END)
    assert entry is not None
    assert count_numbers(entry) == 4_812
    assert count_parameters(fold(model)) == 150_688


def test_fmen_is_trained_with_as_many_numbers_as_its_authors_have() -> None:
    # MODERN, "FMEN": 1,045,866. The convolutions inside the attention, 4 of 12 channels and 8 of 16, are trained as
    # branches too, and with batch norms of 50, 12 and 50 or 50, 16 and 50 channels; here they are no sharing sites.
    model = create_model("fmen+reparam(kind=rrrb)", scale=4)
    assert len(list(branched_layers(model))) == 8
    inside = 0
    for channels, number in ((12, 4), (16, 8)):
        conv = nn.Conv2d(channels, channels, 3, padding=1)
        made = rrrb.branched(conv, END)
        assert made is not None
        inside += number * (count_numbers(made) - count_numbers(conv))
    norms = 2 * (50 + 12 + 50) + 4 * 2 * (50 + 16 + 50)
    assert count_parameters(model) + inside + norms == 1_045_866
    assert count_parameters(fold(model)) == 341_066


def count_numbers(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_layers_of_another_shape_stay_as_they_are() -> None:
    # Of LKDN-S's sites only the up-sampler is a full 3x3 convolution.
    model = create_model("lkdn_s+reparam(kind=ecb)", scale=4)
    assert [type(module) for module in branched_layers(model)] == [ecb.EdgeOrientedConv]
    assert isinstance(model.get_submodule("upsample.0"), ecb.EdgeOrientedConv)


@pytest.mark.parametrize("kind", ["ecb", "rep1x1", "span"])
def test_the_frozen_clip_of_etds_has_no_branches(kind: str) -> None:
    model = create_model(f"etds_t+reparam(kind={kind})", scale=2)
    assert type(model.get_submodule("clip")) is nn.Conv2d


@pytest.mark.parametrize("features", [4, 6])
def test_a_kind_that_fits_no_layer_is_refused_and_changes_nothing(features: int) -> None:
    model = BSRN((2,), features, 1, 2, 1)
    before = dict(model.named_modules())
    with pytest.raises(SharingError, match=r"kind=ecb .* fits none .* 6 sites .*Conv2d.*etds, rep1x1"):
        apply_method(model, Reparam(kind="ecb"))
    assert dict(model.named_modules()) == before
    assert model.method is None


def test_an_unknown_kind_and_a_network_without_sites_are_refused() -> None:
    with pytest.raises(ConfigError, match="kind=repvgg is no known re-parameterisation; give one of ecb, etds, rep1x1"):
        create_model("edsr_tiny+reparam(kind=repvgg)", scale=2)
    with pytest.raises(SharingError, match="ecbsr"):
        create_model("ecbsr+reparam", scale=2)


def test_the_image_of_etds_is_made_of_no_features_and_starts_as_the_image(seed: int) -> None:
    model = create_model("etds_t+reparam(kind=etds)", scale=3, seed=seed).eval()
    lr = torch.rand(1, 3, 8, 7, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        before = model.get_submodule("body")(model.get_submodule("entry")(lr))
        assert torch.equal(before[:, -3:], lr)
        for layer in branched_layers(model):
            if isinstance(layer, etds.DualStreamConv):
                layer.features.weight.normal_()
        after = model.get_submodule("body")(model.get_submodule("entry")(lr))
    assert torch.equal(after[:, -3:], lr)
    assert not torch.equal(after[:, :-3], before[:, :-3])


def test_etds_clips_when_deployed_and_not_in_training(seed: int) -> None:
    torch.manual_seed(seed)
    model = ETDS((3,), num_conv=1, num_feat=5)
    with torch.no_grad():
        model.exit.weight.normal_(std=100)  # of both signs over 27 output channels, and far beyond the range
    lr = torch.rand(2, 3, 6, 6)
    with torch.no_grad():
        trained, deployed = model.train()(lr), model.eval()(lr)
    assert float(trained.min()) < 0
    assert float(trained.max()) > 1
    assert torch.allclose(deployed, trained.clamp(0, 1), atol=1e-6)
