"""Planted copies of test images are found in training sets; other images are not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from srbench.cli.app import app
from srbench.data.fingerprints import ORIENTATIONS, Thumbnail, anchors, best_place, window_hashes
from srbench.data.folders import FolderDataset
from srbench.data.leaks import Leak, find_leaks
from srbench.errors import ConfigError, SRBenchError, StoreError
from srbench.images.files import write_png
from srbench.results.leak_records import LEAKS_FILE, read_leaks

Pixels = np.ndarray
Find = Callable[[dict[str, Pixels], dict[str, Pixels]], list[Leak]]


def picture(rng: np.random.Generator, height: int = 150, width: int = 200) -> Pixels:
    """Return something like a photograph: detail at all scales, the coarser the stronger, and a little noise."""
    total = np.zeros((height, width, 3))
    for cells, weight in ((4, 90), (12, 45), (36, 22), (90, 12)):
        coarse = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        channels = [Image.fromarray(coarse[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(3)]
        total += weight * np.stack([np.asarray(channel) for channel in channels], axis=2)
    return np.clip(128 + total + rng.normal(0, 2, total.shape), 0, 255).astype(np.uint8)


def compressed(image: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
    return np.array(Image.open(buffer).convert("RGB"))


@pytest.fixture
def find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Find:
    """Return a function that writes two sets of images and looks for leaks, with a cache of its own."""
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    calls = iter(range(99))

    def find(train: dict[str, Pixels], test: dict[str, Pixels]) -> list[Leak]:
        folder = tmp_path / f"sets{next(calls)}"
        for kind, images in (("train", train), ("test", test)):
            for name, image in images.items():
                write_png(image, folder / kind / f"{name}.png")
        return find_leaks(FolderDataset(folder / "train"), FolderDataset(folder / "test"))

    return find


@pytest.fixture
def pictures(seed: int) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    return [picture(rng) for _ in range(6)]


def test_unrelated_images_are_not_found(find: Find, pictures: list[Pixels]) -> None:
    """Law: independent random pictures share nothing, at any size."""
    small = pictures[5][:60, :80]
    train = {f"a{index}": image for index, image in enumerate(pictures[:3])} | {"small": small}
    assert find(train, {f"b{index}": image for index, image in enumerate(pictures[3:5])}) == []


def test_a_copy_is_exact_in_every_orientation(find: Find, pictures: list[Pixels]) -> None:
    """Law: an image is found in a set that has it, flipped and rotated in any way, and the way is said."""
    train = {f"t{place}": way.applied(pictures[0]).astype(np.uint8) for place, way in enumerate(ORIENTATIONS)}
    found = find(train | {"other": pictures[1]}, {"wanted": pictures[0]})
    assert [(leak.train, leak.kind, leak.score) for leak in found] == [
        (f"t{place}", "exact", 1.0) for place in range(8)
    ]
    assert [leak.orientation for leak in found] == [str(way) for way in ORIENTATIONS]
    assert found[0].test_box == found[0].train_box == (0, 0, 150, 200)


@pytest.mark.parametrize("quality", [95, 60, 30])
def test_a_compressed_copy_is_near(find: Find, pictures: list[Pixels], quality: int) -> None:
    [leak] = find({"copy": compressed(pictures[0], quality), "other": pictures[1]}, {"wanted": pictures[0]})
    assert (leak.train, leak.kind, leak.orientation) == ("copy", "near", "")
    assert 0.95 <= leak.score <= 1


def test_a_resized_and_mirrored_copy_is_near(find: Find, pictures: list[Pixels]) -> None:
    half = np.array(Image.fromarray(pictures[0]).resize((100, 75), Image.Resampling.BICUBIC))[:, ::-1]
    [leak] = find({"half": half, "other": pictures[1]}, {"wanted": pictures[0]})
    assert (leak.train, leak.kind, leak.orientation) == ("half", "near", "mirrored")


def test_a_crop_is_found_at_any_offset(find: Find, pictures: list[Pixels], seed: int) -> None:
    """Law: a part of at least 48 pixels each way is found where it is, whichever of the two images it was cut from."""
    rng = np.random.default_rng(seed)
    for size in (48, 64, 90):
        top, left = (int(rng.integers(0, limit - size)) for limit in (150, 200))
        part = pictures[0][top : top + size, left : left + size]
        box = (top, left, top + size, left + size)
        [leak] = find({"whole": pictures[0], "other": pictures[1]}, {"part": part})
        assert (leak.kind, leak.score, leak.train_box, leak.test_box) == ("crop", 1.0, box, (0, 0, size, size))
        [leak] = find({"part": part, "other": pictures[1]}, {"whole": pictures[0]})
        assert (leak.kind, leak.score, leak.test_box, leak.train_box) == ("crop", 1.0, box, (0, 0, size, size))


def test_two_parts_of_one_picture_are_found_by_what_they_share(find: Find, pictures: list[Pixels]) -> None:
    [leak] = find({"left": pictures[0][:, :120]}, {"right": pictures[0][10:, 60:][:, ::-1]})
    assert (leak.kind, leak.orientation) == ("crop", "mirrored")
    assert leak.train_box == (10, 60, 150, 120)
    assert leak.test_box == (0, 0, 140, 60)


def test_a_compressed_crop_is_found(find: Find, pictures: list[Pixels], seed: int) -> None:
    rng = np.random.default_rng(seed)
    top, left = (int(rng.integers(0, limit - 90)) for limit in (150, 200))
    part = compressed(pictures[0][top : top + 90, left : left + 90], 80)
    [leak] = find({"whole": pictures[0], "other": pictures[1]}, {"part": part})
    assert (leak.kind, leak.train_box, leak.test_box) == ("near crop", (top, left, top + 90, left + 90), (0, 0, 90, 90))


def test_flat_images_are_found_only_if_equal(find: Find) -> None:
    """Law: where there is nothing to see, nothing is alike but equal images."""
    white, grey = np.full((80, 90, 3), 255, np.uint8), np.full((120, 120, 3), 90, np.uint8)
    assert find({"white": white[:70]}, {"grey": grey, "white": white}) == []
    assert [leak.kind for leak in find({"white": white}, {"grey": grey, "white": white})] == ["exact"]


def test_tiny_images_break_nothing(find: Find, pictures: list[Pixels]) -> None:
    tiny = pictures[0][:5, :7]
    assert [leak.kind for leak in find({"tiny": tiny, "whole": pictures[0]}, {"tiny": tiny})] == ["exact"]


def test_what_was_found_is_kept_and_damage_to_it_is_noticed(
    find: Find, pictures: list[Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(train: str, test: str) -> list[Leak]:
        return find({train: pictures[0]}, {test: pictures[0]})

    before = search("a", "b")
    [kept] = (tmp_path / "cache" / "leaks").rglob("*.json")
    with monkeypatch.context() as patched:
        patched.setattr("srbench.data.leaks._search", lambda *_: pytest.fail("it was searched again"))
        [renamed] = search("x", "y")
    assert (renamed.train, renamed.test, renamed.kind) == ("x", "y", before[0].kind)
    kept.write_text(kept.read_text().replace("exact", "near"))
    assert search("a", "b") == before


def test_windows_hash_by_their_pixels_alone(seed: int) -> None:
    """Law: equal windows have equal hashes wherever they are; one changed level changes all windows that see it."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (24, 30, 3), dtype=np.uint8)
    moved = np.roll(image, (3, 5), axis=(0, 1))
    assert (window_hashes(moved)[3:, 5:] == window_hashes(image)[:-3, :-5]).all()
    changed = image.copy()
    changed[12, 15, rng.integers(3)] ^= 1
    differs = window_hashes(changed) != window_hashes(image)
    assert differs[5:13, 8:16].all()
    assert differs.sum() == 64
    for top, left, hash_ in anchors(image):
        assert hash_ == int(window_hashes(image)[top, left])


