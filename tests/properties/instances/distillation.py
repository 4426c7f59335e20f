"""Small random instances of distillation and attention networks, each with its layers."""

from __future__ import annotations

from hypothesis import strategies as st
from instances.layers import Instance, Layer, blueprint, each, spatial_attention

from srbench_zoo.bsrn import BSRN
from srbench_zoo.dipnet import DIPNet
from srbench_zoo.efdn import EFDN
from srbench_zoo.fmen import FMEN
from srbench_zoo.fsrcnn import FSRCNN
from srbench_zoo.imdn import IMDN
from srbench_zoo.pan import PAN
from srbench_zoo.rfdn import RFDN
from srbench_zoo.rlfn import RLFN
from srbench_zoo.srvgg import SRVGG
from srbench_zoo.swinir import SwinIR


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
