"""Folders as data sets: layouts, suffixes, and what does not match."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from srbench.data.datasets import open_dataset
from srbench.data.folders import FolderDataset
from srbench.data.verify import verify_hr, verify_lr
from srbench.errors import DataError, UnknownNameError
from srbench.images.files import decode_rgb, pixels_sha256, write_png
from srbench.protocols import get_protocol

Image = npt.NDArray[np.uint8]
MATLAB = get_protocol("matlab-y")


def test_a_flat_folder_is_its_images(tmp_path: Path, make_image: Callable[..., Image]) -> None:
    for name in ("b", "a", ".hidden"):
        write_png(make_image(), tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    assert open_dataset(tmp_path).image_names() == ["a", "b"]


@pytest.mark.parametrize("folder", ["LR_bicubic/X2", "LR/x2", "LR_bicubic_X2", "LRx2", "lr/X2"])
@pytest.mark.parametrize("suffix", ["", "x2", "X2", "_x2"])
def test_lr_files_are_found_with_and_without_suffix(hr_folder: Path, folder: str, suffix: str) -> None:
    dataset = FolderDataset(hr_folder)
    for image in dataset.image_names():
        write_png(dataset.lr(image, 2, MATLAB), hr_folder / folder / f"{image}{suffix}.png")
    again = FolderDataset(hr_folder)
    assert again.shipped_scales == (2,)
    assert again.without_lr(2) == []
    assert [finding.differing for finding in verify_lr(again, 2, MATLAB)] == [0, 0]


def test_lr_files_without_hr_are_listed_by_name(hr_folder: Path, make_image: Callable[..., Image]) -> None:
    for name in ("a", "stray", "strayx2"):
        write_png(make_image(12, 18), hr_folder / "LR_bicubic" / "X2" / f"{name}.png")
    with pytest.raises(DataError, match="no HR image") as caught:
        FolderDataset(hr_folder)
    assert "X2/stray.png" in str(caught.value)
    assert "X2/strayx2.png" in str(caught.value)
    assert "X2/a.png" not in str(caught.value)


def test_hr_without_lr_is_listed_when_lr_files_are_asked_for(hr_folder: Path, make_image: Callable[..., Image]) -> None:
    write_png(make_image(12, 18), hr_folder / "LR" / "X2" / "b.png")
    dataset = FolderDataset(hr_folder)
    assert dataset.without_lr(2) == ["a"]
    assert dataset.lr("a", 2, MATLAB).shape == (12, 18, 3)
    with pytest.raises(DataError, match="no x2 LR image: a"):
        dataset.shipped_lr("b", 2)
    with pytest.raises(DataError, match=r"no LR images of scale 4 \(there: x2\)"):
        dataset.shipped_lr("b", 4)


def test_a_changed_pixel_in_an_lr_file_is_counted(hr_folder: Path) -> None:
    dataset = FolderDataset(hr_folder)
    for image in dataset.image_names():
        lr = dataset.lr(image, 2, MATLAB)
        if image == "b":
            lr[3, 4, 1] ^= 8
        write_png(lr, hr_folder / "LR" / "X2" / f"{image}.png")
    findings = verify_lr(FolderDataset(hr_folder), 2, MATLAB)
    assert [(f.image, f.ok, f.values, f.differing, f.largest) for f in findings] == [
        ("a", True, 648, 0, 0),
        ("b", False, 648, 1, 8),
    ]


def test_an_lr_file_of_another_size_is_named(hr_folder: Path, make_image: Callable[..., Image]) -> None:
    for image in ("a", "b"):
        write_png(make_image(12, 17), hr_folder / "LR" / "X2" / f"{image}.png")
    assert verify_lr(FolderDataset(hr_folder), 2, MATLAB)[0].note == "is 17x12, should be 18x12"


def test_two_files_of_one_name_are_an_error(hr_folder: Path, make_image: Callable[..., Image]) -> None:
    write_png(make_image(), hr_folder / "HR" / "a.bmp")
    with pytest.raises(DataError, match=r"a\.bmp.*same image"):
        FolderDataset(hr_folder)


def test_two_folders_of_one_scale_are_an_error(hr_folder: Path, make_image: Callable[..., Image]) -> None:
    write_png(make_image(12, 18), hr_folder / "LR" / "X2" / "a.png")
    write_png(make_image(12, 18), hr_folder / "LR_bicubic" / "x2" / "a.png")
    with pytest.raises(DataError, match="both hold LR images of scale 2"):
        FolderDataset(hr_folder)


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    with pytest.raises(DataError, match=r"no images.*deeper"):
        open_dataset(tmp_path)


def test_a_file_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="is a file"):
        open_dataset(tmp_path / "a.png")


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'Urban100'"):
        open_dataset("Urban10")


def test_an_unknown_image_suggests_the_nearest(hr_folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="no image 'c' in data set 'set'"):
        FolderDataset(hr_folder).hr("c")


def test_a_folder_named_like_a_known_set_is_not_taken_for_it(hr_folder: Path) -> None:
    hr_folder.rename(hr_folder.with_name("set5"))
    assert open_dataset(hr_folder.with_name("set5")).name == "set5-folder"


def test_content_is_what_counts_not_file_names(hr_folder: Path, tmp_path: Path) -> None:
    dataset = FolderDataset(hr_folder)
    for image, other in (("a", "z"), ("b", "y")):
        write_png(dataset.hr(image), tmp_path / "renamed" / f"{other}.bmp.png")
    renamed = FolderDataset(tmp_path / "renamed")
    assert renamed.content_hash() == dataset.content_hash() != dataset.content_hash(2)
    changed = dataset.hr("a")
    changed[0, 0, 0] ^= 1
    write_png(changed, hr_folder / "HR" / "a.png")
    assert renamed.content_hash() != dataset.content_hash()


def test_a_damaged_image_is_found_by_verify(hr_folder: Path) -> None:
    path = hr_folder / "HR" / "a.png"
    path.write_bytes(path.read_bytes()[:-30])
    findings = verify_hr(FolderDataset(hr_folder))
    assert [finding.ok for finding in findings] == [False, True]
    assert "damaged or truncated" in findings[0].note


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the paths of the files that are decoded from now on; the cache is empty."""
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    seen: list[str] = []

    def counting(content: bytes, name: str) -> Image:
        seen.append(Path(name).name)
        return decode_rgb(content, name)

    monkeypatch.setattr("srbench.data.folders.decode_rgb", counting)
    return seen


