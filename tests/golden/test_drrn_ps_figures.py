"""DRRN-PS with the authors' weights, image by image, against figures made with the authors' own program."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from srbench.data.datasets import open_dataset
from srbench.factory import create_model
from srbench.protocols import get_protocol
from srbench.registry import get_metric
from srbench.surgery import fold

# FACTS, "Means, authors' code and checkpoints": (scale, protocol) -> PSNR-Y, SSIM-Y on Set5 and on Set14.
MEANS = {
    (2, "truncate-y"): {"Set5": (37.7874, 0.96007), "Set14": (33.4062, 0.91564)},
    (2, "matlab-y"): {"Set5": (37.8847, 0.96017), "Set14": (33.4454, 0.91570)},
    (3, "truncate-y"): {"Set5": (34.1179, 0.92547), "Set14": (30.0867, 0.83676)},
    (3, "matlab-y"): {"Set5": (34.1517, 0.92557), "Set14": (30.1032, 0.83682)},
    (4, "truncate-y"): {"Set5": (31.8457, 0.89068), "Set14": (28.3558, 0.77494)},
    (4, "matlab-y"): {"Set5": (31.8688, 0.89078), "Set14": (28.3665, 0.77501)},
}
QUANTISATION = {"matlab-y": "round", "truncate-y": "trunc"}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_image_of_set5_agrees_with_the_authors_program(filled_cache: Path, scale: int) -> None:
    compare(filled_cache, "Set5", scale)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_image_of_set14_agrees_with_the_authors_program(filled_cache: Path, scale: int) -> None:
    compare(filled_cache, "Set14", scale)


def compare(shared: Path, dataset_name: str, scale: int) -> None:
    # Folded: the same numbers (a law of its own, tests/properties) without making every kernel anew for every image.
    model = fold(create_model("drrn_b1u9+ps.author", scale=scale)).eval()
    dataset = open_dataset(dataset_name)
    psnr, ssim = get_metric("psnr_y"), get_metric("ssim_y")
    rows = []
    for image in dataset.image_names():
        lr, hr = dataset.pair(image, scale, get_protocol("matlab-y"))
        batch = torch.from_numpy(lr).permute(2, 0, 1)[None].float().div(255)
        sr = model.super_resolve(batch)[0].permute(1, 2, 0).numpy()
        for name in QUANTISATION:
            protocol = get_protocol(name)
            pixels = protocol.quantise(sr)
            rows.append((name, image, psnr(pixels, hr, scale), ssim(pixels, hr, scale)))
    measured = pd.DataFrame(rows, columns=["protocol", "image", "psnr_y", "ssim_y"])

    reference = pd.read_csv(shared / "reference" / "per_image" / "authors_code.csv")
    reference = reference.query("model == 'DRRN-PS' and scale == @scale and dataset == @dataset_name and lr == 'std'")
    for name, quant in QUANTISATION.items():
        ours = measured[measured.protocol == name].set_index("image")
        theirs = reference[reference.quant == quant].set_index("image").loc[ours.index]
        assert len(ours) == len(dataset.image_names()) == len(theirs)
        assert (ours.psnr_y - theirs.psnr_y).abs().max() <= 0.002
        assert (ours.ssim_y - theirs.ssim_y).abs().max() <= 2e-5
        psnr_mean, ssim_mean = MEANS[scale, name][dataset_name]
        # FACTS prints 4 and 5 decimals.
        assert ours.psnr_y.mean() == pytest.approx(psnr_mean, abs=2e-4)
        assert ours.ssim_y.mean() == pytest.approx(ssim_mean, abs=2e-5)
