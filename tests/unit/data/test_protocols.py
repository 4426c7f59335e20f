"""Protocols: frozen, hashed, and what they do to images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from srbench.errors import ConfigError, DataError, UnknownNameError
from srbench.evaluation.protocol_costs import measure_costs
from srbench.images.color import rgb_to_y
from srbench.protocols import Protocol, get_protocol, list_protocols


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
    other: dict[str, object] = {"data_range": 219, "ssim_window": 9, "ssim_sigma": 2.0}
    for field in dataclasses.fields(Protocol):
        if field.name != "name":
            changed = dataclasses.replace(base, **{field.name: other.get(field.name, "changed")})  # type: ignore[arg-type]
            assert changed.digest != base.digest, field.name
            assert (changed.lr_digest != base.lr_digest) == field.name.startswith(("lr_", "hr_")), field.name


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
    assert {setting for setting, _ in by_choice} >= {"crop_border", "lr_rounding", "lr_kernel", "ssim_region"}
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
