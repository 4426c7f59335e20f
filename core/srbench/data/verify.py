"""Compare what a data set holds with what it should hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from srbench.data.datasets import Dataset
from srbench.errors import DataError
from srbench.images.files import pixels_sha256
from srbench.protocols import Protocol

__all__ = ["Finding", "verify_hr", "verify_lr"]


@dataclass(frozen=True)
class Finding:
    """Say how one image compares.

    Attributes:
        image: Its name.
        ok: Whether it is as it should be.
        values: How many values (pixels times three channels) the image has; 0 where it could not be compared.
        differing: How many of them differ.
        largest: The largest difference, in levels.
        note: What is wrong, where numbers do not say it.
    """

    image: str
    ok: bool
    values: int = 0
    differing: int = 0
    largest: int = 0
    note: str = ""


def verify_hr(dataset: Dataset) -> list[Finding]:
    """Read every HR image that is there, and compare its pixel hash where one is known."""
    missing = set(dataset.missing())
    findings = []
    for image in dataset.image_names():
        if image in missing:
            findings.append(Finding(image, ok=False, note="not in the cache"))
            continue
        try:
            hr = dataset.hr(image)
            findings.append(Finding(image, ok=True, values=hr.size, note=pixels_sha256(hr)))
        except DataError as error:
            findings.append(Finding(image, ok=False, note=str(error)))
    return findings


def verify_lr(dataset: Dataset, scale: int, protocol: Protocol) -> list[Finding]:
    """Compare every LR image that came with a data set with the one that the protocol makes.

    Raises:
        DataError: If the data set has no LR images of that scale, or not for all its images.
    """
    findings = []
    for image in dataset.image_names():
        shipped = dataset.shipped_lr(image, scale)
        generated = dataset.lr(image, scale, protocol)
        if shipped.shape != generated.shape:
            sizes = [f"{array.shape[1]}x{array.shape[0]}" for array in (shipped, generated)]
            findings.append(Finding(image, ok=False, note=f"is {sizes[0]}, should be {sizes[1]}"))
            continue
        difference = np.abs(np.subtract(shipped, generated, dtype=np.int16))
        count = int(np.count_nonzero(difference))
        findings.append(
            Finding(image, ok=count == 0, values=shipped.size, differing=count, largest=int(difference.max()))
        )
    return findings
