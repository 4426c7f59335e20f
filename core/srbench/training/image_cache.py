"""Decoded training images with their LR images, prepared once for all models of a run and for later runs.

They are stored in the cache as flat files of pixels, named by the pixels' hash, and memory-mapped later instead of
decoded.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import multiprocessing
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from srbench.errors import StoreError
from srbench.protocols import get_protocol
from srbench.storage import disk_errors, sha256_bytes, write_atomic
from srbench.untrusted import check_regular, parse_json, read_text

if TYPE_CHECKING:
    import torch

    from srbench.data.datasets import Dataset

__all__ = ["PreparedImages", "is_worth_caching", "prepare_arrays", "prepare_images"]

Image = npt.NDArray[np.uint8]

_VERSION = 1
# Fraction of a device's free memory that images may take; the rest is for the training.
_SHARE_OF_MEMORY = 0.6
# Starting a process takes as long as decoding a few images.
_IMAGES_WORTH_PROCESSES = 64


@dataclass(frozen=True)
class PreparedImages:
    """Training images and their LR images as planes `(3, H, W)`, uint8.

    Attributes:
        names: The images' names, sorted by pixel hash, so that names do not affect what is drawn.
        hr: HR images.
        lr: LR images by scale.
    """

    names: list[str]
    hr: list[Image]
    lr: dict[int, list[Image]]
    _buffers: dict[tuple[int | None, str], torch.Tensor] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def nbytes(self) -> int:
        """Total size of the images in bytes."""
        return sum(image.nbytes for images in (self.hr, *self.lr.values()) for image in images)

    def fits(self, device: torch.device) -> bool:
        """Return whether all images fit in a device's memory, where another training may already have put them."""
        import torch

        if device.type != "cuda" or (None, str(device)) in self._buffers:
            return True
        return self.nbytes <= _SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]

    def buffer(self, scale: int | None, device: torch.device) -> torch.Tensor:
        """Return all pixels of the HR images (None) or of a scale's LR images, in one tensor shared by trainings."""
        import torch

        key = (scale, str(device))
        if key not in self._buffers:
            images = self.hr if scale is None else self.lr[scale]
            self._buffers[key] = torch.from_numpy(np.concatenate([image.ravel() for image in images])).to(device)
        return self._buffers[key]


def prepare_arrays(images: Mapping[str, Image], scales: Sequence[int]) -> PreparedImages:
    """Prepare images given as arrays `(H, W, 3)`, in their order, without the cache."""
    protocol = get_protocol("matlab-y")
    arrays = list(images.values())
    lr = {scale: [_planar(protocol.lr_image(image, scale)) for image in arrays] for scale in scales}
    return PreparedImages(list(images), [_planar(image) for image in arrays], lr)


