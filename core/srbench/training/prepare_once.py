"""Training images prepared by one process at a time, for all trainings that share a cache.

`prepare_images` finds the cache filled or fills it. If several trainings start at once, here one of them fills it while
the others wait, on one machine or on the nodes of a cluster.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from srbench.cache import Cache
from srbench.data.datasets import Dataset
from srbench.errors import StoreError
from srbench.storage import canonical_json, exclusive, sha256_bytes
from srbench.training.image_cache import is_worth_caching, prepare_images

__all__ = ["HashedOnce", "prepare_once"]

# Seconds to wait for another process; thousands of large images take less. Then a training prepares its own.
_PATIENCE = 3600.0


class HashedOnce(Dataset):
    """A data set whose files are hashed only once, at the start of a training.

    Args:
        dataset: The data set.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.name = dataset.name
        self.redistributable = dataset.redistributable
        self._hashes: dict[str, str] | None = None

    @property
    def cache(self) -> Cache:
        """The data set's cache."""
        return self.dataset.cache

    def image_names(self) -> list[str]:
        """Return the images' names."""
        return self.dataset.image_names()

    def hr(self, image: str) -> npt.NDArray[np.uint8]:
        """Return an HR image: uint8 RGB `(H, W, 3)`."""
        return self.dataset.hr(image)

    def pixel_hashes(self) -> dict[str, str]:
        """Return each image's pixel hash, computed by the first call."""
        if self._hashes is None:
            self._hashes = self.dataset.pixel_hashes()
        return dict(self._hashes)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the hashes, since the data set is sent to decoding processes with every image."""
        return {**self.__dict__, "_hashes": None}


class _Undecoded(HashedOnce):
    """The same data set, without its images."""

    def hr(self, image: str) -> npt.NDArray[np.uint8]:
        """Raise `_DecodeError`."""
        raise _DecodeError


class _DecodeError(Exception):
    """An image is not in the cache."""


def prepare_once(
    dataset: Dataset,
    scales: Sequence[int],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> HashedOnce:
    """Fill the cache with a data set's training images, or wait until another process has done so.

    Small sets, which are not cached, are left to each training; so are all sets where the cache cannot be locked.

    Args:
        dataset: HR images.
        scales: Scales to make LR images for: those of all trainings that will ask for them.
        workers: As for `prepare_images`.
        progress: Called with the number of finished images and the total, with 0 before waiting; not called if all
            images are in the cache.

    Returns:
        The data set for the training, with its hashes.

    Raises:
        DataError: An image cannot be read.
    """
    hashed = HashedOnce(dataset)
    hashes = hashed.pixel_hashes()
    if not is_worth_caching(len(hashes)) or _are_cached(hashed, scales):
        return hashed
    if progress is not None:
        progress(0, len(hashes))
    key = sha256_bytes(canonical_json(sorted(hashes.values())).encode())
    lock = hashed.cache.root / "training" / f".lock-{key[:32]}"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive(lock, owner=f"the cache of '{dataset.name}'", wait=_PATIENCE, remove=True))
        except (StoreError, NotImplementedError):  # a file system without locks, or one that cannot be written to
            return hashed
        prepare_images(hashed, scales, workers=workers, progress=progress)
    return hashed


def _are_cached(hashed: HashedOnce, scales: Sequence[int]) -> bool:
    probe = _Undecoded(hashed)
    try:
        prepare_images(probe, scales, workers=1)
    except _DecodeError:
        return False
    return True