def test_the_best_place_of_a_template_is_where_it_was_cut(seed: int) -> None:
    """Law: correlation is 1 at the place that a template was cut from, also after a change of contrast."""
    plane = np.random.default_rng(seed).normal(size=(40, 50))
    score, top, left = best_place(3 * plane[7:27, 11:33] + 5, plane)
    assert (top, left) == (7, 11)
    assert score == pytest.approx(1)
    assert best_place(np.ones((5, 5)), plane)[0] == 0


def test_a_hash_changes_little_with_brightness_and_contrast(pictures: list[Pixels]) -> None:
    darker = (pictures[0] * 0.7 + 10).astype(np.uint8)
    bits = [Thumbnail.of(image).bits for image in (pictures[0], darker, pictures[1])]
    assert (bits[0] != bits[1]).sum() <= 4
    assert (bits[0] != bits[2]).sum() > 12


class TestCommand:
    @pytest.fixture
    def sets(self, tmp_path: Path, pictures: list[Pixels], monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return a folder with a training set and two test sets; the first of these shares an image with it."""
        monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        for name, images in (("train", (0, 1)), ("first", (1, 2)), ("second", (3,))):
            for index in images:
                write_png(pictures[index], tmp_path / name / f"{name}{index}.png")
        (tmp_path / "results").mkdir()
        return tmp_path

    @staticmethod
    def leaks(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["data", "leaks", *arguments])
        if isinstance(result.exception, SRBenchError):
            raise result.exception
        return result

    def test_it_says_what_it_found_in_each_test_set(self, sets: Path) -> None:
        done = self.leaks("train", "first", "second")
        assert done.exit_code == 0
        assert "1 of 2 images of first are in train (2 images), wholly or in part" in done.stdout
        assert "0 of 1 images of second are in train" in done.stdout
        result = json.loads(self.leaks("train", "first", "second", "--json", "-").stdout)
        [first, second] = result["tests"]
        assert (first["leaked_images"], second["leaked_images"]) == (1, 0)
        assert [(leak["test"], leak["train"], leak["kind"]) for leak in first["leaks"]] == [
            ("first1", "train1", "exact")
        ]

    def test_fail_gives_a_status(self, sets: Path) -> None:
        assert self.leaks("train", "first", "--fail").exit_code == 1
        assert self.leaks("train", "second", "--fail").exit_code == 0

    def test_record_keeps_it_beside_results(self, sets: Path) -> None:
        assert self.leaks("train", "first", "second", "--record", "results").exit_code == 0
        content = {name: FolderDataset(sets / name).content_hash() for name in ("train", "first", "second")}
        found = read_leaks(sets / "results")
        assert {key: record.images for key, record in found.items()} == {
            (content["train"], content["first"]): 1,
            (content["train"], content["second"]): 0,
        }

    def test_wrong_places_are_refused_before_the_work(self, sets: Path) -> None:
        with pytest.raises(ConfigError, match="is not a folder"):
            self.leaks("train", "first", "--record", "nowhere")
        (sets / "results" / LEAKS_FILE).write_text("no JSON")
        with pytest.raises(StoreError, match="remove it"):
            self.leaks("train", "first", "--record", "results")
        assert not (sets / "cache" / "leaks").exists()
