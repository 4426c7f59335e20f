"""Reading image files: what is taken, what is refused with a sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from srbench.errors import DataError
from srbench.images.files import pixels_sha256, read_rgb, write_png

Image = npt.NDArray[np.uint8]


def test_a_png_comes_back_as_it_was_written(tmp_path: Path, make_image: Callable[..., Image]) -> None:
    image = make_image(7, 5)
    write_png(image, tmp_path / "new" / "a.png")
    assert np.array_equal(read_rgb(tmp_path / "new" / "a.png"), image)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Pillow.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_rgb(tmp_path / "grey.png"), np.dstack([grey] * 3))


def test_black_and_white_becomes_0_and_255(tmp_path: Path) -> None:
    Pillow.fromarray(np.eye(9, dtype=bool)).save(tmp_path / "bits.png")
    assert np.array_equal(read_rgb(tmp_path / "bits.png")[..., 1], 255 * np.eye(9, dtype=np.uint8))


def test_an_opaque_palette_becomes_its_colours(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 1], [2, 254, 3]], [[4, 5, 253], [255, 0, 1]]], dtype=np.uint8)
    Pillow.fromarray(colours).quantize(4).save(tmp_path / "palette.png")
    assert Pillow.open(tmp_path / "palette.png").mode == "P"
    assert np.array_equal(read_rgb(tmp_path / "palette.png"), colours)


@pytest.mark.parametrize(
    ("mode", "suffix", "words"),
    [
        ("RGBA", "png", "alpha channel; flatten"),
        ("LA", "png", "alpha channel; flatten"),
        ("CMYK", "tif", "CMYK; convert it to RGB"),
        ("CMYK", "jpg", "CMYK; convert it to RGB"),
        ("I;16", "png", "more than 8 bits"),
        ("I;16", "tif", "more than 8 bits"),
        ("F", "tif", "floating-point"),
        ("LAB", "tif", "CIE Lab"),
    ],
)
def test_what_needs_a_decision_is_refused(tmp_path: Path, mode: str, suffix: str, words: str) -> None:
    path = tmp_path / f"image.{suffix}"
    Pillow.new(mode, (8, 8)).save(path)
    with pytest.raises(DataError, match=words) as caught:
        read_rgb(path)
    assert str(path) in str(caught.value)


def test_16_bit_rgb_is_refused_though_pillow_narrows_it_silently(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "deep.png"
    assert cv2.imwrite(str(path), np.full((8, 8, 3), 40_000, np.uint16))
    assert Pillow.open(path).mode == "RGB"
    with pytest.raises(DataError, match="more than 8 bits"):
        read_rgb(path)


def test_a_transparent_colour_in_a_palette_is_refused(tmp_path: Path) -> None:
    Pillow.new("P", (8, 8)).save(tmp_path / "hole.png", transparency=0)
    with pytest.raises(DataError, match="transparent"):
        read_rgb(tmp_path / "hole.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(
    tmp_path: Path, make_image: Callable[..., Image], suffix: str, kept: float
) -> None:
    path = tmp_path / f"whole.{suffix}"
    Pillow.fromarray(make_image(64, 64)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match="whole") as caught:
        read_rgb(path)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path: Path, make_image: Callable[..., Image], seed: int) -> None:
    path = tmp_path / "a.png"
    write_png(make_image(32, 32), path)
    content = bytearray(path.read_bytes())
    # Inside the image data (after signature, header and the data chunk's own head), whose checksum must notice.
    content[41 + seed % (len(content) - 60)] ^= 1 << seed % 8
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_rgb(path)


@pytest.mark.parametrize("lost", [12, 13, 16, 20])
def test_a_png_without_its_last_bytes_is_refused_even_where_all_pixels_are_there(
    tmp_path: Path, make_image: Callable[..., Image], lost: int
) -> None:
    path = tmp_path / "a.png"
    write_png(make_image(32, 32), path)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_rgb(path)


@pytest.mark.parametrize("content", [b"not an image at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="image"):
        read_rgb(tmp_path / "a.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.png"):
        read_rgb(tmp_path / "nowhere.png")


def test_the_pixel_hash_is_of_size_line_and_rgb_bytes() -> None:
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    expected = hashlib.sha256(b"2x3x3\n" + bytes(range(18))).hexdigest()
    assert pixels_sha256(image) == expected
    assert pixels_sha256(np.asfortranarray(image)) == expected


def test_the_pixel_hash_takes_rgb_only() -> None:
    with pytest.raises(DataError, match="uint8 RGB"):
        pixels_sha256(np.zeros((4, 4), np.uint8))
