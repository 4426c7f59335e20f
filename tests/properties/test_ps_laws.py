"""Laws of Partial filter-Sharing, on EDSR's and DRRN's structure (fewer features where the law does not need them)."""

from __future__ import annotations

import copy
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from srbench.models.backbone import Backbone
from srbench.models.backbones.edsr import EDSR
from srbench.models.counting import count_parameters
from srbench.models.factory import create_model
from srbench.models.methods.dense import Dense
from srbench.models.methods.recursive import Recursive
from srbench.models.sites import SharingSite
from srbench.models.surgery import apply_method, fold, layer_at
from srbench_ps.drrn import DRRN
from srbench_ps.layers import FilterBank, SharedConv
from srbench_ps.method import PS
from srbench_ps.tiling import canonical_kernel, canonical_shape, from_canonical, from_tiles, to_tiles

SCALES = (2, 3, 4)


def edsr(scale: int, num_feat: int = 8, num_block: int = 3) -> EDSR:
    return EDSR((scale,), num_feat=num_feat, num_block=num_block)


def drrn(scales: tuple[int, ...], num_unit: int = 3, num_feat: int = 8) -> DRRN:
    return DRRN(scales, num_unit=num_unit, num_feat=num_feat)


@st.composite
def networks(draw: st.DrawFn) -> tuple[Backbone, int]:
    """Draw a network, EDSR or a multi-scale DRRN, with random weights, and one of its scales."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    scale = draw(st.sampled_from(SCALES))
    network = edsr(scale) if draw(st.booleans()) else drrn(SCALES)
    return apply_method(network, Dense()), scale


def partial_shapes(channels: int = 8, kernel: int = 3) -> st.SearchStrategy[str]:
    """Draw a shape that tiles kernels of `channels` input and output channels."""
    parts = [str(n) for n in range(1, channels + 1) if channels % n == 0]
    sizes = [str(n) for n in range(1, kernel + 1) if kernel % n == 0]
    shape = st.tuples(
        st.sampled_from([*parts, "C"]),
        st.sampled_from([*parts, "C"]),
        st.sampled_from([*sizes, "K"]),
        st.sampled_from([*sizes, "K"]),
    )
    return shape.map("x".join)


def images(scale: int) -> torch.Tensor:
    return torch.rand(2, 3, 7, 6, generator=torch.Generator().manual_seed(scale))


def set_identity(model: Backbone, dense: Backbone) -> None:
    """Fill the bank with all tiles of the dense network and let each layer select its own."""
    sites = model.sharing_sites()
    layers = [model.get_submodule(site.path) for site in sites]
    originals = [layer_at(dense, site.path) for site in sites]
    bank = layers[0].bank
    tiles = [to_tiles(canonical_kernel(original), bank.tile) for original in originals]
    with torch.no_grad():
        bank.filters.copy_(torch.cat(tiles))
        row = 0
        for layer, original, part in zip(layers, originals, tiles, strict=True):
            for coefficients in layer.coefficients.values():
                coefficients.zero_()
                coefficients[torch.arange(len(part)), row + torch.arange(len(part))] = 1
            row += len(part)
            if layer.bias is not None:
                layer.bias.copy_(original.bias)


def select_recursive_tiles(network: Backbone, recursive: Backbone, shape: str) -> Backbone:
    """Apply PS with a bank of exactly the recursive network's tiles, which the layers of a tie class select alike."""
    sites = recursive.sharing_sites()
    ties = list(dict.fromkeys(site.tie for site in sites))
    layers = {site.tie: layer_at(recursive, site.path) for site in sites}
    tile = PS(shape=shape).partial_shape.resolve(canonical_shape(layers[ties[0]]))
    tiles = {tie: to_tiles(canonical_kernel(layer), tile) for tie, layer in layers.items()}
    per_layer = len(tiles[ties[0]])
    shared = apply_method(network, PS(num_filters=per_layer * len(ties), shape=shape, bias="tied"))
    with torch.no_grad():
        for site in sites:
            layer = shared.get_submodule(site.path)
            start = ties.index(site.tie) * per_layer
            layer.bank.filters[start : start + per_layer] = tiles[site.tie]
            for coefficients in layer.coefficients.values():
                coefficients.zero_()
                coefficients[:, start : start + per_layer] = torch.eye(per_layer)
            if layer.active_bias() is not None:
                layer.active_bias().copy_(layers[site.tie].bias)
    return shared


