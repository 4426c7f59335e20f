"""Laws of pruned networks: folding, counts, what the kernel is made of, and what a search does to latents."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from instances.backbones import BACKBONES
from instances.layers import Instance
from torch import Tensor, nn

from srbench.errors import SharingError
from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters
from srbench.models.factory import create_model
from srbench.models.pruned_conv import PrunedConv
from srbench.models.sites import SharingSite
from srbench.models.surgery import apply_method, fold
from srbench_pruning.latents import Latents
from srbench_pruning.layers import DHPConv, latents_of
from srbench_pruning.method import DHP

SEEDS = st.integers(0, 2**16)


class Chain(Backbone):
    """Convolutions one after the other; the first and the last are no sites."""

    def __init__(self, widths: tuple[int, ...] = (3, 8, 8, 8, 3)) -> None:
        super().__init__((1,))
        pairs = itertools.pairwise(widths)
        self.convs = nn.ModuleList(nn.Conv2d(wide, narrow, 3, padding=1) for wide, narrow in pairs)

    def sharing_sites(self) -> list[SharingSite]:
        inner = range(1, len(self.convs) - 1)
        return [SharingSite(f"convs.{number}", kind="conv", bank="all", tie=str(number)) for number in inner]

    def forward(self, x: Tensor, scale: int | None = None) -> Tensor:
        for conv in self.convs:
            x = conv(x).relu()
        return x


def made(build: object, method: DHP, seed: int) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = apply_method(build(), copy.deepcopy(method)).eval()  # type: ignore[operator]
        with torch.no_grad():  # biases of the hypernetwork start at 0
            for parameter in model.parameters():
                parameter += 0.05 * torch.randn(parameter.shape)
    return model.double()


def prune_at_random(model: Backbone, share: float, seed: int) -> Latents:
    """Prune groups of channels at random; each layer keeps one channel at least."""
    latents = latents_of(model)
    drawn = torch.rand(latents.alive.shape, generator=torch.Generator().manual_seed(seed))
    latents.alive.copy_((drawn >= share) | ~latents.prunable)
    for bundle in latents.bundles:
        latents.alive[bundle.nonzero()[:1, 0]] = True
    return latents


def images(seed: int, height: int = 9, width: int = 7) -> Tensor:
    return torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def counted_by_layer(model: Backbone) -> int:
    """Count what is left, layer by layer, from the masks; what is no layer of the method counts as it is."""
    layers = [module for module in model.modules() if isinstance(module, DHPConv)]
    made_here = {id(p) for layer in layers for p in layer.parameters()} | {id(latents_of(model).values)}
    biases = {id(layer.shared_module) for layer in layers if layer._tied_bias}
    for module in model.modules():
        if id(module) in biases:
            made_here |= {id(p) for p in module.parameters()}
    rest = sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in made_here)
    alive = latents_of(model).alive
    for layer in layers:
        ins, outs = int(alive[layer.inputs].sum()), int(alive[layer.outputs].sum())
        if layer.groups != 1:
            ins, outs = layer.kernel_shape[1], layer.out_channels
        rest += ins * outs * layer.kernel_size[0] * layer.kernel_size[1]
        rest += outs if layer.active_bias() is not None else 0
    return rest


@pytest.mark.parametrize("backbone", BACKBONES)
@settings(max_examples=4)
@given(data=st.data())
def test_the_folded_network_computes_the_same_with_the_weights_that_are_left(
    backbone: str, data: st.DataObject
) -> None:
    """Law: |fold(f)(x) - f(x)| <= 1e-5 max |f(x)| for any pruned channels; it has as many numbers as masks leave."""
    instance: Instance = data.draw(BACKBONES[backbone])
    seed = data.draw(SEEDS)
    try:
        model = made(instance.build, DHP(embedding=2), seed)
    except SharingError:
        return  # no convolution of it is in a bank
    prune_at_random(model, data.draw(st.sampled_from([0.2, 0.5, 0.9])), seed + 1)
    lr = images(seed)
    for scale in instance.scales:
        view = model.at_scale(scale)
        folded = fold(model, scale)
        with torch.no_grad():
            expected, found = view.image(view(lr, scale)), folded.image(folded(lr, scale))
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max().clamp(min=1e-6)
        assert count_parameters(folded) == counted_by_layer(view)


@pytest.mark.parametrize("name", ["srresnet", "srresnet_bn", "msrresnet", "imdn", "edsr_baseline"])
def test_the_networks_of_the_tables_are_folded_exactly(name: str, seed: int) -> None:
    """Law: the same at x4 for the networks of SMSR's Table II, as large as published; at most 1e-5 apart."""

    def build() -> Backbone:
        return create_model(name, scale=4)

    model = made(build, DHP(embedding=1), seed).float()
    prune_at_random(model, 0.6, seed)
    folded = fold(model)
    lr = images(seed).float()[:1]
    with torch.no_grad():
        expected = model(lr)
        assert (folded(lr) - expected).abs().max() <= 1e-5 * expected.abs().max().clamp(min=1)
    assert count_parameters(folded) == counted_by_layer(model) < count_parameters(create_model(name, scale=4))


