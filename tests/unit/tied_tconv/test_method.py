"""The method `tied_tconv` and the Laplacian networks: sizes, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from srbench.errors import ConfigError, SharingError
from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters, count_stored
from srbench.models.factory import create_model
from srbench.models.sites import SharingSite
from srbench.models.surgery import apply_method, layer_at
from srbench_ps.layers import FilterBank, SharedConv
from srbench_tied_tconv.method import TiedTConv
from srbench_tied_tconv.ms_lapsrn import MSLapSRN


class Awkward(Backbone):
    """A transposed convolution in a group with a convolution of other shapes."""

    def __init__(self, conv: nn.Module, up: nn.Module) -> None:
        super().__init__((2,))
        self.conv, self.up = conv, up

    def sharing_sites(self) -> list[SharingSite]:
        return [
            SharingSite("conv", kind="conv", bank="all", tie="conv", place=1, adjoint="all"),
            SharingSite("up", kind="tconv", bank="all", tie="up", adjoint="all"),
        ]


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize(
    "backbone", ["ms_lapsrn_r2", "ms_lapsrn_r5", "ms_lapsrn_r8", "ms_lapsrn_r8_ds", "ms_lapsrn_r8_ns"]
)
def test_ms_lapsrn_has_one_size_at_every_scale(backbone: str, scale: int) -> None:
    model = create_model(backbone, scale=scale)
    assert count_parameters(model) == count_stored(model) == 222_801


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("conv", [1, 2, 3, 4, 5])
def test_a_tied_kernel_saves_36864_whichever_it_is(conv: int, scale: int) -> None:
    model = create_model(f"ms_lapsrn_r8+tied_tconv(conv={conv})", scale=scale)
    assert count_parameters(model) == count_stored(model) == 222_801 - 36_864


def test_one_network_for_all_scales_is_no_larger() -> None:
    assert count_parameters(create_model("ms_lapsrn_r2+tied_tconv", scales=(2, 4, 8))) == 185_937
    mixed = create_model("ms_lapsrn_r2+tied_tconv(conv=mix)", scales=(2, 4, 8))
    assert count_parameters(mixed) == 185_937 + 5


@pytest.mark.parametrize(("scale", "count"), [(2, 407_441), (4, 814_242), (8, 667_123)])
def test_lapsrn_has_the_size_of_the_authors_files(scale: int, count: int) -> None:
    assert count_parameters(create_model("lapsrn", scale=scale)) == count


def test_sizes_without_biases_are_those_that_the_paper_prints() -> None:
    # Hyun et al., Table 1: 812k, 222k and 185k, weights only and truncated.
    for name, printed in (("lapsrn", 812), ("ms_lapsrn_r8", 222), ("ms_lapsrn_r8+tied_tconv", 185)):
        model = create_model(name, scale=4)
        weights = count_parameters(model) - sum(
            p.numel() for key, p in model.named_parameters() if key.endswith("bias")
        )
        assert weights // 1000 == printed


def test_the_paper_s_depths_are_those_of_the_networks() -> None:
    for name, depth in (("lapsrn", 24), ("ms_lapsrn_r8", 84), ("ms_lapsrn_r8+tied_tconv", 84)):
        architecture = create_model(name, scale=4).architecture
        assert architecture is not None
        assert (architecture.depth, architecture.filters, architecture.reconstruction) == (depth, 64, "progressive")
        # Table 1 of the paper: multi-scale training and local skip connections, of the last two.
        assert architecture.multi_scale == architecture.local_skips == name.startswith("ms_")


def test_every_level_s_image_comes_out() -> None:
    model = create_model("ms_lapsrn_tiny", scales=(2, 4, 8), seed=0)
    outputs = model(torch.rand(1, 3, 4, 5), 8)
    assert [tuple(luma.shape) for luma in outputs.luma] == [(1, 1, 8, 10), (1, 1, 16, 20), (1, 1, 32, 40)]
    assert [tuple(target.shape[-2:]) for target in model.targets(torch.rand(1, 3, 32, 40), 8)] == [
        (8, 10),
        (16, 20),
        (32, 40),
    ]
    assert len(model(torch.rand(1, 3, 4, 5), 4).luma) == 2


def test_skips_differ() -> None:
    lr = torch.rand(1, 3, 5, 5)
    images = []
    for skip in ("shared", "distinct", "none"):
        torch.manual_seed(0)
        model = MSLapSRN((2,), 3, num_feat=4, skip=skip)  # type: ignore[arg-type]
        images.append(model.image(model(lr)))
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[1], images[2])
    # With one block the level's input is the block's.
    torch.manual_seed(0)
    shared = MSLapSRN((2,), 1, num_feat=4)
    torch.manual_seed(0)
    distinct = MSLapSRN((2,), 1, num_feat=4, skip="distinct")
    assert torch.equal(shared.image(shared(lr)), distinct.image(distinct(lr)))


@pytest.mark.parametrize("name", ["ms_lapsrn_r2", "lapsrn", "ms_lapsrn_r8+tied_tconv", "ms_lapsrn_tiny"])
def test_a_pixel_sees_no_further_than_the_receptive_field(name: str) -> None:
    """Law: a change farther away than `receptive_field` LR pixels changes nothing."""
    model = create_model(name, scale=4, seed=0)
    reach = model.receptive_field
    assert reach is not None
    lr = torch.rand(1, 3, 3, 2 * reach + 8, generator=torch.Generator().manual_seed(0))
    changed = lr.clone()
    changed[..., 0] = 1 - changed[..., 0]
    with torch.no_grad():
        a, b = (model.image(model(image)) for image in (lr, changed))
    assert torch.equal(a[..., 4 * (reach + 1) :], b[..., 4 * (reach + 1) :])
    assert not torch.equal(a[..., :4], b[..., :4])


def test_ps_shares_one_bank_between_convolutions_and_what_enlarges() -> None:
    model = create_model("ms_lapsrn_tiny+ps(num_filters=20)", scale=4, seed=0)
    banks = [module for module in model.modules() if isinstance(module, FilterBank)]
    up, conv = (layer_at(model, path) for path in ("levels.1.up.conv", "levels.0.blocks.1.convs.4"))
    assert isinstance(up, SharedConv)
    assert isinstance(conv, SharedConv)
    assert len(banks) == 1
    assert up.bank is conv.bank is banks[0]
    assert up.options.transposed
    # 2 levels of 2 blocks of 5 convolutions and one up-convolution, 9 tiles each; tied biases; the rest as published.
    rest = 32 * 9 + 32 + 32 * 9 + 1 + 16
    assert count_parameters(model) == rest + 20 * 32 * 32 + 2 * 11 * 9 * 20 + 6 * 32


def test_every_tile_of_its_own_gives_the_native_network_back() -> None:
    # PS by SVD with as many filters as there are different tiles: convolutions and transposed ones, exactly.
    torch.manual_seed(0)
    native = MSLapSRN((2,), 2, num_feat=4)
    from srbench_ps.method import PS

    shared = apply_method(native.at_scale(2), PS(ratio=1, init="svd"))
    lr = torch.rand(1, 3, 6, 5)
    torch.testing.assert_close(shared.image(shared(lr)), native.image(native(lr)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "ms_lapsrn_r8+tied_tconv(conv=6)",
            SharingError,
            "conv=6: a block of 'ms_lapsrn_r8' has 5 convolutions; give conv=1",
        ),
        ("ms_lapsrn_r8+tied_tconv(conv=0)", ConfigError, "conv=0 is no place of a convolution"),
        ("ms_lapsrn_r8+tied_tconv(conv=fifth)", ConfigError, "conv=fifth is no place of a convolution"),
        ("ms_lapsrn_r8+tied_tconv(convs=5)", ConfigError, "did you mean 'conv'"),
        ("edsr_tiny+tied_tconv", SharingError, "'edsr_tiny' declares no sites of both kinds"),
        ("carn+tied_tconv", SharingError, "'carn' declares no sites of both kinds"),
        ("srfbn_s+tied_tconv", SharingError, "conv=3: a block of 'srfbn_s' has 1 convolution; give conv=1"),
    ],
)
def test_wrong_use_is_refused(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        create_model(name, scale=2)


@pytest.mark.parametrize("name", ["ms_lapsrn_r8", "lapsrn", "ms_lapsrn_r8+tied_tconv"])
def test_scale_3_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigError, match="a Laplacian network enlarges by 2 in each of its levels: to scale 2, 4 or 8"
    ):
        create_model(name, scale=3)


def test_lapsrn_is_for_one_scale() -> None:
    with pytest.raises(ConfigError, match="one scale of 2, 4, 8"):
        create_model("lapsrn", scales=(2, 4))


def test_shapes_that_do_not_match_are_named() -> None:
    model = Awkward(nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(4, 3, 3, stride=2))
    with pytest.raises(SharingError, match=r"'up' needs a kernel of 4x3x3x3 .*, and 'conv' has 5x3x3x3"):
        apply_method(model, TiedTConv(conv=1))
    grouped = Awkward(nn.Conv2d(4, 4, 3, groups=2), nn.ConvTranspose2d(4, 4, 3, groups=4))
    with pytest.raises(SharingError, match=r"4x1x3x3 .* in 4 groups, and 'conv' has 4x2x3x3 in 2 groups"):
        apply_method(grouped, TiedTConv(conv=1))


def test_layers_of_another_kind_are_named() -> None:
    with pytest.raises(SharingError, match="plain convolution at 'conv' and found Linear"):
        apply_method(Awkward(nn.Linear(3, 3), nn.ConvTranspose2d(3, 3, 3)), TiedTConv(conv=1))
    with pytest.raises(SharingError, match="plain transposed convolution at 'up' and found Linear"):
        apply_method(Awkward(nn.Conv2d(3, 3, 3), nn.Linear(3, 3)), TiedTConv(conv=1))


def test_grouped_layers_with_equal_groups_are_tied() -> None:
    model = apply_method(
        Awkward(nn.Conv2d(4, 6, 3, groups=2), nn.ConvTranspose2d(6, 4, 3, groups=2)), TiedTConv(conv=1)
    )
    x = torch.rand(1, 6, 4, 4)
    layer = layer_at(model, "up")
    plain = layer.folded()  # type: ignore[operator]
    made: Tensor = layer(x)
    assert made.shape == (1, 4, 6, 6)
    assert torch.equal(made, plain(x))


def test_a_mixture_of_kernels_costs_no_product_and_the_transposed_convolution_what_it_always_does() -> None:
    """By hand: scaling and adding kernels is per element, no MACs; each layer takes in*out*k*k for each LR position."""
    from srbench.plugin import create_model, work_at
    from srbench.plugin import on_meta as shapes_of

    height, width = 6, 5
    macs = {}
    for name in ("ms_lapsrn_tiny", "ms_lapsrn_tiny+tied_tconv(conv=mix)", "ms_lapsrn_tiny+tied_tconv(conv=1)"):
        work = work_at(shapes_of(create_model(name, scale=2, seed=0)), 2, height, width)
        assert work.synthesis == 0
        macs[name] = work.macs
    assert len(set(macs.values())) == 1
    model = create_model("ms_lapsrn_tiny+tied_tconv(conv=mix)", scale=2, seed=0)
    (site,) = [site for site in model.sharing_sites() if site.adjoint is not None and site.kind == "tconv"][:1]
    layer = model.get_submodule(site.path).shared_module
    by_hand = layer.kernel().numel() * height * width
    from srbench.cost.operators import run
    from srbench.cost.rules import CONVOLUTION

    calls = run(shapes_of(model), 2, height, width).calls
    found = [call.count for call in calls if call.kind == CONVOLUTION and site.path in call.modules]
    assert found == [by_hand]
