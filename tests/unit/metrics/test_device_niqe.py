"""NIQE as it is computed on a GPU, here on the CPU: against basicsr's own, which is another implementation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from srbench.data.datasets import open_dataset
from srbench.errors import DataError
from srbench.evaluation.device_niqe import NIQE_TOLERANCE, DeviceNIQE
from srbench.images.files import read_rgb
from srbench.images.resize import imresize
from srbench.metrics.comparison import Comparison
from srbench.metrics.niqe import features
from srbench.metrics.niqe.metric import NIQE
from srbench.metrics.niqe.pairwise_sums import pairwise_sums
from srbench.protocols import get_protocol

Image = npt.NDArray[np.uint8]

pytest.importorskip("cv2", reason="basicsr and its OpenCV are not installed")


def both(image: Image, crop_border: int = 0) -> tuple[float, float]:
    """Return the score on the CPU and that of the other implementation."""
    protocol = replace(get_protocol("matlab-y"), crop_border=crop_border)
    comparison = Comparison.under(protocol, image, image, 2)
    return NIQE()(comparison), DeviceNIQE("cpu")(comparison)


def refusals(image: Image, crop_border: int = 0) -> list[str]:
    protocol = replace(get_protocol("matlab-y"), crop_border=crop_border)
    comparison = Comparison.under(protocol, image, image, 2)
    sentences = []
    for metric in (NIQE(), DeviceNIQE("cpu")):
        with pytest.raises(DataError) as caught:
            metric(comparison)
        sentences.append(str(caught.value))
    return sentences


def noise(seed: int, height: int, width: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("crop_border", [0, 3])
@pytest.mark.parametrize("name", ["Set5/HR/butterfly", "Set5/HR/woman"])
def test_the_score_is_that_of_the_cpu(shared: Path, name: str, crop_border: int) -> None:
    hr = read_rgb(shared / "data" / "benchmark" / f"{name}.png")
    height, width = (size // 4 * 4 for size in hr.shape[:2])
    # Blurred images have smooth areas, where rounding decides the statistics.
    for image in (hr, imresize(imresize(hr[:height, :width], 0.25), 4)):
        own, other = both(image, crop_border)
        assert other == pytest.approx(own, abs=NIQE_TOLERANCE)


def test_the_score_is_that_of_the_cpu_on_embedded_images() -> None:
    dataset, protocol = open_dataset("embedded-test"), get_protocol("matlab-y")
    for name in dataset.image_names():
        own, other = both(dataset.pair(name, 2, protocol)[1])
        assert other == pytest.approx(own, abs=NIQE_TOLERANCE)


@pytest.mark.parametrize(("height", "width"), [(96, 192), (193, 97), (191, 295)])
def test_the_score_of_noise_is_that_of_the_cpu(seed: int, height: int, width: int) -> None:
    own, other = both(noise(seed, height, width))
    assert other == pytest.approx(own, abs=NIQE_TOLERANCE)


def test_flat_blocks_count_as_on_the_cpu(seed: int) -> None:
    image = noise(seed, 192, 288)
    whole = both(image)[1]
    image[:96, :96] = 77  # without any deviation: of its features only the shapes are numbers
    image[96:, :96, :] = np.arange(96, dtype=np.uint8)[:, None]
    own, other = both(image)
    assert other == pytest.approx(own, abs=NIQE_TOLERANCE)
    assert other != pytest.approx(whole, abs=NIQE_TOLERANCE)


@pytest.mark.parametrize("textured", [0, 1])
def test_images_with_too_many_flat_blocks_are_refused_as_on_the_cpu(seed: int, textured: int) -> None:
    image = np.full((96, 288, 3), 77, np.uint8)
    image[:, : 90 * textured] = noise(seed, 96, 90 * textured)
    own, other = refusals(image)
    assert own == other
    assert "blocks are flat" in other


def test_small_images_are_refused_as_on_the_cpu(seed: int) -> None:
    own, other = refusals(noise(seed, 96, 192), crop_border=1)
    assert own == other
    assert "needs two blocks of 96x96 pixels; an image of 192x96 pixels, 1 cropped" in other
    luma = Comparison.under(get_protocol("y-only"), *[noise(seed, 96, 192)[..., 0]] * 2, 2)
    with pytest.raises(DataError, match="niqe compares RGB images"):
        DeviceNIQE("cpu")(luma)


def test_two_threads_may_score_at_once(seed: int) -> None:
    images = [noise(seed + of, 96, 192) for of in range(4)]
    expected = [both(image)[1] for image in images]
    features.fit_table.cache_clear()
    with ThreadPoolExecutor(2) as pool:
        assert [found for _, found in pool.map(both, images)] == expected


def test_blocks_in_several_steps_have_the_same_features(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    image = noise(seed, 192, 288)
    expected = both(image)[1]
    monkeypatch.setattr(features, "_TOGETHER", 4)
    assert both(image)[1] == expected


def test_luma_is_basicsrs_level_where_it_is_a_half(seed: int) -> None:
    from srbench.compat.basicsr import load_basicsr
    from srbench.metrics.niqe.luma_levels import rounded_luma

    load_basicsr()
    from basicsr.metrics.metric_util import to_y_channel

    # 194 colors have a luma of exactly k + 1/2; of the other 2**24, some at random.
    red, green, blue = np.meshgrid(*[np.arange(256)] * 3, indexing="ij", sparse=True)
    halves = np.argwhere((65481 * red + 128553 * green + 24966 * blue) % 255000 == 127500).astype(np.uint8)
    assert len(halves) == 194
    colors = np.concatenate([halves, noise(seed, 100, 1000).reshape(-1, 3)])[None]
    theirs = to_y_channel(colors[..., ::-1].astype(np.float32))[..., 0].round()
    assert np.array_equal(rounded_luma(torch.from_numpy(colors)).numpy(), theirs)


def test_sums_have_numpys_last_bit(seed: int) -> None:
    counts = [0, 1, 7, 8, 9, 15, 16, 127, 128, 129, 136, 255, 257, 1000, 4607, 4608, 9215, 9216]
    rows = np.random.default_rng(seed).normal(size=(len(counts), 9216)).astype(np.float32)
    theirs = np.array([row[:count].sum() for row, count in zip(rows, counts, strict=True)])
    ours = pairwise_sums(torch.from_numpy(rows), torch.tensor(counts)).numpy()
    assert ours.tobytes() == theirs.tobytes()
