"""SMSR with its authors' weights, image by image, against figures made with the authors' own program."""

from __future__ import annotations

import functools
from pathlib import Path

import pandas as pd
import pytest
import torch

from srbench.data.datasets import open_dataset
from srbench.metrics.comparison import Comparison
from srbench.models.counting import count_parameters
from srbench.models.factory import create_model
from srbench.protocols import get_protocol
from srbench.registry import get_metric
from srbench_sparse_mask.accounting import account
from srbench_sparse_mask.block import masked_blocks
from srbench_sparse_mask.masks import StaticChannelMask

# FACTS, "SMSR": sparsity of each image; channels of 64 that are left dense, per module and layer.
SPARSITY = {"baby": 0.758, "bird": 0.623, "butterfly": 0.342, "head": 0.609, "woman": 0.586}
DENSE_CHANNELS = [[24, 9, 3, 0], [16, 4, 1, 0], [16, 7, 1, 0], [3, 0, 0, 0], [14, 5, 0, 0]]


def test_every_image_of_set5_agrees_with_the_authors_program(filled_cache: Path) -> None:
    compare(filled_cache, "Set5", 37.9910, 0.96023)


@pytest.mark.slow
def test_every_image_of_set14_agrees_with_the_authors_program(filled_cache: Path) -> None:
    compare(filled_cache, "Set14", 33.6232, 0.91789)


def test_as_many_channels_are_left_dense_as_with_the_authors(filled_cache: Path) -> None:
    model = create_model("smsr.author", scale=2).eval()
    found = []
    for _, block in masked_blocks(model):
        assert isinstance(block.channel, StaticChannelMask)
        share = block.channel(torch.zeros(1, 64, 1, 1))
        found.append([int(layer.sum()) for layer in share[0].split(64)])
    assert found == DENSE_CHANNELS


def test_sparsity_and_executed_macs_on_set5_are_those_of_the_authors(filled_cache: Path) -> None:
    model, protocol, dataset = create_model("smsr.author", scale=2), get_protocol("matlab-y"), open_dataset("Set5")
    works = {}
    for image in dataset.image_names():
        lr = torch.from_numpy(dataset.lr(image, 2, protocol).copy()).permute(2, 0, 1)[None].float().div(255)
        works[image] = account(model, lr)[0]
    assert {image: round(work.sparsity, 3) for image, work in works.items()} == SPARSITY
    assert sum(work.sparsity for work in works.values()) / 5 == pytest.approx(0.5837, abs=0.0005)
    hd = 640 * 360
    executed = [work.executed / work.pixels * hd for work in works.values()]
    assert sum(executed) / 5 == pytest.approx(111.8e9, rel=0.005)
    assert all(work.dense / work.pixels * hd == pytest.approx(223.8e9, rel=5e-4) for work in works.values())
    assert all([list(module.dense) for module in work.modules] == DENSE_CHANNELS for work in works.values())


@pytest.mark.parametrize(("scale", "parameters"), [(2, 987_330), (3, 995_985), (4, 1_008_102)])
def test_parameters_are_the_published_ones(scale: int, parameters: int) -> None:
    assert count_parameters(create_model("smsr", scale=scale)) == parameters


def test_the_supplements_other_channel_masks_have_the_sizes_that_it_prints() -> None:
    # Table I: 985K without and 1012K with dynamic channel masks; the mean shifts' frozen 24 numbers are not counted.
    sizes = [
        count_parameters(create_model(f"smsr+sparse_mask(channel={c})", scale=2)) - 24 for c in ("none", "dynamic")
    ]
    assert [round(size / 1000) for size in sizes] == [985, 1012]


def compare(shared: Path, dataset_name: str, psnr_mean: float, ssim_mean: float) -> None:
    theirs = pd.read_csv(shared / "reference" / "per_image" / "authors_code.csv")
    theirs = theirs.query("model == 'SMSR' and dataset == @dataset_name and lr == 'std'").set_index("image")
    ours = measure(dataset_name).set_index("image")
    assert sorted(ours.index) == sorted(theirs.index)
    theirs = theirs.loc[ours.index]
    assert (ours.psnr_y - theirs.psnr_y).abs().max() <= 0.002
    assert (ours.ssim_y - theirs.ssim_y).abs().max() <= 2e-5
    # FACTS prints 4 and 5 decimals.
    assert ours.psnr_y.mean() == pytest.approx(psnr_mean, abs=2e-4)
    assert ours.ssim_y.mean() == pytest.approx(ssim_mean, abs=2e-5)


@functools.cache
def measure(dataset_name: str) -> pd.DataFrame:
    network = create_model("smsr.author", scale=2).eval()
    protocol, dataset = get_protocol("matlab-y"), open_dataset(dataset_name)
    psnr, ssim = get_metric("psnr_y"), get_metric("ssim_y")
    rows = []
    for image in dataset.image_names():
        lr, hr = dataset.pair(image, 2, protocol)
        # The authors' program cuts LR images to even sizes, and compares with an original cut alike (3 of Set14).
        height, width = (side // 2 * 2 for side in lr.shape[:2])
        lr, hr = lr[:height, :width], hr[: 2 * height, : 2 * width]
        sr = network.super_resolve(torch.from_numpy(lr.copy()).permute(2, 0, 1)[None].float().div(255))
        pixels = protocol.quantise(sr[0].permute(1, 2, 0).numpy())
        comparison = Comparison.under(protocol, pixels, hr, 2)
        rows.append((image, psnr(comparison), ssim(comparison)))
    return pd.DataFrame(rows, columns=["image", "psnr_y", "ssim_y"])
