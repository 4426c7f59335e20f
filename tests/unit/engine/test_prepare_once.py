"""Training images are decoded once, however many trainings start at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from srbench.data.datasets import Dataset, open_dataset
from srbench.data.folders import FolderDataset
from srbench.training.image_cache import prepare_images
from srbench.training.prepare_once import HashedOnce, prepare_once


class Counted(FolderDataset):
    """A folder that counts which images are decoded for a training, and how often its files are hashed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.decoded: list[str] = []
        self.hashed = 0

    def hr(self, image: str) -> npt.NDArray[np.uint8]:
        self.decoded.append(image)
        return super().hr(image)

    def pixel_hashes(self) -> dict[str, str]:
        self.hashed += 1
        return super().pixel_hashes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of as many images as are cached."""
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(64):
        pixels = random.integers(0, 256, (12, 9 + number % 3, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number:03}.png")
    return tmp_path / "images"


def test_of_several_at_once_one_decodes_and_the_others_wait(folder: Path, tmp_path: Path) -> None:
    count = 4
    datasets, start = [Counted(folder) for _ in range(count)], threading.Barrier(count)

    def begin(dataset: Dataset) -> HashedOnce:
        start.wait()
        return prepare_once(dataset, (2, 3), workers=1)

    # Locks of threads exclude each other like those of processes, since each opens the file for itself.
    with ThreadPoolExecutor(count) as pool:
        prepared = list(pool.map(begin, datasets))
    decoded = [name for dataset in datasets for name in dataset.decoded]
    assert sorted(decoded) == datasets[0].image_names()
    for one in prepared:
        images = prepare_images(one, (3,), progress=lambda done, of: pytest.fail("something was prepared"))
        assert len(images) == 64
        assert one.content_hash() == open_dataset(folder).content_hash()
    assert [dataset.hashed for dataset in datasets] == [1] * count, "a training hashes its files once"
    assert not [path for path in (tmp_path / "cache/training").iterdir() if path.name.startswith(".lock")]


def test_images_in_the_cache_are_neither_locked_nor_decoded(folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    prepare_once(open_dataset(folder), (2,), workers=1, progress=lambda done, of: told.append((done, of)))
    assert told == [(done, 64) for done in range(65)]
    dataset = Counted(folder)
    prepare_once(dataset, (2,), progress=lambda done, of: pytest.fail("something was prepared"))
    assert dataset.decoded == []


def test_a_few_images_and_a_cache_that_cannot_be_locked_are_left_to_the_training(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache/training").write_text("a file where the folder would be")
    dataset = Counted(folder)
    assert len(prepare_images(prepare_once(dataset, (2,), workers=1), (2,), workers=1)) == 64
    assert len(dataset.decoded) == 64
    (tmp_path / "cache/training").unlink()
    (folder / "000.png").unlink()
    few = Counted(folder)
    prepare_once(few, (2,))
    assert few.decoded == []
    assert not (tmp_path / "cache/training").exists()
