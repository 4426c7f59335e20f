"""Every backbone x every method, on small random instances: the conformance kit's laws and an independent count.

A backbone is described a second time in `instances`, as a list of its layers; a method by how many numbers it leaves
of them.
"""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from instances.backbones import BACKBONES
from instances.layers import Instance
from instances.methods import METHODS, PAIRS, PUBLISHED_SHAPES

from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters, count_stored
from srbench.models.methods.dense import Dense
from srbench.models.methods.sharing_method import SharingMethod
from srbench.models.surgery import apply_method, layer_at
from srbench.testing import CHECKS, CheckSkipped, Example
from srbench.testing.checks import Subject
from srbench_ps.method import PS
from srbench_ps.tiling import canonical_kernel, to_tiles
from srbench_zoo.mdsr import MDSR

# Two in the profile `ci`, five in `dev`: there are some 200 pairs.
EXAMPLES = max(2, settings().max_examples // 10)


def made(instance: Instance, method: SharingMethod | None, seed: int) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = instance.build()
        return model if method is None else apply_method(model, copy.deepcopy(method))


@pytest.mark.parametrize(("backbone", "method_name"), PAIRS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_the_laws_of_the_kit_hold(backbone: str, method_name: str, data: st.DataObject) -> None:
    """Law: each check of the kit - shape, fold, gradients, round trips - on an instance, method and images as drawn."""
    instance = data.draw(BACKBONES[backbone])
    method = data.draw(METHODS[method_name][0])
    example = data.draw(
        st.builds(
            Example,
            seed=st.integers(0, 2**16),
            batch=st.integers(1, 2),
            height=st.integers(4, 8),
            width=st.integers(4, 8),
        )
    )
    subject = Subject(lambda seed: made(instance, method, seed), instance.scales)
    for check in CHECKS.values():
        try:
            check(subject, example)
        except CheckSkipped:
            continue


@pytest.mark.parametrize(("backbone", "method_name"), PAIRS)
@settings(max_examples=4 * EXAMPLES)
@given(data=st.data())
def test_unique_parameters_equal_an_independent_count(backbone: str, method_name: str, data: st.DataObject) -> None:
    """Law: a model holds the numbers that the description of its layers and of its method says, and stores no more."""
    instance = data.draw(BACKBONES[backbone])
    draw, count = METHODS[method_name]
    method = data.draw(draw)
    model = made(instance, method, seed=0)
    assert count_parameters(model) == count_stored(model) == count(instance, method)


@pytest.mark.parametrize("backbone", BACKBONES)
@settings(max_examples=2 * EXAMPLES)
@given(data=st.data())
def test_depth_is_that_of_the_longest_path(backbone: str, data: st.DataObject) -> None:
    """Law: the declared depth is the number of layers with weights on the longest path that autograd recorded."""
    model = made(data.draw(BACKBONES[backbone]), None, seed=0)
    assert model.architecture is not None
    paths = []
    for scale in model.scales:
        # Small images are extended for some attention, which is no layer.
        lr = torch.rand(1, 3, 4, 4, requires_grad=True)
        paths.append(longest_path(model.image(model(lr, scale))))
    if isinstance(model, MDSR):
        # Its depth is that of tables: without the two blocks before those that all scales share, the convolution after
        # them and the up-sampler.
        assert max(paths) - model.architecture.depth == 4 + 1 + (2 if 4 in model.scales else 1)
    else:
        assert max(paths) == model.architecture.depth


def longest_path(output: torch.Tensor) -> int:
    """Count trainable convolutions and linear layers on the longest path that passes through no sigmoid (attention)."""
    lengths: dict[object, int] = {}
    stack = [(output.grad_fn, False)]
    while stack:
        node, seen = stack.pop()
        if node is None or node in lengths or node.name() == "SigmoidBackward0":
            continue
        before = [other for other, _ in node.next_functions]
        if not seen:
            stack += [(node, True), *((other, False) for other in before)]
            continue
        # Where the weight is among the inputs; that of a frozen layer, such as a mean shift, has no node.
        weight = {"ConvolutionBackward0": 1, "AddmmBackward0": 2}.get(node.name())
        own = int(weight is not None and before[weight] is not None)
        lengths[node] = own + max((lengths.get(other, 0) for other in before), default=0)
    return lengths[output.grad_fn]


@pytest.mark.parametrize("backbone", BACKBONES)
@settings(max_examples=2 * EXAMPLES)
@given(data=st.data(), shape=PUBLISHED_SHAPES, seed=st.integers(0, 2**16))
def test_a_bank_of_all_tiles_equals_dense(backbone: str, data: st.DataObject, shape: str, seed: int) -> None:
    """Law: PS with every tile in the bank, each layer selecting its own, is the untied network, bit for bit."""
    instance = data.draw(BACKBONES[backbone])
    dense = made(instance, Dense(), seed).eval()  # SwinIR skips branches at random in training
    shared = apply_method(copy.deepcopy(dense), PS(ratio=1, shape=shape, bias="own"))
    select_own_tiles(shared, dense)
    lr = torch.rand(1, 3, 6, 5, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for scale in instance.scales:
            assert torch.equal(shared.image(shared(lr, scale)), dense.image(dense(lr, scale)))


@torch.no_grad()
def select_own_tiles(shared: Backbone, dense: Backbone) -> None:
    rows: dict[str, int] = {}
    for site in dense.sharing_sites():
        if site.bank is None or site.kind == "block":
            continue
        row = rows.get(site.bank, 0)
        layer, original = shared.get_submodule(site.path), layer_at(dense, site.path)
        tiles = to_tiles(canonical_kernel(original), layer.bank.tile)
        layer.bank.filters[row : row + len(tiles)] = tiles
        for coefficients in layer.coefficients.values():
            coefficients.zero_()
            coefficients[torch.arange(len(tiles)), row + torch.arange(len(tiles))] = 1
        if layer.bias is not None:
            layer.bias.copy_(original.bias)
        rows[site.bank] = row + len(tiles)
