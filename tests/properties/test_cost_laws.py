"""Laws of counting, for every backbone and method on small random instances."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from srbench.cost.counts import Work, cost_of, work_at
from srbench.cost.operators import on_meta, run
from srbench.cost.rules import CONVOLUTION, OTHER, PRODUCT
from srbench.errors import SharingError
from srbench.models.backbone import Backbone
from srbench.models.backbones.edsr import EDSR
from srbench.models.counting import count_parameters
from srbench.models.methods.dense import Dense
from srbench.models.methods.recursive import Recursive
from srbench.models.methods.sharing_method import SharingMethod, SiteGroup
from srbench.models.sites import SharingSite
from srbench.models.surgery import apply_method, fold, layer_at, tie
from srbench_ps.basis import Basis
from srbench_ps.carn import CARN
from srbench_ps.drrn import DRRN
from srbench_ps.dsconv import DSConv
from srbench_ps.layers import SharedConv
from srbench_ps.method import PS
from srbench_ps.rcan import RCAN
from srbench_ps.srfbn import SRFBN
from srbench_zoo.imdn import IMDN

BACKBONES = {
    "edsr": lambda scale: EDSR((scale,), num_feat=8, num_block=2),
    "drrn": lambda scale: DRRN((2, 3, 4), num_unit=2, num_feat=8),
    "carn": lambda scale: CARN((2, 3, 4), num_feat=8, num_block=2, num_unit=2),
    "carn_m": lambda scale: CARN((2, 3, 4), num_feat=8, num_block=2, num_unit=2, groups=4),
    "srfbn": lambda scale: SRFBN((scale,), num_feat=8, num_step=2, num_group=2),
    "rcan": lambda scale: RCAN((scale,), num_feat=8, num_group=2, num_block=2, squeeze_factor=4),
    "imdn": lambda scale: IMDN((scale,), num_feat=8, num_block=2, reduction=2),
}
FOLDING = st.one_of(
    st.builds(PS, ratio=st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(1, 4)])),
    st.builds(Recursive),
    st.builds(Dense),
)
DECLINING = st.one_of(st.builds(DSConv), st.builds(Basis, num_basis=st.integers(1, 8)))


@st.composite
def networks(draw: st.DrawFn, methods: st.SearchStrategy[SharingMethod | None]) -> tuple[Backbone, int]:
    torch.manual_seed(draw(st.integers(0, 2**16)))
    scale = draw(st.sampled_from([2, 3, 4]))
    model = BACKBONES[draw(st.sampled_from(sorted(BACKBONES)))](scale)
    object.__setattr__(model, "published", copy.deepcopy(model))  # kept beside it, not registered in it
    method = draw(methods)
    if method is not None:
        try:
            model = apply_method(model, method)
        except SharingError:
            reject()  # the shape does not tile its kernels, or the basis is too large
    return model, scale


def same(a: Work, b: Work) -> bool:
    names = ("convolution", "product", "other", "activations")
    return all(getattr(a, name) == getattr(b, name) for name in names)


sizes = st.tuples(st.integers(8, 24), st.integers(8, 24))


@settings(max_examples=25)
@given(networks(FOLDING), sizes)
def test_fold_changes_no_mac_and_leaves_no_synthesis(made: tuple[Backbone, int], size: tuple[int, int]) -> None:
    """Law: folding leaves all MACs as they are and makes no weights; parameters become those of the dense form."""
    model, scale = made
    assert model.method is not None
    folded = fold(model, scale)
    before, after = (work_at(on_meta(network.at_scale(scale)), scale, *size) for network in (model, folded))
    assert same(before, after)
    assert after.synthesis == 0
    assert before.synthesis == synthesis_of(model, scale)
    assert count_parameters(folded) == cost_of(model, scale).folded == dense_form(model, folded, scale)


def synthesis_of(model: Backbone, scale: int) -> int:
    """Return the MACs of `coefficients @ bank` over all sites of PS: p x N_p x e for each; other methods make none."""
    layers = [layer_at(model, site.path) for site in model.sharing_sites()]
    return sum(
        layer.coefficients[f"x{scale}"].numel() * layer.bank.filters.shape[1]
        for layer in layers
        if isinstance(layer, SharedConv)
    )


def dense_form(model: Backbone, folded: Backbone, scale: int) -> int:
    """Count the network with a layer of its own at each site that the method takes, whose biases are as folded."""
    method = model.method
    assert method is not None

    class DenseThere(Dense):
        def groups(self, sites: Sequence[SharingSite]) -> list[SiteGroup]:
            return super().groups([site for site in sites if method.takes(site)])

    published = copy.deepcopy(model.published).at_scale(scale)  # type: ignore[operator]
    untied = apply_method(published, DenseThere())
    count = count_parameters(untied)
    for site in model.sharing_sites():
        if method.takes(site):
            biases = [getattr(layer_at(network, site.path), "bias", None) for network in (untied, folded)]
            count -= 0 if biases[0] is None or biases[1] is not None else biases[0].numel()
    return count


@settings(max_examples=15)
@given(networks(DECLINING), sizes)
def test_what_declines_to_fold_costs_the_same_folded(made: tuple[Backbone, int], size: tuple[int, int]) -> None:
    """Law: `dsconv` and `basis` decline, so neither work nor parameters change."""
    model, scale = made
    folded = fold(model, scale)
    before, after = (work_at(on_meta(network), scale, *size) for network in (model.at_scale(scale), folded))
    assert before == after
    assert before.synthesis == 0
    assert count_parameters(folded) == count_parameters(model.at_scale(scale))


@settings(max_examples=15)
@given(networks(st.one_of(st.none(), FOLDING, DECLINING)), sizes, st.integers(2, 5))
def test_counts_are_per_image_at_any_batch(made: tuple[Backbone, int], size: tuple[int, int], batch: int) -> None:
    """Law: a batch costs its images' work, and makes weights once."""
    model, scale = made
    shapes = on_meta(model.at_scale(scale))
    one, several = run(shapes, scale, *size), run(shapes, scale, *size, batch)
    for kind in (CONVOLUTION, PRODUCT, OTHER):
        assert several.total(kind) == batch * one.total(kind)
        assert several.total(kind, synthesis=True) == one.total(kind, synthesis=True)
    assert several.activations == batch * one.activations


