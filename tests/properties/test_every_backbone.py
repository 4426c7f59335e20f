"""Every backbone x every method, on small random instances: the conformance kit's laws and an independent count.

A backbone is described here a second time, as a list of its layers; a method by how many numbers it leaves of them. To
add a backbone or a method, add a line to `BACKBONES` or `METHODS`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srbench.models.backbone import Backbone
from srbench.models.backbones.edsr import EDSR
from srbench.models.counting import count_parameters, count_stored
from srbench.models.methods.dense import Dense
from srbench.models.methods.recursive import Recursive
from srbench.models.methods.sharing_method import SharingMethod
from srbench.models.surgery import apply_method, layer_at
from srbench.testing import CHECKS, CheckSkipped, Example
from srbench.testing.checks import Subject
from srbench_ps.basis import Basis
from srbench_ps.carn import CARN
from srbench_ps.drrn import DRRN
from srbench_ps.dsconv import DSConv
from srbench_ps.method import PS
from srbench_ps.rcan import RCAN
from srbench_ps.srfbn import SRFBN
from srbench_ps.tiling import canonical_kernel, to_tiles
from srbench_zoo.bsrn import BSRN
from srbench_zoo.dipnet import DIPNet
from srbench_zoo.drcn import DRCN
from srbench_zoo.ecbsr_rgb import ECBSRColour
from srbench_zoo.efdn import EFDN
from srbench_zoo.etds import ETDS
from srbench_zoo.fmen import FMEN
from srbench_zoo.fsrcnn import FSRCNN
from srbench_zoo.imdn import IMDN
from srbench_zoo.lkdn import LKDN
from srbench_zoo.lmlt import LMLT
from srbench_zoo.mdsr import MDSR
from srbench_zoo.pan import PAN
from srbench_zoo.plainusr import PlainUSR
from srbench_zoo.reparam.method import Reparam
from srbench_zoo.rfdn import RFDN
from srbench_zoo.rlfn import RLFN
from srbench_zoo.safmn import SAFMN, SAFMNPlusPlus
from srbench_zoo.smfanet import SMFANet
from srbench_zoo.span import ESPAN, SPAN, SPANF
from srbench_zoo.srvgg import SRVGG
from srbench_zoo.swinir import SwinIR
from srbench_zoo.vdsr import VDSR

EXAMPLES = 5


@dataclass(frozen=True)
class Layer:
    """Convolutions of one shape: how large each is, how often it is used, how many of them differ.

    Attributes:
        inputs: Input channels of each group.
        outputs: Output channels.
        kernel: Height and width of the kernel.
        uses: Uses in the unrolled network.
        native: Different layers in the published network.
        recursive: Different layers in the recursive form.
        bias: Whether it has one.
        companion: Numbers of the activation that belongs to it.
        bank: Which bias a layer keeps whose weight comes from a bank; None for a layer outside them. All convolutions
            of one description share a bank.
        groups: Of the convolution.
        unbanked: Whether it is a sharing site in no bank, which `reparam` acts on.
    """

    inputs: int
    outputs: int
    kernel: int
    uses: int = 1
    native: int = 1
    recursive: int = 1
    bias: bool = True
    companion: int = 0
    bank: str | None = None
    groups: int = 1
    unbanked: bool = False

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs * self.kernel**2

    @property
    def numbers(self) -> int:
        return self.weights + self.outputs * self.bias + self.companion


@dataclass(frozen=True)
class Instance:
    """A small network: how it is built, and its layers (the rest counts as layers too, or as `other` numbers)."""

    build: Callable[[], Backbone]
    scales: tuple[int, ...]
    layers: list[Layer]
    other: int = 0


def upsampler(num_feat: int, scale: int, groups: int = 1) -> list[Layer]:
    factors = {2: (2,), 3: (3,), 4: (2, 2)}[scale]
    return [Layer(num_feat // groups, num_feat * factor**2, 3) for factor in factors]


def entry_and_exit(num_feat: int) -> list[Layer]:
    return [Layer(3, num_feat, 3), Layer(num_feat, 3, 3)]


def each(number: int) -> tuple[int, int, int]:
    """Return the uses and different layers of `number` layers that are never one."""
    return number, number, number


def blueprint(num_in: int, num_out: int, number: int) -> list[Layer]:
    return [Layer(num_in, num_out, 1, *each(number), bias=False), Layer(1, num_out, 3, *each(number))]


def spatial_attention(num_feat: int, num_inner: int, number: int, convs: list[Layer]) -> list[Layer]:
    pointwise = [(num_feat, num_inner), (num_inner, num_inner), (num_inner, num_feat)]
    return [*(Layer(num_in, num_out, 1, *each(number)) for num_in, num_out in pointwise), *convs]


@st.composite
def edsr(draw: st.DrawFn) -> Instance:
    feat, blocks, scale = draw(st.sampled_from([4, 8])), draw(st.integers(1, 3)), draw(st.sampled_from([2, 3, 4]))
    body = Layer(feat, feat, 3, uses=2 * blocks, native=2 * blocks, recursive=2, bank="own")
    layers = [*entry_and_exit(feat), body, Layer(feat, feat, 3), *upsampler(feat, scale)]
    return Instance(lambda: EDSR((scale,), feat, blocks), (scale,), layers)


@st.composite
def rcan(draw: st.DrawFn) -> Instance:
    feat, groups, blocks = draw(st.sampled_from([4, 8])), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    scale = draw(st.sampled_from([2, 3, 4]))
    number = groups * blocks
    attention = [
        Layer(feat, feat // 2, 1, uses=number, native=number, recursive=number),
        Layer(feat // 2, feat, 1, uses=number, native=number, recursive=number),
    ]
    body = Layer(feat, feat, 3, uses=2 * number, native=2 * number, recursive=2, bank="own")
    ends = Layer(feat, feat, 3, uses=groups + 1, native=groups + 1, recursive=groups + 1)
    layers = [*entry_and_exit(feat), body, *attention, ends, *upsampler(feat, scale)]
    return Instance(lambda: RCAN((scale,), feat, groups, blocks, squeeze_factor=2), (scale,), layers)


@st.composite
def drrn(draw: st.DrawFn) -> Instance:
    feat, units = draw(st.sampled_from([4, 8])), draw(st.integers(1, 3))
    scales = draw(st.sampled_from([(2,), (2, 3, 4), (4, 3)]))
    body = Layer(feat, feat, 3, uses=2 * units, native=2, recursive=2, bias=False, bank="own")
    layers = [Layer(1, feat, 3), body, Layer(feat, 1, 3)]
    return Instance(lambda: DRRN(scales, num_unit=units, num_feat=feat), scales, layers)


@st.composite
def carn(draw: st.DrawFn, efficient: bool) -> Instance:
    feat, blocks, units = draw(st.sampled_from([4, 8])), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    scales = draw(st.sampled_from([(2,), (2, 3, 4), (4, 3)]))
    groups = draw(st.sampled_from([1, 2, 4])) if efficient else None
    number = blocks * units
    native = blocks if efficient else number
    layers = [
        *entry_and_exit(feat),
        Layer(feat // (groups or 1), feat, 3, 2 * number, 2 * native, 2 * blocks, bank="per_scale", groups=groups or 1),
        *(Layer(feat * (unit + 2), feat, 1, blocks, blocks, blocks) for unit in range(units)),
        *(Layer(feat * (block + 2), feat, 1) for block in range(blocks)),
        *(layer for scale in scales for layer in upsampler(feat, scale, groups or 1)),
    ]
    if efficient:
        layers.append(Layer(feat, feat, 1, number, blocks, blocks))
    return Instance(lambda: CARN(scales, feat, blocks, units, groups), scales, layers, other=2 * 12)


@st.composite
def srfbn(draw: st.DrawFn) -> Instance:
    feat, steps, groups = draw(st.sampled_from([2, 4])), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    scale = draw(st.sampled_from([2, 3, 4]))
    kernel = scale + 4
    recurring = [
        Layer(2 * feat, feat, 1, steps, companion=1),
        *[Layer(feat * parts, feat, 1, steps, companion=1) for parts in range(2, groups + 1) for _ in ("up", "down")],
        Layer(feat, feat, kernel, steps * groups, groups, groups, companion=1),
        Layer(feat, feat, kernel, steps * groups, groups, groups, companion=1, bank="none"),
        Layer(feat * groups, feat, 1, steps, companion=1),
        Layer(feat, feat, kernel, steps, companion=1),
        Layer(feat, 3, 3, steps),
    ]
    layers = [Layer(3, 4 * feat, 3, companion=1), Layer(4 * feat, feat, 1, companion=1), *recurring]
    return Instance(lambda: SRFBN((scale,), feat, steps, groups), (scale,), layers, other=2 * 12)


@st.composite
def imdn(draw: st.DrawFn) -> Instance:
    kept, blocks, scale = draw(st.integers(2, 3)), draw(st.integers(1, 3)), draw(st.sampled_from([2, 3, 4]))
    feat, reduction = 4 * kept, draw(st.sampled_from([1, 2]))
    layers = [
        Layer(3, feat, 3),
        Layer(feat, feat, 3, blocks, blocks, 1, bank="own"),
        Layer(3 * kept, feat, 3, 2 * blocks, 2 * blocks, 2, bank="own"),
        Layer(3 * kept, kept, 3, blocks, blocks, 1, bank="own"),
        Layer(feat, feat // reduction, 1, blocks, blocks, blocks),
        Layer(feat // reduction, feat, 1, blocks, blocks, blocks),
        Layer(feat, feat, 1, blocks, blocks, blocks),
        Layer(blocks * feat, feat, 1),
        Layer(feat, feat, 3),
        Layer(feat, 3 * scale**2, 3),
    ]
    return Instance(lambda: IMDN((scale,), feat, blocks, reduction), (scale,), layers)


@st.composite
def rlfn(draw: st.DrawFn) -> Instance:
    feat, blocks, inner = draw(st.sampled_from([4, 6])), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    scale = draw(st.sampled_from([2, 3, 4]))
    layers = [
        Layer(3, feat, 3),
        Layer(feat, feat, 3, 3 * blocks, 3 * blocks, 3, bank="own"),
        Layer(feat, feat, 1, blocks, blocks, blocks),
        *spatial_attention(feat, inner, blocks, [Layer(inner, inner, 3, *each(2 * blocks))]),
        Layer(feat, feat, 3),
        Layer(feat, 3 * scale**2, 3),
    ]
    return Instance(lambda: RLFN((scale,), feat, blocks, inner), (scale,), layers)


@st.composite
def bsrn(draw: st.DrawFn) -> Instance:
    feat, blocks, inner = draw(st.sampled_from([4, 6])), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    scale, reduction = draw(st.sampled_from([2, 3, 4])), draw(st.sampled_from([1, 2]))
    layers = [
        *blueprint(12, feat, 1),
        Layer(feat, feat // 2, 1, *each(3 * blocks)),
        Layer(feat, feat, 1, 3 * blocks, 3 * blocks, 3, bias=False, bank="own"),
        Layer(1, feat, 3, 3 * blocks, 3 * blocks, 3, bank="own", groups=feat),
        *blueprint(feat, feat // 2, blocks),
        Layer(2 * feat, feat, 1, *each(blocks)),
        *spatial_attention(feat, inner, blocks, blueprint(inner, inner, 4 * blocks)),
        Layer(feat, feat // reduction, 1, *each(blocks)),
        Layer(feat // reduction, feat, 1, *each(blocks)),
        Layer(blocks * feat, feat, 1),
        *blueprint(feat, feat, 1),
        Layer(feat, 3 * scale**2, 3),
    ]
    return Instance(lambda: BSRN((scale,), feat, blocks, inner, reduction), (scale,), layers)


@st.composite
def pan(draw: st.DrawFn) -> Instance:
    half, blocks, up = draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    scale = draw(st.sampled_from([2, 3, 4]))
    feat, stages = 2 * half, 2 if scale == 4 else 1
    layers = [
        Layer(3, feat, 3),
        Layer(half, half, 3, 3 * blocks, 3 * blocks, 3, bias=False, bank="own"),
        Layer(feat, half, 1, *each(2 * blocks), bias=False),
        Layer(half, half, 1, *each(blocks)),
        Layer(feat, feat, 1, *each(blocks), bias=False),
        Layer(feat, feat, 3),
        Layer(feat, up, 3),
        Layer(up, up, 3, *each(stages - 1)),
        Layer(up, up, 1, *each(stages)),
        Layer(up, up, 3, *each(stages)),
        Layer(up, 3, 3),
    ]
    return Instance(lambda: PAN((scale,), feat, blocks, up), (scale,), layers)


@st.composite
def fsrcnn(draw: st.DrawFn) -> Instance:
    feat, inner, maps = draw(st.integers(2, 4)), draw(st.integers(2, 4)), draw(st.integers(1, 3))
    scale = draw(st.sampled_from([2, 3, 4]))
    layers = [
        Layer(1, feat, 5, companion=feat),
        Layer(feat, inner, 1, companion=inner),
        Layer(inner, inner, 3, maps, maps, 1, companion=inner, bank="own"),
        Layer(inner, feat, 1, companion=feat),
        Layer(feat, 1, 9),
    ]
    return Instance(lambda: FSRCNN((scale,), feat, inner, maps), (scale,), layers)


@st.composite
def srvgg(draw: st.DrawFn) -> Instance:
    feat, convs, scale = draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(st.sampled_from([2, 3, 4]))
    body = Layer(feat, feat, 3, convs, convs, 1, companion=feat, bank="own")
    layers = [Layer(3, feat, 3, companion=feat), body, Layer(feat, 3 * scale**2, 3)]
    return Instance(lambda: SRVGG((scale,), feat, convs), (scale,), layers)


@st.composite
def span(draw: st.DrawFn) -> Instance:
    feat, blocks, scale = draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(st.sampled_from([2, 3, 4]))
    body = Layer(feat, feat, 3, 3 * blocks, 3 * blocks, 3, bank="own")
    layers = [Layer(3, feat, 3), body, Layer(feat, feat, 3), Layer(4 * feat, feat, 1), Layer(feat, 3 * scale**2, 3)]
    return Instance(lambda: SPAN((scale,), feat, blocks), (scale,), layers)


@st.composite
def spanf(draw: st.DrawFn) -> Instance:
    feat, blocks, scale = draw(st.integers(2, 4)), draw(st.integers(2, 3)), draw(st.sampled_from([2, 3, 4]))
    layers = [
        Layer(1, 3 * scale**2, 3, bias=False),
        Layer(3, feat, 3),
        Layer(feat, feat, 3, *each(2)),
        Layer(feat, feat, 3, 3 * (blocks - 1), 3 * (blocks - 1), 3, bank="own"),
        Layer(2 * feat + 3 * scale**2, feat, 1),
        Layer(feat, 3 * scale**2, 3),
    ]
    return Instance(lambda: SPANF((scale,), feat, blocks), (scale,), layers)


@st.composite
def espan(draw: st.DrawFn) -> Instance:
    feat, blocks, scale = draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(st.sampled_from([2, 3, 4]))
    layers = [
        Layer(3, feat, 9),
        Layer(feat, feat, 3, 3 * blocks, 3 * blocks, 3, bank="own"),
        Layer(feat, feat, 3, *each(3)),
        Layer(4 * feat, feat, 1),
        Layer(feat, 3 * scale**2, 3),
    ]
    return Instance(lambda: ESPAN((scale,), feat, blocks), (scale,), layers)


@st.composite
def plainusr(draw: st.DrawFn) -> Instance:
    middle, convs, scale = draw(st.integers(2, 3)), draw(st.integers(1, 3)), draw(st.sampled_from([2, 3, 4]))
    inner = draw(st.none() | st.integers(1, 2))
    # Widths that grow from the middle block to either end: the blocks on both sides of it share banks.
    outer = [middle + 1] if inner is None else [middle + 1, middle + 3]
    widths = (*reversed(outer), middle, *outer)
    layers = [
        Layer(3, widths[0] + 3, 3),
        *(Layer(width, width, 3, 2 * convs, 2 * convs, convs, bank="own") for width in outer),
        Layer(middle, middle, 3, *each(convs), bank="own"),
        Layer(widths[0] + 3, 3 * scale**2, 3),
    ]
    if inner is None:
        layers.append(Layer(middle, middle, 3))
    else:
        for width in widths:
            layers += [Layer(width, inner, 1), Layer(inner, inner, 3), Layer(inner, width, 3)]
    return Instance(lambda: PlainUSR((scale,), widths, convs, inner), (scale,), layers)


@st.composite
def efdn(draw: st.DrawFn) -> Instance:
    half, inner, scale = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.sampled_from([2, 3, 4]))
    feat = 2 * half
    layers = [
        Layer(3, feat, 3),
        Layer(feat, feat, 1, *each(4), companion=feat),
        Layer(feat, feat, 3, 8, 8, 2, companion=feat, bank="own"),
        Layer(feat, half, 1, *each(16)),
        Layer(2 * feat, feat, 1, *each(4 + 3)),
        *spatial_attention(feat, inner, 4, [Layer(inner, inner, 3, *each(4 * 4))]),
        Layer(feat, 3 * scale**2, 3),
    ]
    return Instance(lambda: EFDN((scale,), feat, inner), (scale,), layers)


@st.composite
def rfdn(draw: st.DrawFn) -> Instance:
    half, blocks, inner = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    feat, scale = 2 * half, draw(st.sampled_from([2, 3, 4]))
    layers = [
        Layer(3, feat, 3),
        Layer(feat, half, 1, *each(3 * blocks)),
        Layer(feat, feat, 3, 3 * blocks, 3 * blocks, 3, bank="own"),
        Layer(feat, half, 3, *each(blocks)),
        Layer(2 * feat, feat, 1, *each(blocks)),
        *spatial_attention(feat, inner, blocks, [Layer(inner, inner, 3, *each(4 * blocks))]),
        Layer(blocks * feat, feat, 1),
        Layer(feat, feat, 3),
        Layer(feat, 3 * scale**2, 3),
    ]
    return Instance(lambda: RFDN((scale,), feat, blocks, inner), (scale,), layers)


@st.composite
def fmen(draw: st.DrawFn) -> Instance:
    feat, blocks, inner, warmup = (draw(st.integers(low, 3)) for low in (2, 1, 1, 1))
    scale = draw(st.sampled_from([2, 3, 4]))
    layers = [
        Layer(3, feat, 3),
        Layer(feat, feat, 3),
        *(Layer(*shape, 3) for shape in ((feat, warmup), (warmup, feat))),
        Layer(warmup, warmup, 3, *each(4)),
        Layer(feat, feat, 3, 2 * blocks, 2 * blocks, 2, bank="own"),
        *(Layer(*shape, 3, *each(blocks)) for shape in ((feat, inner), (inner, feat))),
        Layer(inner, inner, 3, *each(2 * blocks)),
        Layer(feat, feat, 3),
        Layer(feat, 3 * scale**2, 3),
    ]
    return Instance(lambda: FMEN((scale,), feat, blocks, inner, warmup), (scale,), layers)


@st.composite
def dipnet(draw: st.DrawFn) -> Instance:
    feat, middle, blocks, inner = (draw(st.integers(low, 3)) for low in (2, 2, 1, 1))
    scale = draw(st.sampled_from([2, 3, 4]))
    banked_shapes = ((feat, middle), (middle, middle), (middle, feat))
    layers = [
        Layer(3, feat, 3, bias=False),
        *(Layer(*shape, 3, blocks, blocks, 1, bias=False, bank="own") for shape in banked_shapes),
        Layer(feat, feat, 1, *each(blocks), bias=False),
        *spatial_attention(feat, inner, blocks, [Layer(inner, inner, 3, *each(2 * blocks))]),
        Layer(feat, feat, 3, bias=False),
        Layer(feat, 3 * scale**2, 3, bias=False),
    ]
    return Instance(lambda: DIPNet((scale,), feat, middle, blocks, inner), (scale,), layers)


@st.composite
def safmn(draw: st.DrawFn) -> Instance:
    quarter, blocks, scale = draw(st.integers(1, 2)), draw(st.integers(2, 3)), draw(st.sampled_from([2, 3, 4]))
    feat = 4 * quarter
    layers = [
        Layer(3, feat, 3),
        Layer(1, quarter, 3, *each(4 * blocks), bias=False),
        Layer(feat, feat, 1, *each(blocks), bias=False),
        Layer(feat, 2 * feat, 3, blocks, blocks, 1, bias=False, bank="own"),
        Layer(2 * feat, feat, 1, blocks, blocks, 1, bias=False, bank="own"),
        Layer(feat, 3 * scale**2, 3),
    ]
    return Instance(lambda: SAFMN((scale,), feat, blocks), (scale,), layers, other=2 * feat)


@st.composite
def safmn_plus_plus(draw: st.DrawFn) -> Instance:
    feat, blocks, scale = 6, draw(st.integers(2, 3)), draw(st.sampled_from([2, 3, 4]))
    layers = [
        Layer(3, feat, 3, bias=False),
        Layer(feat, feat, 3, blocks, blocks, 1, bias=False, bank="own"),
        Layer(1, feat // 3, 3, *each(blocks), bias=False),
        Layer(feat, feat, 1, *each(blocks), bias=False),
        Layer(feat, 3 * feat // 2, 3, blocks, blocks, 1, bias=False, bank="own"),
        Layer(3 * feat // 2, feat, 1, blocks, blocks, 1, bias=False, bank="own"),
        Layer(feat, 3 * scale**2, 3, bias=False),
    ]
    return Instance(lambda: SAFMNPlusPlus((scale,), feat, blocks), (scale,), layers)


@st.composite
def lmlt(draw: st.DrawFn) -> Instance:
    quarter, blocks, scale = draw(st.integers(1, 2)), 2, draw(st.sampled_from([2, 3, 4]))
    feat = 4 * quarter
    layers = [
        Layer(3, feat, 3),
        Layer(quarter, 3 * quarter, 1, *each(4 * blocks)),
        Layer(1, quarter, 3, *each(4 * blocks)),
        Layer(quarter, quarter, 1, *each(4 * blocks)),
        Layer(feat, feat, 1, *each(blocks)),
        Layer(feat, 2 * feat, 3, blocks, blocks, 1, bank="own"),
        Layer(2 * feat, feat, 1, blocks, blocks, 1, bank="own"),
        Layer(feat, 3 * scale**2, 3),
    ]
    # Normalisations: two in each block, with a weight and a bias for each channel.
    return Instance(lambda: LMLT((scale,), feat, blocks), (scale,), layers, other=4 * feat * blocks)


@st.composite
def vdsr(draw: st.DrawFn) -> Instance:
    feat, convs = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    scales = draw(st.sampled_from([(2,), (2, 3, 4), (4, 3)]))
    layers = [Layer(1, feat, 3), Layer(feat, feat, 3, convs, convs, 1, bank="own"), Layer(feat, 1, 3)]
    return Instance(lambda: VDSR(scales, convs + 2, feat), scales, layers)


@st.composite
def drcn(draw: st.DrawFn) -> Instance:
    feat, number = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    scales = draw(st.sampled_from([(2,), (2, 3, 4), (4, 3)]))
    layers = [
        Layer(1, feat, 3),
        Layer(feat, feat, 3),
        Layer(feat, feat, 3, number, bank="own"),
        Layer(feat, feat, 3, number, unbanked=True),
        Layer(feat, 1, 3, number, unbanked=True),
    ]
    return Instance(lambda: DRCN(scales, number, feat), scales, layers, other=number)


@st.composite
def mdsr(draw: st.DrawFn) -> Instance:
    feat, blocks = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    scales = draw(st.sampled_from([(2,), (2, 3, 4), (4, 3)]))
    layers = [
        *entry_and_exit(feat),
        Layer(feat, feat, 5, *each(4 * len(scales))),
        Layer(feat, feat, 3, 2 * blocks, 2 * blocks, 2, bank="own"),
        Layer(feat, feat, 3),
        *(layer for scale in scales for layer in upsampler(feat, scale)),
    ]
    return Instance(lambda: MDSR(scales, feat, blocks), scales, layers, other=2 * 12)


@st.composite
def swinir(draw: st.DrawFn) -> Instance:
    heads, depths = draw(st.integers(1, 2)), draw(st.sampled_from([(1,), (1, 2)]))
    scale, window = draw(st.sampled_from([2, 3, 4])), draw(st.sampled_from([2, 4]))
    feat, groups, layers_in_all = 4, len(depths), sum(depths)
    layers = [
        Layer(3, feat, 3),
        Layer(feat, 3 * feat, 1, *each(layers_in_all)),
        Layer(feat, feat, 1, *each(layers_in_all)),
        Layer(feat, 2 * feat, 1, *each(layers_in_all)),
        Layer(2 * feat, feat, 1, *each(layers_in_all)),
        Layer(feat, feat, 3, groups, groups, 1, bank="own"),
        Layer(feat, feat, 3),
        Layer(feat, 3 * scale**2, 3),
    ]
    # Normalisations: two in each layer, one at either end. Biases of the attention: one for each distance and head.
    other = 2 * feat * (2 * layers_in_all + 2) + layers_in_all * heads * (2 * window - 1) ** 2
    return Instance(lambda: SwinIR((scale,), feat, depths, heads, window), (scale,), layers, other)


@st.composite
def smfanet(draw: st.DrawFn) -> Instance:
    feat, blocks, scale = draw(st.sampled_from([4, 6])), draw(st.integers(2, 3)), draw(st.sampled_from([2, 3, 4]))
    once, twice = (blocks, blocks, 1), (2 * blocks, 2 * blocks, 2)
    layers = [
        Layer(3, feat, 3),
        Layer(feat, 2 * feat, 1, *twice, bank="own"),
        Layer(2 * feat, feat, 1, *twice, bank="own"),
        Layer(feat, feat, 1, *twice, bank="own"),
        Layer(2 * feat, 2 * feat, 1, *once, bank="own"),
        Layer(feat // 2, feat // 2, 3, *once, bank="own"),
        Layer(1, 2 * feat, 3, *once, bank="own", groups=feat),
        Layer(1, feat, 3, *once, bank="own", groups=feat),
        Layer(feat, 3 * scale**2, 3),
    ]
    # The scales of the context and of the variance.
    return Instance(lambda: SMFANet((scale,), feat, blocks), (scale,), layers, other=2 * feat * blocks)


@st.composite
def lkdn(draw: st.DrawFn) -> Instance:
    feat, blocks, scale = draw(st.sampled_from([4, 6])), draw(st.integers(1, 2)), draw(st.sampled_from([2, 3, 4]))
    layers = [
        *blueprint(12, feat, 1),
        Layer(feat, feat // 2, 1, *each(3 * blocks)),
        Layer(feat, feat, 1, 3 * blocks, 3 * blocks, 3, bias=False, bank="own"),
        Layer(1, feat, 3, 3 * blocks, 3 * blocks, 3, bank="own", groups=feat),
        *blueprint(feat, feat // 2, blocks),
        Layer(2 * feat, feat, 1, *each(blocks)),
        Layer(feat, feat, 1, *each(2 * blocks)),
        Layer(1, feat, 5, *each(2 * blocks), groups=feat),
        Layer(blocks * feat, feat, 1),
        *blueprint(feat, feat, 1),
        Layer(feat, 3 * scale**2, 3, unbanked=True),
    ]
    # A normalisation in each block.
    return Instance(lambda: LKDN((scale,), feat, blocks), (scale,), layers, other=2 * feat * blocks)


@st.composite
def etds(draw: st.DrawFn) -> Instance:
    feat, convs, scale = draw(st.integers(4, 6)), draw(st.integers(1, 3)), draw(st.sampled_from([2, 3, 4]))
    slopes = draw(st.booleans())
    padded = {2: 12, 3: 28, 4: 48}[scale]
    layers = [
        Layer(3, feat, 3, companion=feat * slopes, unbanked=True),
        Layer(feat, feat, 3, convs, convs, 1, companion=feat * slopes, bank="own"),
        Layer(feat, padded, 3, unbanked=True),
        Layer(padded, padded, 1),
    ]
    return Instance(lambda: ETDS((scale,), convs, feat, slopes), (scale,), layers)


@st.composite
def ecbsr_colour(draw: st.DrawFn) -> Instance:
    feat, convs, scale = draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(st.sampled_from([2, 3, 4]))
    layers = [
        Layer(3, feat, 3, companion=feat, unbanked=True),
        Layer(feat, feat, 3, convs, convs, 1, companion=feat, bank="own"),
        Layer(feat, 3 * scale**2, 3, unbanked=True),
    ]
    return Instance(lambda: ECBSRColour((scale,), convs, feat), (scale,), layers)


BACKBONES = {
    "edsr": edsr(),
    "rcan": rcan(),
    "drrn": drrn(),
    "carn": carn(efficient=False),
    "carn_m": carn(efficient=True),
    "srfbn": srfbn(),
    "imdn": imdn(),
    "rlfn": rlfn(),
    "bsrn": bsrn(),
    "pan": pan(),
    "span": span(),
    "spanf": spanf(),
    "espan": espan(),
    "plainusr": plainusr(),
    "efdn": efdn(),
    "rfdn": rfdn(),
    "fmen": fmen(),
    "dipnet": dipnet(),
    "safmn": safmn(),
    "safmn_plus_plus": safmn_plus_plus(),
    "lmlt": lmlt(),
    "fsrcnn": fsrcnn(),
    "srvgg": srvgg(),
    "vdsr": vdsr(),
    "drcn": drcn(),
    "mdsr": mdsr(),
    "swinir": swinir(),
    "smfanet": smfanet(),
    "lkdn": lkdn(),
    "etds": etds(),
    "ecbsr_colour": ecbsr_colour(),
}


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
}
# SRFBN's convolutions change the size of features or their number, and no kind of branches takes such.
PAIRS = [
    (backbone, method) for backbone in BACKBONES for method in METHODS if (backbone, method) != ("srfbn", "reparam")
]


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
