"""The embedded images: there without a download, free, and pinned."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from srbench.data.datasets import open_dataset
from srbench.data.embedded import EmbeddedDataset, embedded_test, embedded_train
from srbench.data.verify import verify_hr
from srbench.errors import DataError


@pytest.mark.parametrize("name", ["embedded-train", "embedded-test"])
def test_every_image_is_there_with_the_pinned_pixels(name: str) -> None:
    findings = verify_hr(open_dataset(name))
    assert len(findings) >= 4
    assert [finding.note for finding in findings if not finding.ok] == []


def test_train_and_test_are_apart() -> None:
    train, test = embedded_train(), embedded_test()
    assert not set(train.image_names()) & set(test.image_names())
    assert not set(train.pixel_hashes().values()) & set(test.pixel_hashes().values())


@pytest.mark.parametrize("name", ["embedded-train", "embedded-test"])
def test_every_image_is_free_and_says_whose_it_is(name: str) -> None:
    dataset = open_dataset(name)
    assert dataset.redistributable
    for image in dataset.image_names():
        licence = dataset.licence(image)
        assert licence is not None
        assert licence.licence in ("CC0-1.0", "public domain")
        assert licence.author
        assert licence.source.startswith("http")


def test_other_pixels_are_named_as_such() -> None:
    images = embedded_test().images  # type: ignore[attr-defined]
    changed = EmbeddedDataset("changed", {"camera": replace(images["camera"], pixels_sha256="0" * 64)})
    with pytest.raises(DataError, match=r"camera\.png.*scikit-image .*other pixels"):
        changed.hr("camera")
    absent = EmbeddedDataset("absent", {"camera": replace(images["camera"], file="none.png")})
    with pytest.raises(DataError, match=r"has no 'none\.png'"):
        absent.hr("camera")


def test_scikit_image_itself_is_not_imported() -> None:
    program = (
        "import sys\nfrom srbench.data.embedded import embedded_train\nembedded_train().hr('hubble')\n"
        "sys.exit('skimage' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
