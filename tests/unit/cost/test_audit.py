"""Audits: who uses a tensor, how often, and what the network would weigh without sharing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.cost.audit import TensorUse, audit, compact_paths
from srbench.cost.counts import cost_of
from srbench.models.backbone import Backbone
from srbench.models.counting import count_parameters
from srbench.models.factory import create_model
from srbench.models.methods.sharing_method import SharingMethod
from srbench.models.shared_modules import SharedModuleRef
from srbench.models.sites import SharingSite
from srbench.models.surgery import apply_method, deployed, fold


def used(name: str, scales: tuple[int, ...] = (2,)) -> dict[str, TensorUse]:
    return {tensor.name: tensor for tensor in audit(create_model(name, scales=scales, seed=0)).tensors}


def test_drrn_ps_has_one_bank_for_18_layers_and_coefficients_for_each_scale() -> None:
    found = audit(create_model("drrn_b1u9+ps(ratio=1/9)", scales=(2, 3, 4), seed=0))
    shared = [tensor for tensor in found.tensors if tensor.repeated]
    assert [(tensor.name, tensor.shape) for tensor in shared] == [("shared.ps_units.filters", (18, 16384))]
    assert compact_paths(shared[0].layers) == "units.0-8.conv1-2"
    assert shared[0].executions == {2: 18, 3: 18, 4: 18}
    by_scale = [tensor for tensor in found.tensors if not tensor.shared]
    assert len(by_scale) == 54  # FACTS: 9 units x 2 layers x 3 scales
    assert (found.unique, found.stored, found.depth) == (306_093, 306_093, 1)
    # Entry and exit with biases, and 18 kernels of 128 x 128 x 3 x 3.
    dense = 1152 + 128 + 1152 + 1 + 18 * 147_456
    assert found.executed == found.unshared == dict.fromkeys((2, 3, 4), dense)


def test_drrn_is_two_layers_nine_deep() -> None:
    found = audit(create_model("drrn_b1u9", scale=2, seed=0))
    assert (found.depth, compact_paths(found.deepest)) == (9, "units.0-8.conv1")
    assert found.executed == found.unshared == {2: 2_656_641}


def test_srfbn_runs_its_layers_in_each_of_four_steps() -> None:
    found = audit(create_model("srfbn_s", scale=2, seed=0))
    repeated = [tensor for tensor in found.tensors if tensor.repeated]
    assert {tuple(tensor.executions.values()) for tensor in repeated} == {(4,)}
    assert found.depth == 4
    # The mean is added to each step's image by one frozen layer, which is no site: 3 uses of its 12 numbers more than
    # in the dense form.
    assert found.executed[2] == found.unshared[2] == count_parameters(create_model("srfbn_s+dense", scale=2)) + 3 * 12


@pytest.mark.parametrize(
    ("name", "depth", "unique", "unshared"),
    [
        ("edsr_tiny", 1, 31_043, 31_043),
        ("edsr_tiny+recursive", 4, 17_123, 31_043),
        ("edsr_tiny+ps(ratio=1/4)", 1, 18_515, 31_043),
        ("edsr_tiny+dsconv", 1, 15_939, 15_939),
        ("edsr_baseline+recursive", 16, 262_019, 1_369_859),
    ],
)
def test_numbers_of_edsr(name: str, depth: int, unique: int, unshared: int) -> None:
    found = audit(create_model(name, scale=2, seed=0))
    assert (found.depth, found.unique, found.unshared[2], found.executed[2]) == (depth, unique, unshared, unshared)


class Twice(Backbone):
    """A layer that the constructor shares without a site, a functional use of a weight, and one that nothing uses."""

    def __init__(self) -> None:
        super().__init__((1,))
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.idle = nn.Parameter(torch.zeros(5))

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        return self.conv(F.conv2d(self.conv(lr), self.conv.weight.transpose(0, 1)))


def test_uses_without_a_site_are_seen() -> None:
    found = audit(Twice())
    by_name = {tensor.name: tensor for tensor in found.tensors}
    assert by_name["conv.weight"].layers == ("conv", "")
    assert by_name["conv.weight"].executions == {1: 3}
    assert by_name["idle"].layers == ()
    assert not by_name["idle"].shared
    # Three uses of 9 weights, and 5 numbers that nothing reads.
    assert (found.unique, found.executed[1], found.unshared[1], found.depth) == (14, 27, 3 * 9 + 5, 3)


class Again(Backbone):
    """One convolution, four times: as a module, or by functions within the network's own forward."""

    def __init__(self, *, functional: bool) -> None:
        super().__init__((1,))
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(1))
        self.functional = functional

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        for _ in range(4):
            lr = F.conv2d(lr, self.conv.weight, self.conv.bias, padding=1) if self.functional else self.conv(lr)
        return lr * self.gain


