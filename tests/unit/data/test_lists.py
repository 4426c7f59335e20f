"""Lists of images as data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srbench.data.datasets import open_dataset
from srbench.errors import DataError, UnknownNameError
from srbench.images.files import write_png


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder, name in (("one", "a"), ("one", "b"), ("two", "c"), ("two", "d")):
        write_png(np.full((4, 4, 3), ord(name), dtype=np.uint8), tmp_path / "data" / folder / f"{name}.png")
    monkeypatch.setenv("SRBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_list_takes_folders_and_single_images_wherever_they_lie(folders: Path) -> None:
    (folders / "some.txt").write_text("# a comment\none\n\ntwo/d.png  # and one of these\n", encoding="utf-8")
    dataset = open_dataset("some.txt")
    assert dataset.name == "some"
    assert dataset.image_names() == ["a", "b", "d"]
    assert dataset.hr("d")[0, 0, 0] == ord("d")
    beside = folders / "data" / "beside.txt"
    beside.write_text("two\n", encoding="utf-8")
    assert open_dataset(beside).image_names() == ["c", "d"]
    assert open_dataset("beside.txt").content_hash() == open_dataset(folders / "data" / "two").content_hash()


def test_what_a_list_names_must_be_there(folders: Path) -> None:
    (folders / "some.txt").write_text("one\nthree\nfour/x.png\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"names 'three' \(line 2\), 'four/x.png' \(line 3\), which are neither in"):
        open_dataset("some.txt")
    (folders / "some.txt").write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(DataError, match="contains no images"):
        open_dataset("some.txt")
    (folders / "some.txt").write_text("one\none/a.png\n", encoding="utf-8")
    with pytest.raises(DataError, match="have the same image name"):
        open_dataset("some.txt")
    (folders / "some.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text file in UTF-8"):
        open_dataset("some.txt")
    with pytest.raises(UnknownNameError):
        open_dataset("nowhere.txt")


def test_t91_bsds200_is_291_images(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_DATA", str(shared / "data" / "train"))
    assert len(open_dataset("t91-bsds200.txt").image_names()) == 291
