"""Folders registered under a name: used everywhere, checked when opened, refused with other images."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.data.datasets import open_dataset
from srbench.data.folders import FolderDataset
from srbench.data.known_sets import known_sets
from srbench.data.registration import register, unregister
from srbench.errors import ConfigError, DataError, DuplicateNameError, SRBenchError, StoreError, UnknownNameError
from srbench.images.files import read_rgb, write_png
from srbench.protocols import get_protocol
from srbench.registry import list_datasets
from srbench.registry.registered_data import manifest_path, read_manifest
from srbench.runs.fingerprint import FOLDER, class_of

pytestmark = pytest.mark.usefixtures("empty_cache")

Image = npt.NDArray[np.uint8]


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_registered_name_is_a_data_set_everywhere(hr_folder: Path) -> None:
    run("data", "register", "mine", hr_folder)
    assert "mine" in list_datasets()
    assert "mine" in run("list", "datasets").split()
    dataset = open_dataset("mine")
    assert dataset.name == "mine"
    assert dataset.pixel_hashes() == FolderDataset(hr_folder).pixel_hashes()
    told = json.loads(run("eval", "bicubic", "--scale", 2, "--data", "mine", "--protocol", "matlab-y", "--json", "-"))
    assert told["dataset"] == "mine"
    assert told["dataset_hash"] == FolderDataset(hr_folder).content_hash()
    # So a row measured here is current where nothing is registered: by class it is a folder like any other.
    assert class_of(dataset) == FOLDER


def test_the_manifest_has_hashes_sizes_and_terms(hr_folder: Path) -> None:
    told = json.loads(
        run("data", "register", "mine", hr_folder, "--licence", "ours", "--url", "https://example.org", "--json", "-")
    )
    manifest = read_manifest("mine")
    assert {image.image: image.pixels_sha256 for image in manifest.images} == FolderDataset(hr_folder).pixel_hashes()
    assert [(image.width, image.height, image.file) for image in manifest.images] == [
        (36, 24, "HR/a.png"),
        (36, 24, "HR/b.png"),
    ]
    assert (manifest.licence, manifest.url) == ("ours", "https://example.org")
    assert (told["images"], told["content_hash"]) == (2, manifest.content_hash)


def test_other_images_are_refused_under_the_same_name(hr_folder: Path, make_image: Callable[..., Image]) -> None:
    register("mine", hr_folder, licence="ours")
    moved = shutil.copytree(hr_folder, hr_folder.with_name("moved"))
    assert register("mine", moved).licence == "ours"  # the same images in another place
    assert read_manifest("mine").folder == str(moved.resolve())
    write_png(make_image(), moved / "HR" / "c.png")
    with pytest.raises(DuplicateNameError, match="other images are registered as 'mine'"):
        register("mine", moved)
    assert len(read_manifest("mine").images) == 2
    assert unregister("mine") is not None
    assert len(register("mine", moved).images) == 3


def test_an_edited_image_is_noticed_and_a_touched_file_is_not(
    hr_folder: Path, make_image: Callable[..., Image]
) -> None:
    register("mine", hr_folder)
    file = hr_folder / "HR" / "b.png"
    os.utime(file, (1, 1))
    assert open_dataset("mine").image_names() == ["a", "b"]
    before = read_rgb(file)
    write_png(make_image(), file)
    write_png(make_image(), hr_folder / "HR" / "z.png")
    (hr_folder / "HR" / "a.png").unlink()
    with pytest.raises(DataError, match=r"1 missing: a; 1 new: z; 1 changed: b"):
        open_dataset("mine")
    write_png(before, file)
    with pytest.raises(DataError, match=r"\(1 missing: a; 1 new: z\)"):
        open_dataset("mine")


def test_a_folder_that_is_gone_is_named_and_hides_no_other_set(hr_folder: Path) -> None:
    register("mine", hr_folder)
    hr_folder.rename(hr_folder.with_name("elsewhere"))
    with pytest.raises(DataError, match="no longer there"):
        open_dataset("mine")
    told = json.loads(run("data", "list", "--json", "-"))
    (row,) = (row for row in told["datasets"] if row["name"] == "mine")
    assert (row["images"], row["available"]) == (2, 0)
    assert "Set5" in run("cache", "list")


def test_unregistering_forgets_the_name_and_keeps_the_images(hr_folder: Path) -> None:
    register("mine", hr_folder)
    assert "still in" in run("data", "unregister", "mine")
    assert "mine" not in list_datasets()
    assert len(FolderDataset(hr_folder).image_names()) == 2
    with pytest.raises(UnknownNameError, match="no data set 'mine' is registered"):
        run("data", "unregister", "mine")


def test_lr_files_are_asked_for_by_scale(hr_folder: Path) -> None:
    with pytest.raises(DataError, match="no LR images of scale 2"):
        register("mine", hr_folder, scales=(2,))
    assert not manifest_path("mine").exists()
    dataset = FolderDataset(hr_folder)
    for image in dataset.image_names():
        write_png(dataset.lr(image, 2, get_protocol("matlab-y")), hr_folder / "LR" / "x2" / f"{image}.png")
    assert register("mine", hr_folder, scales=(2,)).scales == (2,)
    assert open_dataset("mine").shipped_lr("a", 2).shape == (12, 18, 3)


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "list.txt", "a:b", "x" * 65, "umlaut-ä"])
def test_names_that_are_no_names_are_refused(name: str, hr_folder: Path) -> None:
    with pytest.raises(ConfigError, match="a data set's name"):
        register(name, hr_folder)


@pytest.mark.parametrize("name", ["Set5", "urban100", "embedded-test"])
def test_names_of_installed_sets_are_refused(name: str, hr_folder: Path) -> None:
    with pytest.raises(DuplicateNameError, match="srbench cache add"):
        register(name, hr_folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": "srbench-registered-1", "name": 3}', "[" * 500])
def test_a_damaged_manifest_is_a_sentence(content: str, hr_folder: Path) -> None:
    register("mine", hr_folder)
    manifest_path("mine").write_text(content)
    with pytest.raises(StoreError, match="is damaged"):
        open_dataset("mine")
    assert "mine" in run("data", "list")
    run("data", "unregister", "mine")
    assert "mine" not in list_datasets()


def test_a_known_set_that_is_missing_says_what_to_do() -> None:
    for known in known_sets():
        with pytest.raises(UnknownNameError) as caught:
            open_dataset(known.name)
        said = str(caught.value)
        assert f"srbench data register {known.name} FOLDER" in said
        assert all(link.url in said for link in known.links)
        assert known.licence in said
    with pytest.raises(UnknownNameError, match="by hand from"):
        run("data", "download", "Manga109")
    assert {one["name"] for one in json.loads(run("data", "list", "--json", "-"))["not_registered"]} == {
        known.name for known in known_sets()
    }


def test_known_sets_have_terms_and_several_places() -> None:
    assert {known.name for known in known_sets()} == {
        "Manga109", "DIV2K-valid", "DIV2K-train", "LSDIR-valid", "General100",
    }  # fmt: skip
    for known in known_sets():
        assert known.licence
        assert len({link.url for link in known.links}) >= 2
        assert all(link.named_by and link.url.startswith("http") for link in known.links)


def test_a_known_set_is_registered_whole(tmp_path: Path, hr_folder: Path, make_image: Callable[..., Image]) -> None:
    with pytest.raises(DataError, match=r"'Manga109' has 109 images .* there are 2"):
        register("Manga109", hr_folder)
    with pytest.raises(ConfigError, match="known as 'Manga109'"):
        register("manga109", hr_folder)
    for number in range(109):
        write_png(make_image(8, 8), tmp_path / "pages" / f"{number:03}.png")
    manifest = register("Manga109", tmp_path / "pages")
    assert "academic use only" in manifest.licence
    assert len(open_dataset("Manga109").image_names()) == 109
    # A folder of that name is not taken for what was registered.
    (tmp_path / "pages").rename(tmp_path / "Manga109")
    assert open_dataset(tmp_path / "Manga109").name == "Manga109-folder"


def test_training_data_may_be_registered(tmp_path: Path, make_image: Callable[..., Image]) -> None:
    for name in "abc":
        write_png(make_image(100, 100), tmp_path / "train" / f"{name}.png")
    register("ours", tmp_path / "train")
    out = tmp_path / "out"
    run("train", "edsr_tiny", "--data", "ours", "--scale", 2, "--iterations", 1, "--out", out)
    assert list(out.rglob("*.safetensors"))


def test_nothing_is_registered_where_an_image_cannot_be_read(hr_folder: Path) -> None:
    (hr_folder / "HR" / "c.png").write_bytes(b"no image")
    with pytest.raises(SRBenchError):
        register("mine", hr_folder)
    assert not manifest_path("mine").exists()