@given(networks(), partial_shapes())
def test_ratio_one_with_identity_coefficients_equals_dense(drawn: tuple[Backbone, int], shape: str) -> None:
    """Law: a bank of all tiles, each layer selecting its own, is the dense network, bit for bit."""
    dense, scale = drawn
    shared = apply_method(copy.deepcopy(dense), PS(ratio=1, shape=shape))
    set_identity(shared, dense)
    assert torch.equal(shared(images(scale), scale), dense(images(scale), scale))


@given(st.integers(0, 2**16), st.sampled_from(SCALES), st.booleans(), partial_shapes())
def test_selection_of_the_recursive_tiles_equals_recursive(seed: int, scale: int, use_edsr: bool, shape: str) -> None:
    """Law: a bank of exactly the recursive network's tiles, selection coefficients and tied biases are that network."""
    torch.manual_seed(seed)
    network = edsr(scale) if use_edsr else drrn(SCALES)
    recursive = apply_method(copy.deepcopy(network), Recursive())
    shared = select_recursive_tiles(network, recursive, shape)
    assert torch.equal(shared(images(scale), scale), recursive(images(scale), scale))


def test_the_recursive_bank_of_edsr_baseline_has_18_filters() -> None:
    # FACTS: two tie classes of nine 64x64x1x1 tiles, 1/16 of 288; PS then has 72 biases' worth of nothing more to
    # learn.
    network = EDSR((2,), num_feat=64, num_block=16)
    shared = apply_method(network, PS(ratio=Fraction(1, 16), bias="tied"))
    bank = shared.get_submodule("body.0.conv1").bank
    assert bank.filters.shape == (18, 4096)
    assert count_parameters(shared) == 188_163 + 2 * 64 + 18 * 4096 + 288 * 18


@given(networks(), partial_shapes(), st.fractions(min_value=Fraction(1, 8), max_value=1))
def test_fold_equals_unfolded(drawn: tuple[Backbone, int], shape: str, ratio: Fraction) -> None:
    """Law: fold changes no bit of the output, leaves no shared layer, and has the dense network's parameters."""
    dense, scale = drawn
    shared = apply_method(copy.deepcopy(dense), PS(ratio=ratio, shape=shape))
    spread(shared)
    folded = fold(shared, scale)
    assert torch.equal(folded(images(scale)), shared(images(scale), scale))
    assert not any(isinstance(module, SharedConv | FilterBank) for module in folded.modules())
    assert count_parameters(folded) == count_parameters(dense)


@given(networks(), partial_shapes(), st.integers(1, 20))
def test_state_dict_and_deepcopy_keep_sharing(drawn: tuple[Backbone, int], shape: str, num_filters: int) -> None:
    """Law: a state dict or a deep copy changes no bit and no count, and shares nothing with the original."""
    dense, scale = drawn
    total = bank_size(dense, shape)
    shared = apply_method(copy.deepcopy(dense), PS(num_filters=min(num_filters, total), shape=shape))
    spread(shared)
    copied = copy.deepcopy(shared)
    loaded = apply_method(copy.deepcopy(dense), PS(num_filters=min(num_filters, total), shape=shape))
    loaded.load_state_dict(shared.state_dict())
    for other in (copied, loaded):
        assert torch.equal(other(images(scale), scale), shared(images(scale), scale))
        assert (
            count_parameters(other) == count_parameters(shared) == sum(t.numel() for t in shared.state_dict().values())
        )
        assert len({id(layer.bank) for layer in shared_convs(other)}) == 1
    with torch.no_grad():
        shared_convs(copied)[0].bank.filters.zero_()
    assert shared_convs(shared)[0].bank.filters.abs().sum() > 0


@given(networks(), partial_shapes(), st.integers(1, 200))
def test_svd_error_is_the_tail_of_the_singular_values(
    drawn: tuple[Backbone, int], shape: str, num_filters: int
) -> None:
    """Law (Eckart-Young): the squared error of the SVD start is the sum of the squared singular values left out."""
    dense, _ = drawn
    dense = dense.double()
    total = bank_size(dense, shape)
    shared = apply_method(copy.deepcopy(dense), PS(num_filters=min(num_filters, total), shape=shape, init="svd"))
    tile = shared_convs(shared)[0].bank.tile
    rows = [to_tiles(canonical_kernel(layer_at(dense, site.path)), tile) for site in dense.sharing_sites()]
    singular = torch.linalg.svdvals(torch.cat(rows).detach())
    tail = float((singular[min(num_filters, total) :] ** 2).sum())
    error = sum(
        float((layer.kernel() - layer_at(dense, site.path).weight).detach().pow(2).sum())
        for layer, site in zip(shared_convs(shared), dense.sharing_sites(), strict=True)
    )
    assert error == pytest.approx(tail, rel=1e-9, abs=1e-18 * float((singular**2).sum()) + 1e-24)


