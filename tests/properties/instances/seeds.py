"""Small random instances of the networks of the seed papers, each with its layers."""

from __future__ import annotations

from hypothesis import strategies as st
from instances.layers import Instance, Layer, each, entry_and_exit, upsampler

from srbench.models.backbones.edsr import EDSR
from srbench_ps.carn import CARN
from srbench_ps.drrn import DRRN
from srbench_ps.rcan import RCAN
from srbench_ps.srfbn import SRFBN
from srbench_zoo.drcn import DRCN
from srbench_zoo.mdsr import MDSR
from srbench_zoo.vdsr import VDSR


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