def prepare_images(
    dataset: Dataset,
    scales: Sequence[int],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PreparedImages:
    """Return a data set's images, from the cache if they were prepared before.

    Args:
        dataset: HR images.
        scales: Scales to make LR images for.
        workers: Number of decoding processes; by default one per core, and none for a few images.
        progress: Called with the number of finished images and the total; not called if they come from the cache.

    Raises:
        DataError: An image cannot be read.
    """
    hashes = dataset.pixel_hashes()
    names = sorted(hashes, key=lambda name: hashes[name])
    protocol = get_protocol("matlab-y")
    folder = dataset.cache.root / "training"
    # HR pixels are the same for every scale; LR pixels follow from them and from how they are made.
    identity = sha256_bytes(json.dumps([_VERSION, [hashes[name] for name in names]]).encode())
    files = {None: folder / identity[:2] / f"{identity}-hr"} | {
        scale: folder / identity[:2] / f"{identity}-x{scale}-{protocol.lr_digest[:16]}" for scale in scales
    }
    found = {key: _read(path, len(names)) for key, path in files.items()}
    if all(images is not None for images in found.values()):
        return _prepared(names, found)
    parts: dict[int | None, list[Image]] = {key: [] for key in files}
    for done, made in enumerate(_made(dataset, names, tuple(scales), workers), 1):
        for key, image in made.items():
            parts[key].append(image)
        if progress is not None:
            progress(done, len(names))
    if len(names) >= _IMAGES_WORTH_PROCESSES:
        # A full disk only costs time: the images are returned whether or not they could be cached.
        with contextlib.suppress(StoreError):
            for key, path in files.items():
                _write(path, parts[key])
            return _prepared(names, {key: _read(path, len(names)) or parts[key] for key, path in files.items()})
    return _prepared(names, parts)


def is_worth_caching(images: int) -> bool:
    """Return whether a set with so many images is kept in the cache."""
    return images >= _IMAGES_WORTH_PROCESSES


def _prepared(names: list[str], parts: Mapping[int | None, list[Image] | None]) -> PreparedImages:
    return PreparedImages(
        names, parts[None] or [], {scale: images or [] for scale, images in parts.items() if scale is not None}
    )


def _made(
    dataset: Dataset, names: Sequence[str], scales: tuple[int, ...], workers: int | None
) -> Iterator[dict[int | None, Image]]:
    """Yield each image's HR and LR planes, in order."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = workers if workers is not None else cores if len(names) >= _IMAGES_WORTH_PROCESSES else 1
    if count <= 1:
        yield from (_make(dataset, name, scales) for name in names)
        return
    with _pool(count) as pool:
        yield from pool.map(_make, [dataset] * len(names), names, [scales] * len(names))


def _pool(count: int) -> Executor:
    # A worker of `srbench run` may not start processes; decoding and resizing release the GIL, so threads help too.
    if multiprocessing.current_process().daemon:
        return ThreadPoolExecutor(count)
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))


def _make(dataset: Dataset, name: str, scales: tuple[int, ...]) -> dict[int | None, Image]:
    hr, protocol = dataset.hr(name), get_protocol("matlab-y")
    made: dict[int | None, Image] = {None: _planar(hr)}
    for scale in scales:
        # An image smaller than the scale has no LR pixels; the recipe's check reports it with its size.
        small = min(hr.shape[:2]) < scale
        made[scale] = np.empty((3, 0, 0), np.uint8) if small else _planar(protocol.lr_image(hr, scale))
    return made


def _planar(image: npt.NDArray[Any]) -> Image:
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def _write(path: Path, images: Sequence[Image]) -> None:
    """Write planes one after the other, then their sizes and a checksum in a second file, which marks them valid.

    Raises:
        StoreError: It could not be written.
    """
    checksum = 0
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tmp-", delete=False) as file:
            try:
                for image in images:  # one at a time: together they may take gigabytes
                    file.write(image.data)
                    checksum = zlib.crc32(image.data, checksum)
            except BaseException:
                Path(file.name).unlink()
                raise
        modified = Path(file.name).stat().st_mtime_ns
        Path(file.name).replace(path.with_name(path.name + ".u8"))
    note = {"shapes": [image.shape for image in images], "crc32": checksum, "modified": modified}
    write_atomic(path.with_name(path.name + ".json"), json.dumps(note).encode())


def _read(path: Path, count: int) -> list[Image] | None:
    """Memory-map the planes of a file; None if it is missing or damaged.

    The checksum of gigabytes takes longer than everything else at the start of a training, so it is computed only if
    the file's size or time of modification is no longer that of the file that was written.
    """
    pixels = path.with_name(path.name + ".u8")
    try:
        note = parse_json(read_text(path.with_name(path.name + ".json"), error=StoreError))
        shapes = [(int(planes), int(height), int(width)) for planes, height, width in note["shapes"]]
        ends = list(itertools.accumulate(planes * height * width for planes, height, width in shapes))
        if len(shapes) != count or any(planes != 3 or min(size) < 0 for planes, *size in shapes):
            return None
        if check_regular(pixels, ends[-1], "file of pixels", StoreError) != ends[-1]:
            return None
        content = np.memmap(pixels, dtype=np.uint8, mode="r")
        if note["modified"] != pixels.stat().st_mtime_ns and zlib.crc32(content.data) != note["crc32"]:
            return None
    except (OSError, StoreError, ValueError, KeyError, TypeError, IndexError, OverflowError):
        return None
    return [content[end - math.prod(shape) : end].reshape(shape) for end, shape in zip(ends, shapes, strict=True)]