@settings(max_examples=15)
@given(networks(st.one_of(st.none(), FOLDING, DECLINING)), sizes)
def test_formulas_of_layers_cover_every_convolution(made: tuple[Backbone, int], size: tuple[int, int]) -> None:
    """Law: counted from operators and from layers' attributes and shapes, convolutions are the same number."""
    model, scale = made
    work = work_at(on_meta(model.at_scale(scale)), scale, *size)
    assert work.analytic == work.convolution


@settings(max_examples=15)
@given(st.integers(0, 2**16), st.permutations(range(8)), st.lists(st.integers(1, 7), max_size=3))
def test_parameters_do_not_depend_on_the_order_of_tying(seed: int, order: list[int], cuts: list[int]) -> None:
    """Law: sites tied in any order, all at once or in parts that overlap, leave each tensor once."""
    torch.manual_seed(seed)
    expected = count_parameters(apply_method(EDSR((2,), num_feat=8, num_block=4), Recursive()))
    model = EDSR((2,), num_feat=8, num_block=4)
    sites = model.sharing_sites()
    shuffled = [sites[index] for index in order]
    for cut in cuts:
        tie(model, shuffled[:cut])
    tie(model, shuffled)
    assert count_parameters(model) == cost_of(model, 2).params == cost_of(copy.deepcopy(model), 2).params == expected


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_nothing_is_unknown_in_any_backbone(backbone: str) -> None:
    for scale in (2, 3, 4):
        assert cost_of(BACKBONES[backbone](scale), scale).hd.macs > 0
