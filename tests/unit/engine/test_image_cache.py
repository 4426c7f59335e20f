"""Training images prepared once: the same pixels from files, processes and the cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srbench.data.datasets import open_dataset
from srbench.protocols import get_protocol
from srbench.training import image_cache
from srbench.training.image_cache import prepare_images
from srbench.untrusted import TEXT_LIMIT


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of as many images as are worth keeping."""
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "many"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(image_cache._IMAGES_WORTH_PROCESSES):
        pixels = random.integers(0, 256, (12 + number % 5, 9 + number % 3, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


def _equal(one, other) -> bool:
    return one.names == other.names and all(
        np.array_equal(a, b)
        for ours, theirs in [(one.hr, other.hr), *((one.lr[s], other.lr[s]) for s in one.lr)]
        for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_images_are_those_of_the_files_in_the_order_of_their_pixel_hashes(many: Path, workers: int) -> None:
    dataset, protocol = open_dataset(many), get_protocol("matlab-y")
    made = prepare_images(dataset, (2, 3), workers=workers)
    hashes = dataset.pixel_hashes()
    assert made.names == sorted(hashes, key=lambda name: hashes[name])
    for name, hr, lr in zip(made.names, made.hr, made.lr[3], strict=True):
        assert np.array_equal(hr.transpose(1, 2, 0), dataset.hr(name))
        assert np.array_equal(lr.transpose(1, 2, 0), protocol.lr_image(dataset.hr(name), 3))


def test_the_second_start_maps_the_pixels_and_decodes_nothing(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    first = prepare_images(open_dataset(many), (2,), workers=1, progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (64, 64)
    dataset = open_dataset(many)
    monkeypatch.setattr(dataset, "hr", lambda name: pytest.fail(f"{name} was decoded"))
    second = prepare_images(dataset, (2,), progress=lambda done, of: pytest.fail("something was prepared"))
    assert _equal(first, second)
    assert isinstance(second.hr[0].base, np.memmap)


def test_a_damaged_cache_is_made_again(many: Path, tmp_path: Path) -> None:
    first = prepare_images(open_dataset(many), (2,), workers=1)
    copies = [image.copy() for image in first.hr]
    (file,) = (tmp_path / "cache/training").rglob("*-hr.u8")
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    again = prepare_images(open_dataset(many), (2,), workers=1)
    assert all(np.array_equal(a, b) for a, b in zip(copies, again.hr, strict=True))


def test_a_copied_cache_is_checked_by_its_sums(many: Path, tmp_path: Path) -> None:
    first = prepare_images(open_dataset(many), (2,), workers=1)
    for file in (tmp_path / "cache/training").rglob("*.u8"):
        os.utime(file, ns=(0, 0))
    dataset = open_dataset(many)
    again = prepare_images(dataset, (2,), progress=lambda done, of: pytest.fail("something was prepared"))
    assert _equal(first, again)


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("ending", ["json", "u8"])
@pytest.mark.parametrize(
    "damage",
    [
        _pipe,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"x" * (TEXT_LIMIT + 1)),
        lambda file: file.write_text("[" * 5000),
        lambda file: file.write_text('{"shapes": [[3, Infinity, 1]], "crc32": 0, "modified": 0}'),
        lambda file: file.write_text('{"shapes": [[3, 1000000, 1000000000000]], "crc32": 0, "modified": 0}'),
        lambda file: file.write_text('{"shapes": 7, "crc32": 0, "modified": 0}'),
    ],
    ids=["pipe", "empty", "large", "deep", "infinite", "huge", "not a list"],
)
def test_a_hostile_cache_is_made_again(many: Path, tmp_path: Path, ending: str, damage: Callable[[Path], None]) -> None:
    first = prepare_images(open_dataset(many), (2,), workers=1)
    copies = [image.copy() for image in first.hr]
    (file,) = (tmp_path / "cache/training").rglob(f"*-hr.{ending}")
    other = file.with_name("other")  # what is mapped is not written to
    other.write_bytes(file.read_bytes())
    other.replace(file)
    damage(file)
    again = prepare_images(open_dataset(many), (2,), workers=1)
    assert all(np.array_equal(a, b) for a, b in zip(copies, again.hr, strict=True))


def test_another_scale_and_another_image_are_not_taken_for_these(many: Path) -> None:
    prepare_images(open_dataset(many), (2,), workers=1)
    assert prepare_images(open_dataset(many), (3,), workers=1).lr[3][0].shape[1] in (4, 5)
    Image.fromarray(np.zeros((12, 9, 3), np.uint8)).save(many / "000.png")
    assert any(not image.any() for image in prepare_images(open_dataset(many), (2,), workers=1).hr)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(many: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache/training").write_text("a file where the folder would be")
    assert len(prepare_images(open_dataset(many), (2,), workers=1)) == 64
