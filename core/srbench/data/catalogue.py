"""Files that can be added to the cache: everything that a data set, a tag or a metric needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from srbench.cache import Cache
from srbench.data.manifests import ManifestDataset
from srbench.errors import DataError, SRBenchError
from srbench.images.files import decode_rgb, is_image_file, pixels_sha256
from srbench.storage import sha256_bytes
from srbench.untrusted import CHECKPOINT_LIMIT, read_bytes

__all__ = ["Additions", "add_paths", "known_files", "known_images", "manifest_datasets"]


@dataclass
class Additions:
    """Files added to the cache.

    Attributes:
        added: Each added file, and what it is.
        skipped: Each skipped file, and why.
    """

    added: list[tuple[Path, str]] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def manifest_datasets() -> list[ManifestDataset]:
    """Return the registered data sets that have a manifest."""
    from srbench.registry import get_dataset, list_datasets

    found = []
    for name in list_datasets():
        try:
            dataset = get_dataset(name)
        except SRBenchError:
            continue  # a broken plugin must not hide the others; `srbench plugins doctor` reports it
        if isinstance(dataset, ManifestDataset):
            found.append(dataset)
    return found


def known_images() -> dict[str, str]:
    """Return pixel hash -> image, such as `Set5/baby`."""
    return {
        file.pixels_sha256: f"{dataset.name}/{image}"
        for dataset in manifest_datasets()
        for image, file in dataset.files.items()
    }


def known_files() -> dict[str, str]:
    """Return file hash -> what it is: the weights of a tag, a file of a metric, or an image's published file."""
    from srbench.metrics.resources import metric_files
    from srbench.models.weight_sources import all_sources

    files = {file.sha256: f"{data.name}/{image}" for data in manifest_datasets() for image, file in data.files.items()}
    files |= {file.sha256: f"metric {name} ({file.name})" for name, of in metric_files().items() for file in of}
    # Several tags may use one file; it is named after the first.
    return files | {source.sha256: f"weights {source.model} ({source.name})" for source in reversed(all_sources())}


def add_paths(paths: Iterable[Path], cache: Cache, progress: Callable[[Path], None] | None = None) -> Additions:
    """Add every known file under some paths to the cache. Files are recognized by hash, images also by their pixels.

    Args:
        paths: Files and folders to search.
        cache: The cache.
        progress: Called with each file before it is read.

    Raises:
        DataError: If a path does not exist or a file cannot be read.
        StoreError: If the cache cannot be written; files added before are kept.
    """
    images, files = known_images(), known_files()
    report = Additions()
    for path in _walk(paths):
        if progress is not None:
            progress(path)
        content = read_bytes(path, limit=CHECKPOINT_LIMIT)
        what = files.get(sha256_bytes(content))
        pixels = None
        if is_image_file(path):
            try:
                pixels = pixels_sha256(decode_rgb(content, str(path)))
            except DataError as error:
                report.skipped.append((path, str(error)))
                continue
            what = images.get(pixels, what)
        if what is None:
            report.skipped.append((path, "is not known to any data set, tag or metric"))
            continue
        digest = cache.keep(content)
        if pixels is not None:
            cache.index_pixels(pixels, digest)
        report.added.append((path, what))
    return report


def _walk(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            try:
                os.listdir(path)  # rglob silently skips what it may not read
            except OSError as error:
                raise DataError(f"the folder '{path}' cannot be read: {error.strerror}") from error
            yield from sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        elif path.exists():
            yield path
        else:
            raise DataError(f"'{path}' does not exist; give files, or folders that hold them")
