"""Small random instances of the networks since 2022, each with its layers."""

from __future__ import annotations

from hypothesis import strategies as st
from instances.layers import Instance, Layer, blueprint, each

from srbench_zoo.ecbsr_rgb import ECBSRColour
from srbench_zoo.etds import ETDS
from srbench_zoo.lkdn import LKDN
from srbench_zoo.lmlt import LMLT
from srbench_zoo.plainusr import PlainUSR
from srbench_zoo.safmn import SAFMN, SAFMNPlusPlus
from srbench_zoo.smfanet import SMFANet
from srbench_zoo.span import ESPAN, SPAN, SPANF


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
