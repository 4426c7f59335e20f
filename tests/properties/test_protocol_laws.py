"""Protocols decide what they claim: every field of a protocol changes some score, or is refused."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from srbench.errors import ConfigError, SRBenchError
from srbench.images.color import FULL_RANGE, rgb_to_y, round_luma
from srbench.images.downsample import LRKernel, LRPadding
from srbench.images.resize import Rounding, imresize
from srbench.metrics.comparison import Comparison
from srbench.metrics.psnr import PSNR, PSNRRGB, PSNRY
from srbench.metrics.psnr import psnr as psnr_of
from srbench.metrics.ssim import SSIM, SSIMRGB, SSIMY
from srbench.metrics.ssim import ssim as ssim_of
from srbench.protocols import Channels, Color, Protocol, Quantisation, Region, Size

# Sizes that no scale divides, so that every cut and border matters.
HR = imresize(np.random.default_rng(5).integers(0, 256, (12, 14, 3), dtype=np.uint8), 4)[:47, :53]
SCALES = (2, 3, 4)
VALUES: dict[str, list[Any]] = {
    "lr_channels": list(get_args(Channels)),
    "lr_kernel": list(get_args(LRKernel)),
    "lr_padding": list(get_args(LRPadding)),
    "lr_rounding": list(get_args(Rounding)),
    "hr_crop": ["scale", 4, 6, 12, 24],
    "quantisation": list(get_args(Quantisation)),
    "color": list(get_args(Color)),
    "crop_border": ["scale", 0, 1, 2, 3],
    "data_range": [219, 235, 255],
    "ssim_window": [3, 5, 7, 11],
    "ssim_sigma": [0.8, 1.5, 2.0],
    "ssim_region": list(get_args(Region)),
    "sr_size": list(get_args(Size)),
}


@st.composite
def protocols(draw: st.DrawFn) -> Protocol:
    """Draw a protocol whose choices do not contradict each other."""
    values = {field: draw(st.sampled_from(known), label=field) for field, known in VALUES.items()}
    if values["lr_kernel"] == "matlab-bicubic":
        values["lr_padding"] = draw(st.sampled_from(["symmetric", "replicate"]))
    else:
        values |= {"lr_padding": "none", "lr_rounding": "per_pass"}
    if values["lr_channels"] == "y":
        values["color"] = "y-bt601-rounded"
    return Protocol("drawn", **values)


def outcome(protocol: Protocol) -> list[object]:
    """Return what bicubic interpolation scores at each scale, and at another size than asked for; or what is raised."""
    found: list[object] = []
    for scale in SCALES:
        for short in (0, 1):
            try:
                reference = protocol.reference(HR, scale)
                sr = imresize(protocol.lr_image(HR, scale), scale, rounding="none") / 255
                pixels = protocol.quantise(protocol.fitted(sr[short:], reference.shape, scale))
                comparison = Comparison.under(protocol, pixels, reference, scale)
                found.append((PSNR()(comparison), SSIM()(comparison)))
            except SRBenchError as error:
                found.append(f"{type(error).__name__}: {error}")
    return found


@given(st.data())
def test_changing_a_field_changes_a_score_or_is_refused(data: st.DataObject) -> None:
    """Law: for every field and every other legal value of it, some score differs, or a sentence says why not."""
    base = data.draw(protocols())
    field = data.draw(st.sampled_from(sorted(VALUES)))
    value = data.draw(st.sampled_from([value for value in VALUES[field] if value != getattr(base, field)]))
    try:
        changed = dataclasses.replace(base, **{field: value})
    except ConfigError:
        return
    assert outcome(changed) != outcome(base), f"{field}: {getattr(base, field)} -> {value} changed nothing"


def test_the_law_speaks_of_every_field() -> None:
    assert {field.name for field in dataclasses.fields(Protocol)} == {"name", *VALUES}


def prepared(protocol: Protocol, seed: int) -> tuple[Comparison, npt.NDArray[Any], npt.NDArray[Any]]:
    rng = np.random.default_rng(seed)
    sr, hr = rng.integers(0, 256, (2, 40, 45, 3), dtype=np.uint8)
    border = protocol.crop(2)
    inside = (slice(border, 40 - border), slice(border, 45 - border))
    return Comparison.under(protocol, sr, hr, 2), sr[inside], hr[inside]


def test_a_suffix_states_the_color_and_no_suffix_leaves_it_to_the_protocol(seed: int) -> None:
    """Law: `psnr` is `psnr_rgb` where RGB is compared, else `psnr_y`; `_y` and `_rgb` do not depend on that."""
    pairs = ((PSNR(), PSNRY(), PSNRRGB()), (SSIM(), SSIMY(), SSIMRGB()))
    luma, rgb = (prepared(Protocol("p", color=color), seed)[0] for color in ("y-bt601", "rgb"))
    for generic, of_luma, of_rgb in pairs:
        assert generic(luma) == of_luma(luma) == of_luma(rgb)
        assert generic(rgb) == of_rgb(rgb) == of_rgb(luma)
        assert of_luma(luma) != of_rgb(luma)


def test_scores_are_those_of_the_plain_functions(seed: int) -> None:
    """Law: the prepared metrics give what `psnr` and `ssim` give on arrays that were converted by hand."""
    options: dict[str, Any] = {"crop_border": 3, "data_range": 240, "ssim_window": 7, "ssim_sigma": 1.2}
    window: dict[str, Any] = {"data_range": 240, "window_size": 7, "sigma": 1.2}
    lumas = {
        "y-bt601": rgb_to_y,
        "y-bt601-rounded": lambda image: round_luma(rgb_to_y(image)).astype(float),
        "y-full-range": lambda image: np.minimum(rgb_to_y(image, FULL_RANGE), 240.0),
    }
    for color, luma in lumas.items():
        comparison, sr, hr = prepared(Protocol("p", color=color, **options), seed)
        if color == "y-full-range":  # what is above 240 would be refused by the plain functions
            dark = Protocol("p", color=color, **options)
            sr, hr = (image // 2 for image in (sr, hr))
            border = dataclasses.replace(dark, crop_border=0)
            comparison = Comparison.under(border, sr, hr, 2)
        a, b = luma(sr), luma(hr)
        assert abs(PSNR()(comparison) - psnr_of(a, b, data_range=240)) < 1e-9
        assert abs(SSIM()(comparison) - ssim_of(a, b, **window)) < 1e-12
        padded = dataclasses.replace(comparison, ssim_region="padded")
        a, b = (np.pad(image, 3, mode="edge") for image in (a, b))
        assert abs(SSIM()(padded) - ssim_of(a, b, **window)) < 1e-12


def test_luma_is_converted_once_and_is_what_the_protocol_says(seed: int) -> None:
    for color in ("y-bt601", "y-bt601-rounded", "y-full-range"):
        comparison, sr, hr = prepared(Protocol("p", color=color), seed)
        a, b = comparison.luma
        assert comparison.luma[0] is a
        formula = FULL_RANGE if color == "y-full-range" else None
        exact = [rgb_to_y(image) if formula is None else rgb_to_y(image, formula) for image in (sr, hr)]
        expected = [round_luma(image) if color == "y-bt601-rounded" else image for image in exact]
        assert np.array_equal(a, expected[0])
        assert np.array_equal(b, expected[1])
