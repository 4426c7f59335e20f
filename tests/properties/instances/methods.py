"""Name -> what a method is drawn from, and how many numbers it leaves; to add a method, add a line."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st
from instances.backbones import BACKBONES
from instances.layers import Instance, Layer

from srbench.models.methods.dense import Dense
from srbench.models.methods.recursive import Recursive
from srbench.models.methods.sharing_method import SharingMethod
from srbench_ps.basis import Basis
from srbench_ps.dsconv import DSConv
from srbench_ps.method import PS
from srbench_zoo.reparam.method import Reparam


def banked(instance: Instance) -> list[Layer]:
    return [layer for layer in instance.layers if layer.bank is not None]


def native_count(instance: Instance, method: SharingMethod | None) -> int:
    return instance.other + sum(layer.native * layer.numbers for layer in instance.layers)


def dense_count(instance: Instance, method: SharingMethod | None) -> int:
    return instance.other + sum(layer.uses * layer.numbers for layer in instance.layers)


def recursive_count(instance: Instance, method: SharingMethod | None) -> int:
    return instance.other + sum(layer.recursive * layer.numbers for layer in instance.layers)


def ps_count(instance: Instance, method: SharingMethod | None) -> int:
    """Count N_p filters of e numbers, N_total x N_p coefficients for each scale, biases; the rest as published."""
    assert isinstance(method, PS)
    assert method.ratio is not None
    count = native_count(instance, None)
    for layer in banked(instance):
        elements = layer.inputs * (layer.outputs if method.shape == "CxCx1x1" else layer.kernel**2)
        total = layer.uses * layer.weights // elements
        filters = int(method.ratio * total + Fraction(1, 2))
        scales = len(instance.scales)
        policy = method.bias or layer.bank
        biases = {"own": layer.uses, "per_scale": scales * layer.uses, "tied": layer.recursive, "none": 0}[policy]
        count -= layer.native * layer.numbers
        count += filters * elements + scales * total * filters
        count += biases * layer.outputs * layer.bias + layer.uses * layer.companion
    return count


def dsconv_count(instance: Instance, method: SharingMethod | None) -> int:
    """Count a depthwise and a pointwise convolution, with a bias each, for each layer of the published network."""
    count = native_count(instance, None)
    for layer in banked(instance):
        channels = layer.inputs * layer.groups
        separable = channels * layer.kernel**2 + layer.inputs * layer.outputs
        separable += (channels + layer.outputs) * layer.bias
        count += layer.native * (separable + layer.companion - layer.numbers)
    return count


def basis_count(instance: Instance, method: SharingMethod | None) -> int:
    """Count m filters and as many coefficients for each output channel, for each layer of the published network."""
    assert isinstance(method, Basis)
    count = native_count(instance, None)
    for layer in banked(instance):
        basis = method.num_basis * (layer.inputs * layer.kernel**2 + layer.outputs)
        count += layer.native * (basis - layer.weights)
    return count


def reparam_count(instance: Instance, method: SharingMethod | None) -> int:
    """Count the branches of `rep1x1` beside each layer of the published network: depthwise or full 3x3 convolutions."""
    count = native_count(instance, None)
    for layer in instance.layers:
        channels = layer.inputs * layer.groups
        if (layer.bank is None and not layer.unbanked) or layer.kernel != 3:
            continue
        if layer.groups == channels == layer.outputs:
            count += layer.native * (layer.outputs + layer.outputs * layer.bias)
        elif layer.groups == 1:
            point = channels * layer.outputs + layer.outputs * layer.bias
            expand = channels * 2 * channels + 2 * channels * layer.bias
            reduce = 2 * channels * layer.outputs * 9 + layer.outputs * layer.bias
            count += layer.native * (point + expand + reduce)
    return count


def bottleneck_count(instance: Instance, method: SharingMethod | None) -> int:
    """Count the branches in the place of each banked 3x3 convolution; each has as many outputs as inputs."""
    assert isinstance(method, Reparam)
    count = native_count(instance, None)
    for layer in banked(instance):
        channels, bias = layer.inputs, layer.bias
        assert (layer.kernel, layer.groups, layer.outputs) == (3, 1, channels)
        inner = 2 * channels
        branches = channels * inner + inner * inner * 9 + inner * channels + (2 * inner + channels) * bias
        branches += {
            "rrrb": 0,
            "repmbconv": inner + 2 * inner * max(1, inner // 4),  # a vector and two matrices
            "span": channels * channels + channels * bias,
        }[method.kind]
        count += layer.native * (branches - layer.weights - channels * bias)
    return count


PUBLISHED_SHAPES = st.sampled_from(["CxCx1x1", "Cx1xKxK"])
# Name -> what a method is drawn from (None: the published network), and how many numbers it leaves.
METHODS: dict[
    str,
    tuple[st.SearchStrategy[SharingMethod | None], Callable[[Instance, SharingMethod | None], int]],
] = {
    "native": (st.none(), native_count),
    "dense": (st.builds(Dense), dense_count),
    "recursive": (st.builds(Recursive), recursive_count),
    "ps": (
        st.builds(
            PS,
            # The smallest bank has two tiles, and one filter must be left.
            ratio=st.fractions(min_value=Fraction(1, 4), max_value=1),
            shape=PUBLISHED_SHAPES,
            init=st.sampled_from([None, "normal", "svd"]),
            bias=st.sampled_from([None, "own", "per_scale", "tied", "none"]),
        ),
        ps_count,
    ),
    "dsconv": (st.builds(DSConv), dsconv_count),
    "basis": (st.builds(Basis, num_basis=st.integers(1, 2), init=st.sampled_from([None, "svd"])), basis_count),
    "reparam": (st.builds(Reparam, kind=st.just("rep1x1")), reparam_count),
    "bottleneck": (st.builds(Reparam, kind=st.sampled_from(["repmbconv", "rrrb", "span"])), bottleneck_count),
}
# SRFBN's convolutions change the size of features or their number, and no kind of branches takes such. Bottlenecks
# replace 3x3 convolutions of as many outputs as inputs; two networks that have no other sites will do.
PAIRS = [
    (backbone, method)
    for backbone in BACKBONES
    for method in METHODS
    if (backbone, method) != ("srfbn", "reparam") and (method != "bottleneck" or backbone in {"edsr", "plainusr"})
]
