"""Which test images, or parts of them, are in a training set."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from srbench.data.datasets import Dataset
from srbench.data.fingerprints import (
    ORIENTATIONS,
    WINDOW,
    Orientation,
    Thumbnail,
    anchors,
    best_place,
    correlation,
    luma,
    window_hashes,
)
from srbench.errors import DataError, StoreError
from srbench.images.files import pixels_sha256
from srbench.storage import canonical_json, sha256_bytes, write_atomic
from srbench.untrusted import parse_json, read_text

__all__ = ["Box", "Kind", "Leak", "find_leaks"]

Image = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float64]
Kind = Literal["exact", "near", "crop", "near crop"]
Box = tuple[int, int, int, int]

# To be counted up when the search finds something else.
_VERSION = 1

# Of 63 bits of a perceptual hash, how many may differ, and how alike the images must be then.
_BITS = 12
_NEAR = 0.95
# A part that two images share: its shorter side in pixels, and the share of its pixels that are equal.
_PART = 32
_EQUAL = 0.98
# The correlation of a small picture that makes a place worth a look, and that of all pixels there.
_CANDIDATE = 0.8
_SHORT_SIDE = 24
_LARGEST_STEP = 8
_TABLE_BITS = 22


@dataclass(frozen=True)
class Leak:
    """A test image that is in the training set, wholly or in part.

    Attributes:
        test: Name of the test image.
        train: Name of the training image.
        kind: `exact`: all pixels are equal; `near`: the same picture, resized, compressed or retouched; `crop`: a part
            with equal pixels; `near crop`: one image is a part of the other, but its pixels are not quite equal.
        score: The share of equal pixels (`exact`, `crop`), or the correlation of luma.
        orientation: How the test image is flipped or rotated in the training image; empty where it is not.
        test_box: Top, left, bottom and right of the shared part in the test image, as it is oriented in the training
            image.
        train_box: The same in the training image.
    """

    test: str
    train: str
    kind: Kind
    score: float
    orientation: str
    test_box: Box
    train_box: Box


Progress = Callable[[str, int, int], None]


def find_leaks(train: Dataset, test: Dataset, progress: Progress | None = None) -> list[Leak]:
    """Compare every test image with every training image.

    Args:
        train: The images that a network was trained on.
        test: The images that it is measured on.
        progress: Called after each image with what is done, how many are done, and how many there are.

    Returns:
        At most one leak for each pair of images, in the order of the test images. It is kept in the cache.

    Raises:
        DataError: An image is not right.
        NetworkError: An image is missing and cannot be downloaded.
    """
    key = sha256_bytes(f"leaks {_VERSION} {train.content_hash()} {test.content_hash()}".encode())
    path = train.cache.root / "leaks" / key[:2] / f"{key}.json"
    names = [{content: name for name, content in dataset.pixel_hashes().items()} for dataset in (train, test)]
    order = {name: place for place, name in enumerate(test.image_names())}
    known = _read(path)
    if known is None:
        known = _search(train, test, progress)
        with contextlib.suppress(StoreError):  # they are right whether they could be kept or not
            text = canonical_json([asdict(leak) for leak in known])
            write_atomic(path, f"{sha256_bytes(text.encode())}\n{text}".encode())
    # They are kept under the images' hashes: names may change.
    named = [Leak(names[1][leak.test], names[0][leak.train], *_rest(leak)) for leak in known]
    return sorted(named, key=lambda leak: (order[leak.test], leak.train))


def _rest(leak: Leak) -> tuple[Kind, float, str, Box, Box]:
    return leak.kind, leak.score, leak.orientation, leak.test_box, leak.train_box


def _read(path: Path) -> list[Leak] | None:
    """Return what the cache has, None where it is missing or damaged."""
    try:
        check, _, text = read_text(path).partition("\n")
        if check != sha256_bytes(text.encode()):
            return None
        found = [
            Leak(**{**entry, "test_box": tuple(entry["test_box"]), "train_box": tuple(entry["train_box"])})
            for entry in parse_json(text)
        ]
    except (DataError, ValueError, TypeError, KeyError):
        return None
    return found if all(leak.kind in get_args(Kind) for leak in found) else None


def _search(train: Dataset, test: Dataset, progress: Progress | None) -> list[Leak]:
    """Search without the cache; images are named by their pixel hashes."""
    wanted = _Wanted()
    tests, trains = test.image_names(), train.image_names()
    total = len(tests) + len(trains)
    for count, name in enumerate(tests, 1):
        wanted.add(test.hr(name))
        if progress is not None:
            progress(f"reading {test.name}", count, total)
    wanted.finish()
    found: list[Leak] = []
    for count, name in enumerate(trains, len(tests) + 1):
        found += wanted.in_image(train.hr(name))
        if progress is not None:
            progress(f"searching {train.name}", count, total)
    return found


class _Wanted:
    """The test images, prepared to be found in others."""

    def __init__(self) -> None:
        self.images: list[Image] = []
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        self.thumbnails: list[Thumbnail] = []
        self.planes: list[dict[bool, Plane]] = []
        self.by_hash: dict[str, tuple[int, Orientation]] = {}
        self._places: list[tuple[int, int, int, int, int]] = []  # hash, test image, orientation, top, left

    def add(self, image: Image) -> None:
        """Take a test image."""
        index = len(self.images)
        self.images.append(image)
        self.names.append(pixels_sha256(image))
        self.index[self.names[-1]] = index
        self.thumbnails.append(Thumbnail.of(image))
        plane = luma(image)
        self.planes.append({False: plane, True: plane[:, ::-1]})
        for place, orientation in enumerate(ORIENTATIONS):
            turned = self.turned(index, orientation)
            self.by_hash.setdefault(pixels_sha256(turned), (index, orientation))
            self._places += [(hash_, index, place, top, left) for top, left, hash_ in anchors(turned)]

    def turned(self, index: int, orientation: Orientation) -> Image:
        """Return a test image in an orientation."""
        return np.ascontiguousarray(orientation.applied(self.images[index]).astype(np.uint8))

    def finish(self) -> None:
        """Build the tables for the search, when all images are there."""
        self._places.sort()
        self._hashes = np.array([place[0] for place in self._places], dtype=np.uint64)
        self._table = np.zeros(2**_TABLE_BITS, dtype=bool)
        self._table[self._hashes >> np.uint64(64 - _TABLE_BITS)] = True
        self._bits = np.stack(
            [thumbnail.turned(orientation).bits for thumbnail in self.thumbnails for orientation in ORIENTATIONS]
        )

    def in_image(self, image: Image) -> list[Leak]:
        """Return the test images that a training image holds, each in the way that says most."""
        name = pixels_sha256(image)
        found: dict[int, Leak] = {}
        if (same := self.by_hash.get(name)) is not None:
            index, orientation = same
            turned = self.turned(index, orientation)
            found[index] = Leak(self.names[index], name, "exact", 1.0, str(orientation), _whole(turned), _whole(image))
        for leak in (*self._parts(image, name), *self._near(image, name), *self._near_crops(image, name)):
            found.setdefault(self.index[leak.test], leak)
        return list(found.values())

    def _parts(self, image: Image, name: str) -> list[Leak]:
        """Find parts with equal pixels, by the windows that both images have."""
        if min(image.shape[:2]) < WINDOW or not len(self._hashes):
            return []
        hashes = window_hashes(image)
        rows, columns = np.nonzero(self._table[hashes >> np.uint64(64 - _TABLE_BITS)])
        candidates = hashes[rows, columns]
        first = np.searchsorted(self._hashes, candidates, side="left")
        hits = np.flatnonzero(self._hashes[np.minimum(first, len(self._hashes) - 1)] == candidates)
        offsets: Counter[tuple[int, int, int, int]] = Counter()
        for hit in hits:
            place = int(first[hit])
            while place < len(self._places) and self._places[place][0] == int(candidates[hit]):
                _, index, orientation, top, left = self._places[place]
                offsets[index, orientation, int(rows[hit]) - top, int(columns[hit]) - left] += 1
                place += 1
        found: dict[int, Leak] = {}
        for (index, orientation, down, right), _ in offsets.most_common():
            if index in found:
                continue
            leak = self._overlap(image, name, index, ORIENTATIONS[orientation], down, right)
            if leak is not None:
                found[index] = leak
        return list(found.values())

    def _overlap(
        self, image: Image, name: str, index: int, orientation: Orientation, down: int, right: int
    ) -> Leak | None:
        """Compare the pixels that two images share if one is moved; return a leak where they are equal."""
        turned = self.turned(index, orientation)
        top, left = max(down, 0), max(right, 0)
        bottom = min(down + turned.shape[0], image.shape[0])
        end = min(right + turned.shape[1], image.shape[1])
        if min(bottom - top, end - left) < _PART:
            return None
        here = image[top:bottom, left:end]
        there = turned[top - down : bottom - down, left - right : end - right]
        share = float((here == there).all(axis=2).mean())
        if share < _EQUAL:
            return None
        test_box = (top - down, left - right, bottom - down, end - right)
        return Leak(self.names[index], name, "crop", share, str(orientation), test_box, (top, left, bottom, end))

    def _near(self, image: Image, name: str) -> list[Leak]:
        """Find the same picture in other pixels, by perceptual hashes."""
        thumbnail = Thumbnail.of(image)
        differing = (len(thumbnail.bits) - self._bits @ thumbnail.bits) / 2
        best: dict[int, Leak] = {}
        for place in np.flatnonzero(differing <= _BITS):
            index, orientation = divmod(int(place), len(ORIENTATIONS))
            way = ORIENTATIONS[orientation]
            score = correlation(self.thumbnails[index].turned(way).plane, thumbnail.plane)
            if score >= _NEAR and (index not in best or score > best[index].score):
                turned = self.turned(index, way)
                best[index] = Leak(self.names[index], name, "near", score, str(way), _whole(turned), _whole(image))
        return list(best.values())

    def _near_crops(self, image: Image, name: str) -> list[Leak]:
        """Find images that are a part of the other in other pixels, as they are or mirrored."""
        plane = luma(image)
        found = []
        for index, planes in enumerate(self.planes):
            for mirrored, other in planes.items():
                small, large = (plane, other) if plane.size < other.size else (other, plane)
                if not _fits(small, large):
                    continue
                place = _place_of(small, large)
                if place is None:
                    continue
                score, top, left = place
                inner: Box = (0, 0, small.shape[0], small.shape[1])
                outer: Box = (top, left, top + small.shape[0], left + small.shape[1])
                boxes = (outer, inner) if small is plane else (inner, outer)
                found.append(Leak(self.names[index], name, "near crop", score, str(Orientation(mirrored)), *boxes))
                break
        return found


def _whole(image: Image) -> Box:
    return (0, 0, image.shape[0], image.shape[1])


def _fits(small: Plane, large: Plane) -> bool:
    """Say whether one plane may be a part of the other, and is large enough to tell."""
    inside = small.shape[0] <= large.shape[0] and small.shape[1] <= large.shape[1] and small.shape != large.shape
    return inside and min(small.shape) >= 2 * _SHORT_SIDE


def _place_of(small: Plane, large: Plane) -> tuple[float, int, int] | None:
    """Return correlation, top and left of a plane in a larger one; None where it is not there."""
    step = max(1, min(_LARGEST_STEP, min(small.shape) // _SHORT_SIDE))
    coarse, row, column = best_place(_averaged(small, step), _averaged(large, step))
    if coarse < _CANDIDATE:
        return None
    top, left = max(row * step - step, 0), max(column * step - step, 0)
    part = large[top : row * step + small.shape[0] + 2 * step, left : column * step + small.shape[1] + 2 * step]
    if part.shape[0] < small.shape[0] or part.shape[1] < small.shape[1]:
        part, top, left = large, 0, 0
    score, down, right = best_place(small, part)
    return (score, top + down, left + right) if score >= _NEAR else None


def _averaged(plane: Plane, step: int) -> Plane:
    """Return the means of squares of `step` pixels."""
    height, width = (size // step for size in plane.shape)
    return np.asarray(plane[: height * step, : width * step].reshape(height, step, width, step).mean(axis=(1, 3)))
