"""The published row Bicubic, digit by digit (reference/FACTS.md of the shared material)."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbench.data.folders import FolderDataset
from srbench.data.manifests import set14
from srbench.evaluation.evaluate import evaluate
from srbench.metrics.psnr import PSNRY
from srbench.models.backbones.bicubic import Bicubic
from srbench.protocols import get_protocol

PUBLISHED = {
    "Set5": {2: 33.6614, 3: 30.3922, 4: 28.4207},
    "Set14": {2: 30.2318, 3: 27.5405, 4: 26.0001},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_y_only_gives_the_published_bicubic_row(shared: Path, name: str) -> None:
    dataset = FolderDataset(shared / "data" / "benchmark" / name)
    for scale, published in PUBLISHED[name].items():
        found = evaluate(Bicubic((scale,)), dataset, scale, get_protocol("y-only"), [PSNRY()])
        assert round(found.means["psnr_y"], 4) == published


def test_the_grey_image_of_set14_is_known_by_file_and_by_manifest(shared: Path) -> None:
    folder, manifest = FolderDataset(shared / "data" / "benchmark" / "Set14"), set14()
    assert [image for image in folder.image_names() if folder.is_grey(image)] == ["img_003"]
    assert [image for image in manifest.image_names() if manifest.is_grey(image)] == ["img_003"]