@given(networks(), partial_shapes(), st.fractions(min_value=Fraction(1, 8), max_value=1))
def test_parameters_equal_the_formula(drawn: tuple[Backbone, int], shape: str, ratio: Fraction) -> None:
    """Law: parameters = the unshared ones + N_p*e + scales * N_total * N_p, with N_p = round(ratio * N_total)."""
    dense, _ = drawn
    kernels = sum(layer_at(dense, site.path).weight.numel() for site in dense.sharing_sites())
    shared = apply_method(copy.deepcopy(dense), PS(ratio=ratio, shape=shape))
    total = bank_size(dense, shape)
    elements = kernels // total
    filters = int(ratio * total + Fraction(1, 2))
    expected = count_parameters(dense) - kernels + filters * elements + len(dense.scales) * total * filters
    assert count_parameters(shared) == expected


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("backbone", ["edsr_baseline", "drrn_b1u9"])
@given(seed=st.integers(0, 2**16), shape=st.sampled_from(["CxCx1x1", "Cx1xKxK"]))
@settings(max_examples=2)
def test_the_published_networks_keep_the_laws(backbone: str, scale: int, seed: int, shape: str) -> None:
    """Law: at full size too, PS contains dense and recursive, and folding changes nothing, bit for bit."""
    dense = create_model(f"{backbone}+dense", scale=scale, seed=seed)
    shared = create_model(f"{backbone}+ps(ratio=1,shape={shape})", scale=scale, seed=seed)
    set_identity(shared, dense)
    x = torch.rand(1, 3, 5, 6)
    with torch.no_grad():
        assert torch.equal(shared(x), dense(x))
        recursive = create_model(f"{backbone}+recursive", scale=scale, seed=seed)
        selecting = select_recursive_tiles(create_model(backbone, scale=scale, seed=seed), recursive, shape)
        assert torch.equal(selecting(x), recursive(x))
        small = create_model(f"{backbone}+ps(ratio=1/16,shape={shape})", scale=scale, seed=seed)
        spread(small)
        assert torch.equal(fold(small)(x), small(x))


@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 2),
    st.booleans(),
    st.data(),
)
@settings(max_examples=100)
def test_tiles_put_together_are_the_kernel(
    groups: int, per_group: int, out_per_group: int, height: int, width: int, transposed: bool, data: st.DataObject
) -> None:
    """Law: from_tiles inverts to_tiles, and from_canonical canonical_kernel; grouped and transposed layers too."""
    cls = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = cls(groups * per_group, groups * out_per_group, (height, width), groups=groups)
    shape = canonical_shape(layer)
    tile = tuple(data.draw(st.sampled_from([n for n in range(1, full + 1) if full % n == 0])) for full in shape)
    kernel = canonical_kernel(layer)
    assert tuple(kernel.shape) == shape
    rebuilt = from_tiles(to_tiles(kernel, tile), shape, tile)
    assert torch.equal(rebuilt, kernel)
    assert torch.equal(from_canonical(rebuilt, groups, transposed), layer.weight)


@given(st.integers(0, 2**16), st.sampled_from([1, 2]), st.booleans())
def test_grouped_and_transposed_layers_fold_exactly(seed: int, groups: int, transposed: bool) -> None:
    """Law: a shared grouped or transposed layer equals the plain layer with the kernel that it generates."""
    torch.manual_seed(seed)
    cls = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = cls(8, 4, 3, stride=2, padding=1, groups=groups)
    bank = FilterBank(5, (2, 2, 1, 3), {})
    nn.init.normal_(bank.filters)
    shared = SharedConv(SharingSite("layer", kind="conv", bank="all", tie="layer"), layer, bank, (2,))
    nn.init.normal_(shared.coefficients["x2"])
    x = torch.randn(1, 8, 9, 8)
    assert torch.equal(shared(x), shared.folded()(x))
    assert shared(x).shape == layer(x).shape


def spread(model: Backbone) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def shared_convs(model: Backbone) -> list[SharedConv]:
    return [module for module in model.modules() if isinstance(module, SharedConv)]


def bank_size(dense: Backbone, shape: str) -> int:
    """Return N_total, computed from the layers' weights alone."""
    total = 0
    for site in dense.sharing_sites():
        weight = layer_at(dense, site.path).weight
        out, inputs, height, width = weight.shape
        full = (inputs, out, height, width)
        sizes = [whole if part in "CK" else int(part) for part, whole in zip(shape.split("x"), full, strict=True)]
        total += weight.numel() // (sizes[0] * sizes[1] * sizes[2] * sizes[3])
    return total
