"""PSNR and SSIM against basicsr's functions, and against the definitions written out plainly."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from srbench.data.folders import FolderDataset
from srbench.errors import DataError
from srbench.images.color import rgb_to_y
from srbench.images.resize import imresize
from srbench.metrics.base import Metric
from srbench.metrics.comparison import Comparison
from srbench.metrics.psnr import PSNRY, psnr
from srbench.metrics.ssim import SSIMY, ssim
from srbench.protocols import get_protocol

Image = npt.NDArray[np.uint8]


def score(metric: Metric, sr: Any, hr: Any, crop_border: int = 0) -> float:
    protocol = replace(get_protocol("matlab-y"), crop_border=crop_border)
    return metric(Comparison.under(protocol, sr, hr, 2))


@pytest.fixture(scope="module")
def basicsr_metrics() -> Any:
    pytest.importorskip("cv2", reason="basicsr and its OpenCV are not installed")
    from srbench.compat.basicsr import load_basicsr

    load_basicsr()
    from basicsr.metrics import psnr_ssim

    return psnr_ssim


def random_pair(seed: int, height: int, width: int) -> tuple[Image, Image]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    hr = imresize(coarse, 4)[:height, :width]
    noise = rng.normal(0, rng.uniform(1, 30), hr.shape)
    return np.clip(hr + noise, 0, 255).astype(np.uint8), hr


def plain_y(image: Image) -> npt.NDArray[np.float64]:
    red, green, blue = (image[..., channel].astype(np.float64) for channel in range(3))
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255


def plain_ssim(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Wang et al. 2004, equation 13, with its five moments, every window summed as it stands."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / np.outer(line, line).sum()

    def filtered(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        windows = np.lib.stride_tricks.sliding_window_view(image, (11, 11))
        return np.einsum("ijkl,kl->ij", windows, window)

    mean_a, mean_b = filtered(a), filtered(b)
    var_a, var_b = filtered(a * a) - mean_a**2, filtered(b * b) - mean_b**2
    covariance = filtered(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(
        np.mean(
            (2 * mean_a * mean_b + c1) * (2 * covariance + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
        )
    )


@pytest.mark.parametrize("crop_border", [0, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (75, 101), (43, 230)])
def test_agrees_with_basicsr_on_random_images(
    basicsr_metrics: Any, seed: int, height: int, width: int, crop_border: int
) -> None:
    sr, hr = random_pair(seed, height, width)
    # basicsr takes OpenCV's channel order.
    pair = (sr[..., ::-1], hr[..., ::-1])
    theirs = basicsr_metrics.calculate_psnr(*pair, crop_border=crop_border, test_y_channel=True)
    assert score(PSNRY(), sr, hr, crop_border) == pytest.approx(theirs, abs=1e-5)
    theirs = basicsr_metrics.calculate_ssim(*pair, crop_border=crop_border, test_y_channel=True)
    assert score(SSIMY(), sr, hr, crop_border) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_agrees_with_basicsr_on_real_images(basicsr_metrics: Any, shared: Path, scale: int) -> None:
    for dataset in ("Set5", "Set14"):
        folder = FolderDataset(shared / "data" / "benchmark" / dataset)
        for image in folder.image_names():
            lr, hr = folder.pair(image, scale, get_protocol("matlab-y"))
            sr = imresize(lr, scale)
            pair = (sr[..., ::-1], hr[..., ::-1])
            theirs = basicsr_metrics.calculate_psnr(*pair, crop_border=scale, test_y_channel=True)
            assert score(PSNRY(), sr, hr, scale) == pytest.approx(theirs, abs=1e-5), image
            theirs = basicsr_metrics.calculate_ssim(*pair, crop_border=scale, test_y_channel=True)
            assert score(SSIMY(), sr, hr, scale) == pytest.approx(theirs, abs=1e-6), image


@pytest.mark.parametrize(("height", "width"), [(11, 11), (42, 43), (64, 97), (120, 75)])
def test_agrees_with_the_definitions_written_out(seed: int, height: int, width: int) -> None:
    sr, hr = random_pair(seed, height, width)
    a, b = plain_y(sr), plain_y(hr)
    assert np.abs(rgb_to_y(sr) - a).max() < 1e-11
    expected = 10 * math.log10(255**2 / np.mean((a - b) ** 2))
    assert score(PSNRY(), sr, hr, 0) == pytest.approx(expected, abs=1e-9)
    assert psnr(a, b) == pytest.approx(expected, abs=1e-9)
    assert score(SSIMY(), sr, hr, 0) == pytest.approx(plain_ssim(a, b), abs=1e-9)


def test_the_crop_is_taken_off_each_side(seed: int) -> None:
    sr, hr = random_pair(seed, 60, 50)
    spoilt = sr.copy()
    spoilt[:3] = spoilt[-3:] = 0
    spoilt[:, :3] = spoilt[:, -3:] = 255
    for metric in (PSNRY(), SSIMY()):
        assert score(metric, spoilt, hr, 3) == score(metric, sr, hr, 3)
        assert score(metric, sr, hr, 3) == score(metric, sr[3:-3, 3:-3], hr[3:-3, 3:-3])
        assert score(metric, spoilt, hr, 2) != score(metric, sr, hr, 2)


def test_equal_images_score_infinity_and_one(seed: int) -> None:
    _, hr = random_pair(seed, 40, 40)
    assert score(PSNRY(), hr, hr, 2) == math.inf
    assert score(SSIMY(), hr, hr, 2) == pytest.approx(1.0, abs=1e-12)


def test_luma_runs_from_16_to_235() -> None:
    black_white = np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8)
    assert rgb_to_y(black_white).tolist() == [[16.0, pytest.approx(235.0, abs=1e-12)]]


@pytest.mark.parametrize("metric", [PSNRY(), SSIMY()], ids=lambda metric: metric.name)
def test_metrics_refuse_what_they_cannot_compare(metric: Metric) -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(DataError, match="same shape"):
        score(metric, image, image[:-1], 0)
    with pytest.raises(DataError, match="too small"):
        score(metric, image, image, 10)
    with pytest.raises(DataError, match="RGB"):
        score(metric, image[..., :2], image[..., :2], 0)


def test_ssim_needs_a_whole_window() -> None:
    with pytest.raises(DataError, match="too small"):
        ssim(np.zeros((10, 40)), np.zeros((10, 40)))
    assert ssim(np.zeros((11, 11)), np.zeros((11, 11))) == 1.0


@pytest.mark.parametrize("name", ["psnr_y", "ssim_y"])
def test_the_registry_gives_instances(name: str) -> None:
    from srbench.registry import get_metric

    metric = get_metric(name)
    assert isinstance(metric, Metric)
    assert metric.name == name
    assert metric.higher_is_better
