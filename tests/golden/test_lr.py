"""LR images against files that Matlab wrote: the community's benchmark archive, in shared/data/benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srbench.data.folders import FolderDataset
from srbench.data.verify import verify_lr
from srbench.protocols import Protocol, get_protocol


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("dataset", "images"), [("Set5", 5), ("Set14", 14)])
def test_no_pixel_differs_from_matlabs_lr_files(shared: Path, dataset: str, images: int, scale: int) -> None:
    folder = FolderDataset(shared / "data" / "benchmark" / dataset)
    findings = verify_lr(folder, scale, get_protocol("matlab-y"))
    assert [finding.image for finding in findings if finding.differing or not finding.ok] == []
    assert len(findings) == images
    assert all(finding.values > 0 for finding in findings)


def test_no_pixel_differs_from_the_x8_files_when_rounded_once(shared: Path) -> None:
    folder = FolderDataset(shared / "data" / "benchmark" / "Set5")
    findings = verify_lr(folder, 8, Protocol("once", lr_rounding="once"))
    assert sum(finding.differing for finding in findings) == 0
    assert sum(finding.values for finding in findings) == 26_535


def test_the_x8_files_tell_one_rounding_from_two(shared: Path) -> None:
    # 1,902 of 26,535 values: reference/FACTS.md. The comparison above can fail.
    findings = verify_lr(FolderDataset(shared / "data" / "benchmark" / "Set5"), 8, get_protocol("matlab-y"))
    assert sum(finding.differing for finding in findings) == 1_902


def test_padding_matters_at_the_border_only(shared: Path) -> None:
    folder = FolderDataset(shared / "data" / "benchmark" / "Set5")
    symmetric = folder.lr("butterfly", 2, get_protocol("matlab-y"))
    replicate = folder.lr("butterfly", 2, Protocol("older-matlab", lr_padding="replicate"))
    assert not np.array_equal(symmetric, replicate)
    assert np.array_equal(symmetric[2:-2, 2:-2], replicate[2:-2, 2:-2])
