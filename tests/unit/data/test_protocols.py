"""Protocols: frozen, hashed, and what they do to images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from srbench.errors import ConfigError, DataError, DuplicateNameError, PluginError, UnknownNameError
from srbench.evaluation.protocol_costs import measure_costs
from srbench.images.color import rgb_to_y
from srbench.protocols import Protocol, get_protocol
from srbench.registry import PROTOCOLS, list_protocols, register_protocol


def test_protocols_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_protocol("matlab-y").quantisation = "truncate"  # type: ignore[misc]


def test_the_digests_stay_what_they_are() -> None:
    # Written down when the protocols were: a changed digest orphans every stored number.
    assert {name: get_protocol(name).digest for name in list_protocols()} == {
        "matlab-y": "65665b98b3a617ddb9080a4adc004bf12b8d8ca7fdff9aa3bea18ed7b6c99680",
        "truncate-y": "37d28c2f8571bbdbc98350c42622385c8e49f973cbc6e15c84a55f32a9d8411e",
        "lapsrn-double": "4c348476db34135e07845c11047594b46615adac6199835fc112b0aaa7525efc",
        "ntire": "fe158a5808258352ccd7a62e5eab6d52797cda418de4f2398617d94138d726cd",
        "y-only": "f6fa17d14e1aea47f03ca0105f483c8962ae74ff6aa13f4a4bc5498ec098af6c",
    }


def test_every_setting_enters_the_digest_and_the_name_does_not() -> None:
    base = get_protocol("matlab-y")
    assert dataclasses.replace(base, name="other").digest == base.digest
    changes: dict[str, dict[str, object]] = {
        "lr_channels": {"color": "y-bt601-rounded"},
        "lr_kernel": {"lr_kernel": "nearest", "lr_padding": "none"},
        "lr_padding": {"lr_padding": "replicate"},
        "lr_rounding": {"lr_rounding": "once"},
        "hr_crop": {"hr_crop": 12},
        "quantisation": {"quantisation": "truncate"},
        "color": {"color": "rgb"},
        "crop_border": {"crop_border": 4},
        "data_range": {"data_range": 219},
        "ssim_window": {"ssim_window": 9},
        "ssim_sigma": {"ssim_sigma": 2.0},
        "ssim_region": {"ssim_region": "padded"},
        "sr_size": {"sr_size": "resized"},
    }
    assert {"name", *changes} == {field.name for field in dataclasses.fields(Protocol)}
    for field, change in changes.items():
        start = base
        if field == "lr_channels":  # luma alone is always rounded
            start = dataclasses.replace(base, color="y-bt601-rounded")
            change = {"lr_channels": "y"}
        changed = dataclasses.replace(start, **change)  # type: ignore[arg-type]
        assert changed.digest != start.digest, field
        assert (changed.lr_digest != start.lr_digest) == field.startswith(("lr_", "hr_")), field


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"color": "yuv"}, "protocol 'mine': color is one of y-bt601, y-bt601-rounded, y-full-range, rgb, got 'yuv'"),
        ({"hr_crop": 0}, "hr_crop is a whole number of 1 or more, or 'scale', got 0"),
        ({"crop_border": -1}, "crop_border is a whole number of 0 or more, or 'scale', got -1"),
        ({"crop_border": True}, "got True"),
        ({"data_range": 1.0}, "data_range is a whole number of 1 or more, got 1.0"),
        ({"ssim_window": 10}, "ssim_window is an odd number of 3 or more, got 10"),
        ({"ssim_sigma": 0}, "ssim_sigma is a number of pixels above 0, got 0"),
        ({"lr_channels": "y"}, "color is y-bt601-rounded, not y-bt601"),
        ({"lr_padding": "none"}, "needs lr_padding symmetric or replicate"),
        ({"lr_kernel": "nearest"}, "lr_kernel nearest takes lr_padding none and lr_rounding per_pass"),
    ],
)
def test_values_that_make_no_protocol_are_sentences(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Protocol("mine", **change)  # type: ignore[arg-type]


def test_hr_images_are_cut_to_the_number_that_a_protocol_names() -> None:
    protocol = Protocol("cut-to-12", hr_crop=12)
    hr = np.zeros((37, 50, 3), dtype=np.uint8)
    assert [protocol.reference(hr, scale).shape for scale in (2, 3, 4)] == [(36, 48, 3)] * 3
    with pytest.raises(ConfigError, match="hr_crop is 12, which scale 5 does not divide"):
        protocol.reference(hr, 5)
    with pytest.raises(DataError, match="50x11 pixels is too small for hr_crop 12"):
        protocol.reference(hr[:11], 2)


def test_the_other_kernels_are_pillows_and_every_nth_pixel(seed: int) -> None:
    from PIL import Image

    hr = np.random.default_rng(seed).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    pillow = Protocol("p", lr_kernel="pillow-bicubic", lr_padding="none").lr_image(hr, 3)
    assert np.array_equal(pillow, np.asarray(Image.fromarray(hr).resize((12, 8), Image.Resampling.BICUBIC)))
    assert np.array_equal(Protocol("n", lr_kernel="nearest", lr_padding="none").lr_image(hr, 3), hr[::3, ::3])


def test_each_protocol_names_its_metrics() -> None:
    assert {name: get_protocol(name).primary_metric for name in list_protocols()} == {
        "matlab-y": "psnr_y",
        "truncate-y": "psnr_y",
        "lapsrn-double": "psnr_y",
        "ntire": "psnr_rgb",
        "y-only": "psnr_y",
    }


def test_a_registered_protocol_is_found_and_a_taken_name_is_refused() -> None:
    mine = Protocol("uncropped-y", crop_border=0)
    try:
        assert register_protocol(mine) is mine
        register_protocol(Protocol("uncropped-y", crop_border=0))  # equal choices
        assert get_protocol("uncropped-y") == mine
        assert "uncropped-y" in list_protocols("*y")
        with pytest.raises(DuplicateNameError, match="'uncropped-y' is already registered"):
            register_protocol(Protocol("uncropped-y"))
    finally:
        PROTOCOLS.remove("uncropped-y")
    with pytest.raises(DuplicateNameError, match=r"protocol 'ntire' is already contributed by sr-bench"):
        register_protocol(Protocol("ntire"))
    PROTOCOLS.add("other-name", mine)
    try:
        with pytest.raises(PluginError, match="protocol 'other-name' is registered as the protocol 'uncropped-y'"):
            get_protocol("other-name")
    finally:
        PROTOCOLS.remove("other-name")


def test_an_unknown_protocol_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'matlab-y'"):
        get_protocol("matlab_y")


@pytest.mark.parametrize("name", ["matlab-y", "truncate-y"])
def test_every_level_survives_quantisation(name: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(get_protocol(name).quantise(levels.astype(np.float32) / np.float32(255)), levels)


def test_rounding_and_truncation_do_as_they_say() -> None:
    values = np.array([[[-0.5, 10.4, 10.6], [254.9, 255.4, 300.0]]]) / 255
    assert get_protocol("matlab-y").quantise(values).tolist() == [[[0, 10, 11], [255, 255, 255]]]
    assert get_protocol("truncate-y").quantise(values).tolist() == [[[0, 10, 10], [254, 255, 255]]]


def test_nan_is_no_pixel() -> None:
    with pytest.raises(DataError, match="NaN"):
        get_protocol("matlab-y").quantise(np.full((2, 2, 3), np.nan))


def test_hr_images_are_cut_at_the_right_and_the_bottom() -> None:
    hr = np.arange(7 * 8 * 3, dtype=np.uint8).reshape(7, 8, 3)
    assert np.array_equal(get_protocol("matlab-y").mod_crop(hr, 3), hr[:6, :6])
    assert get_protocol("matlab-y").lr_image(hr, 3).shape == (2, 2, 3)
    with pytest.raises(DataError, match="8x7 pixels is too small for scale 9"):
        get_protocol("matlab-y").lr_image(hr, 9)
    with pytest.raises(ConfigError, match="whole number"):
        get_protocol("matlab-y").lr_image(hr, 0)


@pytest.mark.parametrize("name", list_protocols())
def test_explanations_name_every_setting_and_end_with_the_digest(name: str) -> None:
    protocol = get_protocol(name)
    assert set(protocol.meaning()) == set(protocol.settings)
    assert protocol.explain().endswith(protocol.digest)


def test_luma_is_the_whole_of_y_only() -> None:
    hr = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    protocol = get_protocol("y-only")
    reference, lr = protocol.reference(hr, 2), protocol.lr_image(hr, 2)
    assert (reference.dtype, reference.shape) == (np.uint8, (8, 8))
    assert np.abs(reference - rgb_to_y(hr)).max() <= 0.5
    assert (lr.dtype, lr.shape) == (np.float64, (4, 4))
    assert (lr != np.rint(lr)).any()


def test_grey_levels_are_not_made_luma() -> None:
    hr = np.arange(64, dtype=np.uint8).reshape(8, 8, 1).repeat(3, axis=2)
    assert np.array_equal(get_protocol("y-only").reference(hr, 2, grey=True), hr[..., 0])
    assert get_protocol("y-only").reference(hr, 2)[0, 0] == 16


def test_lr_images_in_double_precision_round_to_those_that_are_rounded_once() -> None:
    hr = np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    never = get_protocol("lapsrn-double").lr_image(hr, 3)
    once = dataclasses.replace(get_protocol("matlab-y"), lr_rounding="once").lr_image(hr, 3)
    assert never.dtype == np.float64
    assert np.array_equal(np.clip(np.floor(never + 0.5), 0, 255), once)


def test_an_image_of_another_size_is_resized_by_one_protocol_and_refused_by_the_others() -> None:
    sr = np.full((8, 10, 3), 0.25, dtype=np.float32)
    resized = get_protocol("lapsrn-double").fitted(sr, (10, 10, 3), 2)
    assert resized.shape == (10, 10, 3)
    assert resized == pytest.approx(0.25, abs=1e-12)
    assert get_protocol("lapsrn-double").fitted(sr, (8, 10, 3), 2) is sr
    for name in list_protocols():
        with pytest.raises(DataError, match="10x8 pixels, where scale 2 asks for 10x11"):
            get_protocol(name).fitted(sr, (11, 10, 3), 2)


def test_the_border_of_ntire_is_four_pixels_at_every_scale() -> None:
    assert [get_protocol("ntire").crop(scale) for scale in (2, 3, 4)] == [4, 4, 4]
    assert [get_protocol("matlab-y").crop(scale) for scale in (2, 3, 4)] == [2, 3, 4]


@pytest.mark.parametrize("name", ["lapsrn-double", "ntire", "y-only"])
def test_costs_are_measured_under_every_protocol(name: str) -> None:
    costs = measure_costs(get_protocol(name))
    by_choice = {(cost.setting, cost.instead): cost.psnr for cost in costs.choices}
    assert by_choice["quantisation", "truncate"] < 0
    assert {setting for setting, _ in by_choice} >= {
        "crop_border",
        "lr_rounding",
        "lr_kernel",
        "hr_crop",
        "ssim_region",
    }
    assert all(np.isfinite(psnr) for psnr in by_choice.values())


def test_costs_are_measured() -> None:
    costs = measure_costs(get_protocol("matlab-y"))
    by_choice = {(cost.setting, cost.instead): cost.psnr for cost in costs.choices}
    # Luma stretched from 219 levels to 255 scales every error alike: 20 log10(255 / 219) dB, whatever the images.
    assert by_choice["color", "full-range luma, 0..255"] == pytest.approx(-20 * np.log10(255 / 219), abs=5e-4)
    assert by_choice["quantisation", "truncate"] < 0
    other = measure_costs(get_protocol("truncate-y"))
    back = next(cost for cost in other.choices if cost.setting == "quantisation")
    assert back.psnr == pytest.approx(-by_choice["quantisation", "truncate"], abs=1e-12)
    assert other.psnr + back.psnr == pytest.approx(costs.psnr, abs=1e-12)
