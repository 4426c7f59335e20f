"""Bicubic enlargement against per-image values of reference/per_image/authors_code.csv (rows Bicubic, std, round)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from srbench.data.folders import FolderDataset
from srbench.images.resize import imresize
from srbench.metrics.comparison import Comparison
from srbench.metrics.psnr import PSNRY
from srbench.metrics.ssim import SSIMY
from srbench.protocols import get_protocol

# Means in reference/FACTS.md, table "Means, authors' code and checkpoints".
MEANS = {
    ("Set5", 2): (33.6734, 0.93029),
    ("Set5", 3): (30.4033, 0.86891),
    ("Set5", 4): (28.4290, 0.81114),
    ("Set14", 2): (30.3246, 0.86985),
    ("Set14", 3): (27.6311, 0.77588),
    ("Set14", 4): (26.0884, 0.70480),
}


@pytest.mark.parametrize(("dataset", "scale"), MEANS)
def test_bicubic_scores_as_measured_with_matlab(shared: Path, dataset: str, scale: int) -> None:
    with (shared / "reference" / "per_image" / "authors_code.csv").open(newline="") as stream:
        expected = {
            row["image"]: (float(row["psnr_y"]), float(row["ssim_y"]))
            for row in csv.DictReader(stream)
            if (row["model"], row["dataset"], row["scale"], row["lr"], row["quant"])
            == ("Bicubic", dataset, str(scale), "std", "round")
        }
    folder = FolderDataset(shared / "data" / "benchmark" / dataset)
    assert sorted(expected) == sorted(folder.image_names())
    scores = {}
    for image in folder.image_names():
        lr, hr = folder.pair(image, scale, get_protocol("matlab-y"))
        sr = imresize(lr, scale)
        comparison = Comparison.under(get_protocol("matlab-y"), sr, hr, scale)
        scores[image] = (PSNRY()(comparison), SSIMY()(comparison))
    for image, (psnr, ssim) in scores.items():
        # The file holds six decimals.
        assert psnr == pytest.approx(expected[image][0], abs=2e-6)
        assert ssim == pytest.approx(expected[image][1], abs=2e-6)
    means = np.mean(list(scores.values()), axis=0)
    assert means[0] == pytest.approx(MEANS[dataset, scale][0], abs=1e-4)
    assert means[1] == pytest.approx(MEANS[dataset, scale][1], abs=1e-5)
