"""Laws of the Matlab-exact resize."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbench.errors import ConfigError
from srbench.images.resize import imresize

SCALES = st.sampled_from([Fraction(1, 8), Fraction(1, 4), Fraction(1, 3), Fraction(1, 2), Fraction(3, 4), 1, 2, 3, 4])
SIZES = st.integers(1, 40)
SEEDS = st.integers(0, 2**32 - 1)
Image = npt.NDArray[np.uint8]


def image_of(seed: int, height: int, width: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(SEEDS, SIZES, SIZES, SCALES)
def test_channels_do_not_mix(seed: int, height: int, width: int, scale: Fraction) -> None:
    image = image_of(seed, height, width)
    whole = imresize(image, scale)
    for channel in range(3):
        assert np.array_equal(whole[..., channel], imresize(np.ascontiguousarray(image[..., channel]), scale))


@given(st.integers(0, 255), SIZES, SIZES, SCALES, st.sampled_from(["per_pass", "once"]))
def test_constant_images_stay_constant(level: int, height: int, width: int, scale: Fraction, rounding: str) -> None:
    out = imresize(np.full((height, width), level, np.uint8), scale, rounding=rounding)  # type: ignore[arg-type]
    assert (out == level).all()


@given(SEEDS, SIZES, SIZES)
def test_scale_one_changes_nothing(seed: int, height: int, width: int) -> None:
    image = image_of(seed, height, width)
    assert np.array_equal(imresize(image, 1), image)


@given(SEEDS, SIZES, SIZES, SCALES)
def test_unrounded_resizing_commutes_with_transposition(seed: int, height: int, width: int, scale: Fraction) -> None:
    # Rounded per pass it does not: rows come first.
    image = image_of(seed, height, width)
    ours = imresize(image, scale, rounding="none")
    turned = imresize(np.ascontiguousarray(image.swapaxes(0, 1)), scale, rounding="none").swapaxes(0, 1)
    np.testing.assert_allclose(ours, turned, atol=1e-10)


@given(SEEDS, SIZES, SIZES, SCALES)
def test_resizing_is_linear(seed: int, height: int, width: int, scale: Fraction) -> None:
    a, b = image_of(seed, height, width).astype(float), image_of(seed + 1, height, width).astype(float)
    together = imresize(2 * a - b, scale, rounding="none")
    apart = 2 * imresize(a, scale, rounding="none") - imresize(b, scale, rounding="none")
    np.testing.assert_allclose(together, apart, atol=1e-9)


@given(SEEDS, SIZES, SIZES, SCALES)
def test_mirroring_commutes_with_resizing(seed: int, height: int, width: int, scale: Fraction) -> None:
    # Only where the output covers the input exactly: otherwise Matlab aligns the left edges.
    factor = Fraction(scale)
    height, width = height * factor.denominator, width * factor.denominator
    image = image_of(seed, height, width)
    np.testing.assert_allclose(
        imresize(image[:, ::-1], scale, rounding="none")[:, ::-1], imresize(image, scale, rounding="none"), atol=1e-9
    )


@given(SEEDS, SIZES, SIZES, SCALES)
def test_one_rounding_is_rounding_of_the_exact_result(seed: int, height: int, width: int, scale: Fraction) -> None:
    image = image_of(seed, height, width)
    exact = imresize(image, scale, rounding="none")
    assert np.array_equal(imresize(image, scale, rounding="once"), np.clip(np.floor(exact + 0.5), 0, 255))


@given(SIZES, SIZES, SCALES)
def test_sizes_are_rounded_up(height: int, width: int, scale: Fraction) -> None:
    expected = tuple(-(-size * Fraction(scale).numerator // Fraction(scale).denominator) for size in (height, width))
    assert imresize(np.zeros((height, width), np.uint8), scale).shape == expected


def test_a_size_sets_the_factor_of_each_axis() -> None:
    image = image_of(0, 12, 20)
    assert np.array_equal(imresize(image, output_shape=(6, 10)), imresize(image, Fraction(1, 2)))
    assert imresize(image, output_shape=(24, 5)).shape == (24, 5, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "scale or an output_shape"),
        ({"scale": 0}, "positive number"),
        ({"scale": float("nan")}, "positive number"),
        ({"scale": 2, "padding": "reflect"}, "unknown padding 'reflect'"),
        ({"scale": 2, "rounding": "always"}, "unknown rounding 'always'"),
        ({"output_shape": (0, 4)}, "cannot make"),
    ],
)
def test_wrong_options_are_sentences(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        imresize(np.zeros((4, 4), np.uint8), **arguments)  # type: ignore[arg-type]


def test_only_uint8_and_float64_images_are_taken() -> None:
    with pytest.raises(ConfigError, match="float32"):
        imresize(np.zeros((4, 4), np.float32), 2)
    with pytest.raises(ConfigError, match="rounding='none'"):
        imresize(np.zeros((4, 4)), 2)
    with pytest.raises(ConfigError, match="shape"):
        imresize(np.zeros(4, np.uint8), 2)