@pytest.mark.parametrize("functional", [False, True])
def test_a_layer_that_runs_again_would_have_weights_for_each_time(functional: bool) -> None:
    found = audit(Again(functional=functional))
    assert [tensor.executions[1] for tensor in found.tensors] == [1, 4, 4]
    assert (found.unique, found.executed[1], found.unshared[1], found.depth) == (85, 337, 337, 4)


class Tied(Backbone):
    """Two layers that hold one parameter."""

    def __init__(self) -> None:
        super().__init__((1,))
        self.a, self.b = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)
        self.b.weight = self.a.weight

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        return self.b(self.a(lr))


def test_layers_that_hold_one_parameter_share_it() -> None:
    cost = cost_of(Tied())
    assert (cost.params, cost.folded) == (87, 87)
    found = audit(Tied())
    weight = next(tensor for tensor in found.tensors if tensor.name == "a.weight")
    assert (weight.layers, weight.executions) == (("a", "b"), {1: 2})
    assert (len(found.tensors), found.unique, found.unshared[1]) == (3, 87, 168)


@pytest.mark.parametrize("name", ["srresnet_tiny+sparse_mask", "imdn_tiny", "ecbsr", "edsr_tiny+basis", "carn"])
def test_nothing_shared_and_nothing_repeated_weighs_what_it_weighs(name: str) -> None:
    model = create_model(name, scale=2, seed=0)
    found = audit(model)
    assert not any(tensor.repeated for tensor in found.tensors)
    assert found.unshared[2] == count_parameters(fold(model, 2))


@pytest.mark.parametrize(
    ("paths", "short"),
    [
        (["a"], "a"),
        (["units.0.conv1", "units.0.conv2", "units.1.conv1", "units.1.conv2"], "units.0-1.conv1-2"),
        (["a.0", "a.2", "a.5"], "a.{0,2,5}"),
        (["a.0.b.0", "a.0.b.1", "a.1.b.0"], "a.0.b.0-1, a.1.b.0"),
        (["a.0", "b.0", "a.1"], "a.0-1, b.0"),
        ([], ""),
    ],
)
def test_paths_in_short(paths: list[str], short: str) -> None:
    assert compact_paths(paths) == short


class OwnLatents(Backbone):
    def __init__(self) -> None:
        super().__init__((2,))
        self.shared["hyper"] = nn.Linear(5, 9)
        self.layers = nn.ModuleList(HyperLayer(self.shared["hyper"]) for _ in range(3))

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        for layer in self.layers:
            lr = layer(lr)
        return lr.repeat_interleave(2, -1).repeat_interleave(2, -2)


class HyperLayer(SharedModuleRef):
    """A layer with a latent of its own, of which, transformed, a shared module makes the kernel."""

    def __init__(self, shared: nn.Module) -> None:
        super().__init__(shared)
        self.latent = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.shared_module(self.latent.tanh()).view(3, 3, 1, 1))


def test_layers_with_latents_of_their_own_are_no_recursion() -> None:
    found = audit(OwnLatents())
    assert found.depth == 1
    hyper = {tensor.name: tensor for tensor in found.tensors}["shared.hyper.weight"]
    assert hyper.layers == ("layers.0", "layers.1", "layers.2")
    assert hyper.executions == {2: 3}


class NaiveFold(SharingMethod):
    """Fold as a first attempt would: a new layer on the CPU in float32, copied into."""

    def replace(self, site: SharingSite, module: nn.Module, shared: object, scales: tuple[int, ...]) -> nn.Module:
        return nn.Sequential(module)

    def fold(self, site: SharingSite, module: nn.Module, scale: int | None) -> nn.Module:
        plain = nn.Conv2d(16, 16, 3, padding=1)
        with torch.no_grad():
            plain.weight.copy_(module[0].weight)
            plain.bias.fill_(float(module[0].bias[0]))  # reads a value
        return plain


def test_cost_and_audit_fold_with_values() -> None:
    model = apply_method(create_model("edsr_tiny", scale=2), NaiveFold())
    assert cost_of(model).folded == audit(model).unshared[2] == count_parameters(create_model("edsr_tiny", scale=2))


def test_a_generated_kernel_of_a_transposed_convolution_is_counted_by_its_input() -> None:
    name = "ms_lapsrn_tiny+ps(num_filters=41,shape=CxCx1x1)"
    plain, shared = (cost_of(deployed(create_model(each, scale=2), 2)).hd for each in ("ms_lapsrn_tiny", name))
    assert shared.macs == plain.macs
    assert shared.synthesis > 0 == plain.synthesis