@pytest.mark.parametrize("name", ["edsr_tiny", "srresnet_tiny", "imdn_tiny"])
def test_latents_of_ones_give_the_network_with_the_kernels_as_generated(name: str, seed: int) -> None:
    """Law: with z = 1, biases 0 and nothing pruned, kernels are sum_m w2[m] w1[m], and the network is the dense one."""
    model = create_model(f"{name}+dhp", scale=2, seed=seed).eval()
    nn.init.ones_(latents_of(model).values)
    plain = create_model(name, scale=2, seed=seed + 1).eval()
    generated = {path: layer for path, layer in model.named_modules() if isinstance(layer, DHPConv)}
    state = {key: tensor for key, tensor in model.state_dict().items() if key in plain.state_dict()}
    for path, layer in generated.items():
        products = torch.einsum("oikm,oim->oik", layer.weight2, layer.weight1)
        state[f"{path}.weight"] = products.reshape(layer.kernel_shape)
    plain.load_state_dict(state)
    lr = images(seed).float()
    with torch.no_grad():
        torch.testing.assert_close(model(lr), plain(lr), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(fold(model)(lr), plain(lr), rtol=1e-5, atol=1e-6)
    assert {key: tensor.shape for key, tensor in fold(model).state_dict().items()} == {
        key: tensor.shape for key, tensor in plain.state_dict().items()
    }


def test_the_kernel_is_what_the_equations_say(seed: int) -> None:
    """Law: K[o,i,k] = sum_m w2[o,i,k,m] ((z_o z_i + B0) w1[o,i,m] + b1[o,i,m]) + b2[o,i,k]; 0 if o or i is pruned."""
    model = made(Chain, DHP(embedding=3), seed)
    latents = prune_at_random(model, 0.3, seed)
    layer = model.get_submodule("convs.1")
    assert isinstance(layer, DHPConv)
    kernel = layer.kernel().reshape(8, 8, 9)
    for o, i, k in [(0, 0, 0), (3, 5, 4), (7, 2, 8)] + [(o, o, 1) for o in range(8)]:
        z_o, z_i = latents.values[layer.outputs[o]], latents.values[layer.inputs[i]]
        embedded = (z_o * z_i + layer.bias0[o, i]) * layer.weight1[o, i] + layer.bias1[o, i]
        expected = (layer.weight2[o, i, k] * embedded).sum() + layer.bias2[o, i, k]
        alive = latents.alive[layer.outputs[o]] & latents.alive[layer.inputs[i]]
        torch.testing.assert_close(kernel[o, i, k], expected * alive)


def test_parameters_of_a_pruned_chain_are_those_counted_by_hand() -> None:
    """Law: two layers of 8 channels with 3 of the 8 between them pruned have 5*8*9 + 5 and 8*5*9 + 8 numbers."""
    model = made(Chain, DHP(), 0)
    latents, first = latents_of(model), model.get_submodule("convs.1")
    assert isinstance(first, DHPConv)
    # What the first reads is made by a layer that is no site, and what the second makes is read by one.
    assert latents.prunable.sum() == 8
    assert latents.prunable[first.outputs].all()
    latents.alive[first.outputs[torch.tensor([0, 3, 7])]] = False
    folded = fold(model)
    between = (5 * 8 * 9 + 5) + (8 * 5 * 9 + 8)
    ends = (3 * 8 * 9 + 8) + (8 * 3 * 9 + 3)
    assert count_parameters(folded) == between + ends == 1_176
    assert [tuple(folded.get_submodule(f"convs.{n}").weight.shape) for n in (1, 2)] == [(5, 8, 3, 3), (8, 5, 3, 3)]
    assert float(latents.share()) == 5 / 8
    # Nothing is gathered: the network is plain.
    assert not any(isinstance(module, PrunedConv) for module in folded.modules())


@settings(max_examples=40)
@given(
    seed=SEEDS,
    step=st.floats(0, 3),
    threshold=st.floats(1e-3, 1),
    ratio=st.floats(0.05, 1),
    least=st.integers(1, 9),
)
def test_a_step_of_the_search_shrinks_and_prunes(
    seed: int, step: float, threshold: float, ratio: float, least: int
) -> None:
    """Laws: soft-thresholding is the proximal operator of step |z|; layers keep what they must; none is revived."""
    model = made(lambda: Chain((3, 8, 6, 7, 8, 3)), DHP(embedding=1), seed)
    latents = latents_of(model)
    for _ in range(3):
        before, alive, share = latents.values.detach().clone(), latents.alive.clone(), float(latents.share())
        latents.soft_threshold(step, threshold, ratio, least)
        moved = latents.values.detach() != before
        proximal = before - before.clamp(-step, step)
        assert torch.equal(latents.values.detach()[moved], proximal[moved])
        assert not moved[~latents.prunable].any()
        latents.prune(threshold, ratio, least)
        assert not (latents.alive & ~alive).any()
        assert latents.alive[~latents.prunable].all()
        for bundle in latents.bundles:
            assert int((latents.alive & bundle).sum()) >= min(least, int(bundle.sum()))
        if share <= ratio:
            assert not moved.any()
            assert torch.equal(latents.alive, alive)


def test_a_pruned_channel_carries_nothing(seed: int) -> None:
    """Law: a change of what makes or reads a pruned channel changes no output; of one that is left, it does."""
    model = made(Chain, DHP(), seed)
    latents, first = latents_of(model), model.get_submodule("convs.1")
    assert isinstance(first, DHPConv)
    latents.alive[first.outputs[2]] = False
    lr = images(seed)
    with torch.no_grad():
        before = model(lr)
        first.bias2[2] += 1
        assert first.bias is not None
        first.bias[2] += 1
        assert torch.equal(model(lr), before)
        first.bias2[3] += 1
        assert not torch.equal(model(lr), before)
