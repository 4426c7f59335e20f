"""Register folders of images under a name, and open what was registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from srbench.data.folders import FolderDataset
from srbench.data.known_sets import known_set
from srbench.errors import ConfigError, DataError, DuplicateNameError, StoreError, UnknownNameError, suggest
from srbench.images.files import is_image_file, pixels_sha256
from srbench.registry.registered_data import (
    Manifest,
    RegisteredImage,
    check_name,
    manifest_path,
    read_manifest,
    registered_names,
)
from srbench.storage import disk_errors

__all__ = ["available", "open_registered", "register", "unregister"]

_LISTED = 3


def register(
    name: str,
    folder: Path,
    *,
    scales: Sequence[int] = (),
    licence: str = "",
    url: str = "",
    progress: Callable[[int, int, str], None] | None = None,
) -> Manifest:
    """Write the manifest of a folder, after which its name can be used like that of any data set.

    Args:
        name: The name.
        folder: The images, laid out as for `FolderDataset`.
        scales: Scales of which there must be an LR file for every image.
        licence: Terms of the images; those of a known set if not given.
        url: Where they come from.
        progress: Called after each image with how many are done, how many there are, and its name.

    Raises:
        ConfigError: The name cannot be used.
        DuplicateNameError: An installed data set has the name, or other images are registered under it.
        DataError: The folder holds other images than the known set of that name, or LR files are missing.
        StoreError: The manifest cannot be written.
    """
    check_name(name)
    _check_free(name)
    dataset = FolderDataset(folder, name=name)
    _check_known(name, dataset)
    for scale in scales:
        dataset.shipped_lr(dataset.image_names()[0], scale)  # raises unless there is one for every image
    known = known_set(name)
    manifest = Manifest(
        name,
        str(dataset.path.resolve()),
        _images(dataset, progress),
        dataset.content_hash(),
        tuple(sorted(set(scales))),
        licence or (known.licence if known is not None else ""),
        url,
    )
    if name in registered_names():
        before = read_manifest(name)
        if before.content_hash != manifest.content_hash:
            raise DuplicateNameError(
                f"other images are registered as '{name}' ({len(before.images)}, from '{before.folder}'); choose "
                f"another name, or run `srbench data unregister {name}` first"
            )
        manifest = replace(manifest, licence=manifest.licence or before.licence, url=url or before.url)
    manifest.write()
    return manifest


def unregister(name: str) -> Manifest | None:
    """Forget a registered name; the images stay where they are.

    Returns:
        What was registered; None if its manifest was damaged.

    Raises:
        UnknownNameError: Nothing is registered under the name.
        StoreError: The manifest cannot be removed.
    """
    if name not in registered_names():
        raise UnknownNameError(
            f"no data set '{name}' is registered" + suggest(name, registered_names(), noun="registered")
        )
    try:
        manifest = read_manifest(name)
    except StoreError:
        path = manifest_path(name)
        with disk_errors(path):
            path.unlink()
        return None
    manifest.remove()
    return manifest


def open_registered(name: str) -> FolderDataset:
    """Open a registered data set after checking that its folder holds the registered images and no others.

    Files of the registered size and time are taken to be unchanged; others are decoded and compared by their pixels.

    Raises:
        StoreError: The manifest is damaged.
        DataError: The folder is gone, or its images are not the registered ones.
    """
    manifest = read_manifest(name)
    if not Path(manifest.folder).is_dir():
        raise DataError(
            f"'{name}' was registered from '{manifest.folder}', which is no longer there; put it back, or run `srbench "
            f"data register {name} FOLDER` with the folder that has the images now"
        )
    dataset = FolderDataset(manifest.folder, name=name)
    files, wanted = _files(dataset), {image.image for image in manifest.images}
    there = set(files)
    wrong = {"missing": sorted(wanted - there), "new": sorted(there - wanted)}
    both = (image for image in manifest.images if image.image in there)
    wrong["changed"] = [image.image for image in both if _changed(dataset, image, files[image.image])]
    if any(wrong.values()):
        found = "; ".join(f"{len(names)} {what}: {_shortened(names)}" for what, names in wrong.items() if names)
        raise DataError(
            f"the images in '{manifest.folder}' are not those registered as '{name}' ({found}); restore them, or run "
            f"`srbench data unregister {name}` and register the folder again"
        )
    return dataset


def available(manifest: Manifest) -> int:
    """Return how many files of a registered data set are where they were."""
    return sum((Path(manifest.folder) / image.file).is_file() for image in manifest.images)


def _images(dataset: FolderDataset, progress: Callable[[int, int, str], None] | None) -> tuple[RegisteredImage, ...]:
    names, files = dataset.image_names(), _files(dataset)
    found = []
    for done, name in enumerate(names, 1):
        status = files[name].stat()
        pixels = dataset.hr(name)
        height, width = pixels.shape[:2]
        place = files[name].relative_to(dataset.path).as_posix()
        digest = pixels_sha256(pixels)
        found.append(RegisteredImage(name, place, digest, width, height, status.st_size, status.st_mtime_ns))
        if progress is not None:
            progress(done, len(names), name)
    return tuple(found)


def _check_free(name: str) -> None:
    from srbench.registry import DATASETS

    for other in DATASETS.installed():
        if other.lower() == name.lower():
            raise DuplicateNameError(
                f"'{other}' is a data set of sr-bench or of a plugin; its images are recognized by their pixels: run "
                "`srbench cache add FOLDER`, or choose another name"
            )


def _check_known(name: str, dataset: FolderDataset) -> None:
    known = known_set(name)
    if known is None:
        return
    if known.name != name:
        raise ConfigError(f"'{name}' is known as '{known.name}'; register it under that name, or choose another")
    count = len(dataset.image_names())
    if known.images is not None and count != known.images:
        raise DataError(
            f"'{name}' has {known.images} images ({known.what}); there are {count} in '{dataset.hr_folder}': give the "
            "folder with all of them and no others, or choose another name"
        )


def _files(dataset: FolderDataset) -> dict[str, Path]:
    """Return the file of each HR image."""
    return {file.stem: file for file in dataset.hr_folder.iterdir() if file.is_file() and is_image_file(file)}


def _changed(dataset: FolderDataset, image: RegisteredImage, file: Path) -> bool:
    status = file.stat()
    if (status.st_size, status.st_mtime_ns) == (image.size, image.modified):
        return False
    return pixels_sha256(dataset.hr(image.image)) != image.pixels_sha256


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