def test_a_file_is_decoded_once_for_its_hash_and_an_edit_is_noticed(
    tmp_path: Path, make_image: Callable[..., Image], decoded: list[str]
) -> None:
    for name in ("a", "b"):
        write_png(make_image(), tmp_path / f"{name}.png")
    before = FolderDataset(tmp_path).pixel_hashes()
    assert before == {name: pixels_sha256(FolderDataset(tmp_path).hr(name)) for name in ("a", "b")}
    assert decoded == ["a.png", "b.png"]
    assert FolderDataset(tmp_path).pixel_hashes() == before
    assert decoded == ["a.png", "b.png"]

    # One pixel's last bit, in a file of the same size and time.
    image = FolderDataset(tmp_path).hr("b").copy()
    image[0, 0, 0] ^= 1
    stat = (tmp_path / "b.png").stat()
    write_png(image, tmp_path / "b.png")
    os.utime(tmp_path / "b.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = FolderDataset(tmp_path).pixel_hashes()
    assert after["a"] == before["a"]
    assert after["b"] == pixels_sha256(image) != before["b"]
    assert decoded == ["a.png", "b.png", "b.png"]

    (tmp_path / "a.png").rename(tmp_path / "c.png")
    assert FolderDataset(tmp_path).pixel_hashes() == {"b": after["b"], "c": before["a"]}
    assert decoded == ["a.png", "b.png", "b.png"], "another name is the same image"


@pytest.mark.parametrize("damage", ["", "0" * 64, "flip"])
def test_a_damaged_note_of_a_hash_is_not_believed(
    damage: str, tmp_path: Path, make_image: Callable[..., Image], decoded: list[str]
) -> None:
    write_png(make_image(), tmp_path / "a.png")
    dataset = FolderDataset(tmp_path)
    before = dataset.pixel_hashes()
    (note,) = [path for path in (dataset.cache.root / "decoded").rglob("*") if path.is_file()]
    text = note.read_text()
    note.write_text(("0" if text[0] != "0" else "1") + text[1:] if damage == "flip" else damage)
    assert dataset.pixel_hashes() == before
    assert len(decoded) == 2
    assert note.read_text() == text


def test_a_truncated_file_is_refused_though_it_was_known_whole(
    tmp_path: Path, make_image: Callable[..., Image], decoded: list[str]
) -> None:
    write_png(make_image(), tmp_path / "a.png")
    FolderDataset(tmp_path).content_hash()
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    with pytest.raises(DataError, match=r"a\.png"):
        FolderDataset(tmp_path).content_hash()
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="there are no images"):
        FolderDataset(tmp_path).content_hash()


def test_a_folder_is_found_by_name_where_srbench_data_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "disk" / "holiday"
    folder.mkdir(parents=True)
    write_png(np.zeros((8, 8, 3), np.uint8), folder / "beach.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match="SRBENCH_DATA"):
        open_dataset("holiday")
    monkeypatch.setenv("SRBENCH_DATA", os.pathsep.join([str(tmp_path / "nowhere"), str(tmp_path / "disk")]))
    assert open_dataset("holiday").image_names() == ["beach"]
    assert open_dataset("holiday").name == "holiday"
