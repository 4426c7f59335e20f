"""PSNR and SSIM on RGB, LPIPS and NIQE: against the libraries they come from, and what they refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from srbench.cache import Cache
from srbench.errors import DataError, NetworkError, PluginError, WeightsError
from srbench.evaluation.device_lpips import DeviceLPIPS
from srbench.evaluation.device_metrics import metrics_for
from srbench.evaluation.device_niqe import DeviceNIQE
from srbench.images.files import read_rgb
from srbench.images.resize import imresize
from srbench.metrics.base import Metric
from srbench.metrics.comparison import Comparison
from srbench.metrics.lpips.alexnet import ALEXNET, FEATURES, alexnet_file
from srbench.metrics.lpips.metric import LEAST, LPIPS, lpips_distance
from srbench.metrics.niqe.metric import NIQE
from srbench.metrics.psnr import PSNRRGB, psnr
from srbench.metrics.resources import metric_files
from srbench.metrics.ssim import SSIMRGB, ssim
from srbench.protocols import get_protocol
from srbench.registry import get_metric, list_metrics

Image = npt.NDArray[np.uint8]
NAMES = ["lpips", "niqe", "psnr", "psnr_rgb", "psnr_y", "ssim", "ssim_rgb", "ssim_y"]


def score(metric: Metric, sr: Any, hr: Any, crop_border: int = 0) -> float:
    protocol = replace(get_protocol("matlab-y"), crop_border=crop_border)
    return metric(Comparison.under(protocol, sr, hr, 2))


def random_pair(seed: int, height: int, width: int) -> tuple[Image, Image]:
    rng = np.random.default_rng(seed)
    hr = imresize(rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8), 4)[:height, :width]
    noise = rng.normal(0, rng.uniform(1, 30), hr.shape)
    return np.clip(hr + noise, 0, 255).astype(np.uint8), hr


@pytest.fixture(scope="module")
def reference_pair(shared: Path) -> tuple[Image, Image]:
    """Return Set5's butterfly, 256x256, and what Matlab's bicubic makes of it at x2."""
    hr = read_rgb(shared / "data" / "benchmark" / "Set5" / "HR" / "butterfly.png")
    return imresize(imresize(hr, 0.5), 2), hr


@pytest.fixture(scope="module")
def basicsr_metrics() -> Any:
    pytest.importorskip("cv2", reason="basicsr and its OpenCV are not installed")
    from srbench.compat.basicsr import load_basicsr

    load_basicsr()
    from basicsr import metrics

    return metrics


@pytest.fixture(scope="module")
def lpips_package(shared: Path) -> Any:
    """Return the package's own LPIPS, its AlexNet filled layer by layer with the shared weights."""
    from srbench.compat.torchvision import load_torchvision

    load_torchvision("this test")
    lpips = pytest.importorskip("lpips")
    net = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    state = torch.load(shared / "weights" / "lpips" / FEATURES.name, weights_only=True)
    for layer in (net.net.slice1[0], net.net.slice2[1], net.net.slice3[1], net.net.slice4[0], net.net.slice5[0]):
        (key,) = [key for key, value in state.items() if value.shape == layer.weight.shape]
        with torch.no_grad():
            layer.weight.copy_(state[key])
            layer.bias.copy_(state[key.replace("weight", "bias")])
    return net.eval()


def package_distance(net: Any, sr: Image, hr: Image) -> float:
    import lpips

    with torch.inference_mode():
        return float(net(lpips.im2tensor(sr), lpips.im2tensor(hr)))


def test_all_are_registered_with_unit_and_direction() -> None:
    assert list_metrics() == NAMES
    found = {name: get_metric(name) for name in NAMES}
    assert all(isinstance(metric, Metric) and metric.name == name for name, metric in found.items())
    assert {name for name, metric in found.items() if not metric.higher_is_better} == {"lpips", "niqe"}
    assert {name for name, metric in found.items() if metric.unit == "dB"} == {"psnr", "psnr_rgb", "psnr_y"}


@pytest.mark.parametrize("crop_border", [0, 2, 4])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (75, 101), (43, 230)])
def test_rgb_agrees_with_basicsr(basicsr_metrics: Any, seed: int, height: int, width: int, crop_border: int) -> None:
    sr, hr = random_pair(seed, height, width)
    pair = (sr[..., ::-1], hr[..., ::-1])
    theirs = basicsr_metrics.calculate_psnr(*pair, crop_border=crop_border)
    assert score(PSNRRGB(), sr, hr, crop_border) == pytest.approx(theirs, abs=1e-9)
    theirs = basicsr_metrics.calculate_ssim(*pair, crop_border=crop_border)
    assert score(SSIMRGB(), sr, hr, crop_border) == pytest.approx(theirs, abs=1e-9)


def test_rgb_agrees_with_scikit_image(seed: int) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    sr, hr = random_pair(seed, 75, 101)
    assert score(PSNRRGB(), sr, hr, 0) == pytest.approx(
        metrics.peak_signal_noise_ratio(hr, sr, data_range=255), abs=1e-9
    )
    theirs = metrics.structural_similarity(
        hr, sr, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    # It averages over the image without a border of 5 pixels: the windows that lie inside.
    assert score(SSIMRGB(), sr, hr, 0) == pytest.approx(theirs, abs=1e-9)


def test_equal_images_are_infinitely_good_on_rgb(seed: int) -> None:
    _, hr = random_pair(seed, 40, 50)
    assert score(PSNRRGB(), hr, hr, 2) == float("inf")
    assert score(SSIMRGB(), hr, hr, 2) == pytest.approx(1)


def test_lpips_agrees_with_its_package(
    filled_cache: Path, lpips_package: Any, reference_pair: tuple[Image, Image]
) -> None:
    sr, hr = reference_pair
    assert score(LPIPS(), sr, hr, 0) == pytest.approx(package_distance(lpips_package, sr, hr), abs=1e-6)
    assert score(LPIPS(), sr, hr, 3) == pytest.approx(
        package_distance(lpips_package, sr[3:-3, 3:-3], hr[3:-3, 3:-3]), abs=1e-6
    )


def test_lpips_of_the_reference_pair_is_known(filled_cache: Path, reference_pair: tuple[Image, Image]) -> None:
    # From the lpips package 0.1.4 itself, on torch 2.13 (CPU) with the shared AlexNet.
    assert score(LPIPS(), *reference_pair, 0) == pytest.approx(0.118297182, abs=1e-6)


@pytest.mark.parametrize("crop_border", [0, 3])
def test_lpips_for_a_device_is_the_same_on_the_cpu(
    filled_cache: Path, reference_pair: tuple[Image, Image], crop_border: int
) -> None:
    own = score(LPIPS(), *reference_pair, crop_border)
    assert score(DeviceLPIPS("cpu"), *reference_pair, crop_border) == own
    small = [image[:30, :40] for image in reference_pair]
    with pytest.raises(DataError, match="too small for this metric"):
        score(DeviceLPIPS("cpu"), *small, 0)


def test_lpips_and_niqe_are_computed_elsewhere_and_only_on_a_gpu() -> None:
    metrics = [get_metric(name) for name in ("lpips", "psnr_y", "niqe")]
    assert metrics_for(metrics, "cpu") == (metrics, [])
    moved, names = metrics_for(metrics, "cuda:1")
    assert names == ["lpips", "niqe"]
    assert moved[1] is metrics[1]
    for place, kind in ((0, DeviceLPIPS), (2, DeviceNIQE)):
        found = moved[place]
        assert isinstance(found, kind)
        assert found.device == "cuda:1"
        for of in ("name", "unit", "higher_is_better", "files"):
            assert getattr(found, of, None) == getattr(metrics[place], of, None)


def test_lpips_of_floats_is_that_of_levels(filled_cache: Path, reference_pair: tuple[Image, Image]) -> None:
    sr, hr = reference_pair
    floats = [image.astype(np.float32) / 255 for image in (sr, hr)]
    assert lpips_distance(*floats) == pytest.approx(lpips_distance(sr, hr), abs=1e-6)
    assert lpips_distance(hr, hr) == 0


@pytest.mark.parametrize("size", [(LEAST, LEAST), (LEAST, 64), (47, LEAST)])
def test_lpips_takes_the_least_size_and_nothing_smaller(
    filled_cache: Path, lpips_package: Any, seed: int, size: tuple[int, int]
) -> None:
    sr, hr = random_pair(seed, *size)
    assert score(LPIPS(), sr, hr, 0) == pytest.approx(package_distance(lpips_package, sr, hr), abs=1e-6)
    with pytest.raises(DataError, match=f"too small for this metric: after cropping 1 .* it needs {LEAST}x{LEAST}"):
        score(LPIPS(), sr, hr, 1)


def test_niqe_is_basicsrs(basicsr_metrics: Any, reference_pair: tuple[Image, Image]) -> None:
    sr, hr = reference_pair
    for image, crop_border in ((sr, 0), (sr, 2), (hr, 4)):
        theirs = basicsr_metrics.calculate_niqe(image[..., ::-1], crop_border)
        assert score(NIQE(), image, hr, crop_border) == theirs
    assert score(NIQE(), sr, hr, 0) > score(NIQE(), hr, hr, 0), "the blurred image is the less natural one"


def test_niqe_does_not_look_at_the_original(seed: int) -> None:
    sr, hr = random_pair(seed, 100, 200)
    assert score(NIQE(), sr, hr, 2) == score(NIQE(), sr, sr, 2)


def test_niqe_needs_two_blocks_that_are_not_flat(seed: int) -> None:
    sr, hr = random_pair(seed, 96, 192)
    assert score(NIQE(), sr, hr, 0) > 0
    with pytest.raises(DataError, match="needs two blocks of 96x96 pixels; an image of 192x96 pixels, 1 cropped"):
        score(NIQE(), sr, hr, 1)
    with pytest.raises(DataError, match="flat"):
        score(NIQE(), np.full((96, 192, 3), 77, np.uint8), hr, 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda image: image.astype(np.float64),
        lambda image: image / 255,
        lambda image: image.astype(np.float32) * 1e3,
        lambda image: image.astype(np.int16) - 1,
        lambda image: image[..., :1],
        lambda image: image[..., :2],
    ],
)
def test_what_is_not_8_bit_rgb_is_refused_with_its_values(name: str, spoil: Any, seed: int) -> None:
    sr, hr = random_pair(seed, 192, 96)
    with pytest.raises(DataError, match=r"^the protocol 'matlab-y' compares uint8 RGB images .* the SR image is"):
        score(get_metric(name), spoil(sr), hr, 0)
    with pytest.raises(DataError, match=r"^the protocol 'matlab-y' compares uint8 RGB images .* the HR image is"):
        score(get_metric(name), sr, spoil(hr), 0)


@pytest.mark.parametrize("name", NAMES)
def test_images_of_two_sizes_are_refused(name: str, seed: int) -> None:
    sr, hr = random_pair(seed, 192, 96)
    with pytest.raises(DataError, match="the same shape"):
        score(get_metric(name), sr[:-1], hr, 0)


@pytest.mark.parametrize("name", ["lpips", "niqe", "psnr_rgb", "ssim_rgb"])
def test_metrics_of_colour_have_no_use_for_luma_alone(name: str, seed: int) -> None:
    sr, hr = (image[..., 0] for image in random_pair(seed, 192, 96))
    comparison = Comparison.under(get_protocol("y-only"), sr, hr, 2)
    with pytest.raises(DataError, match=rf"^{name} compares RGB images, and the protocol 'y-only' compares only luma"):
        get_metric(name)(comparison)


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0, np.nan, np.inf])
def test_lpips_refuses_floats_out_of_range(value: float, seed: int) -> None:
    image = np.random.default_rng(seed).random((40, 40, 3))
    spoilt = image.copy()
    spoilt[7, 8, 1] = value
    for pair in ((spoilt, image), (image, spoilt)):
        with pytest.raises(DataError, match=r"lpips takes values in 0\.\.1"):
            lpips_distance(*pair)
    with pytest.raises(DataError, match="int64"):
        lpips_distance(np.zeros((40, 40, 3), np.int64), np.zeros((40, 40, 3), np.int64))


@pytest.mark.parametrize("function", [psnr, ssim])
@pytest.mark.parametrize("value", [-1e-3, 1.001, np.nan])
def test_the_functions_refuse_values_outside_their_range(function: Any, value: float, seed: int) -> None:
    image = np.random.default_rng(seed).random((20, 20))
    spoilt = image.copy()
    spoilt[3, 4] = value
    assert np.isfinite(function(image, 1 - image, data_range=1.0))
    with pytest.raises(DataError, match=r"takes values in 0\.\.1"):
        function(image, spoilt, data_range=1.0)


def test_lpips_without_its_weights_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens there: no network
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(NetworkError, match=r"'alexnet-owt-7be5be79.pth'.*srbench cache add"):
        alexnet_file(Cache(tmp_path))


def test_either_file_of_alexnet_serves(shared: Path, tmp_path: Path) -> None:
    from srbench.metrics.lpips.network import _alexnet_state

    features = shared / "weights" / "lpips" / FEATURES.name
    cache = Cache(tmp_path / "cache")
    cache.keep(features.read_bytes())
    assert alexnet_file(cache) == cache.path_for(FEATURES.sha256)
    # As torchvision's file is: the same convolutions, and a classifier that is not looked at.
    state = torch.load(features, weights_only=True)
    torch.save({**state, "classifier.1.weight": torch.zeros(3)}, tmp_path / "whole.pth")
    ours, theirs = _alexnet_state(features), _alexnet_state(tmp_path / "whole.pth")
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_other_convolutions_than_alexnets_are_refused(shared: Path, tmp_path: Path) -> None:
    from srbench.metrics.lpips.network import _alexnet_state

    state = torch.load(shared / "weights" / "lpips" / FEATURES.name, weights_only=True)
    state["features.3.bias"][5] += 1e-6
    torch.save(state, tmp_path / "changed.pth")
    with pytest.raises(WeightsError, match="not those of torchvision's AlexNet"):
        _alexnet_state(tmp_path / "changed.pth")
    del state["features.3.bias"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(WeightsError, match=r"no tensor 'features\.3\.bias'"):
        _alexnet_state(tmp_path / "short.pth")


def test_files_of_metrics_are_known_by_hash(shared: Path) -> None:
    assert metric_files() == {"lpips": [ALEXNET, FEATURES]}
    listed = dict(
        reversed(line.split()) for line in (shared / "weights" / "SHA256SUMS").read_text().splitlines() if line.strip()
    )
    assert listed["lpips/alexnet_features_f32.pth"] == FEATURES.sha256
    assert (shared / "weights" / "lpips" / FEATURES.name).stat().st_size == FEATURES.size
    assert f"-{ALEXNET.sha256[:8]}." in ALEXNET.name, "torchvision puts the hash's beginning into the file's name"


def test_making_lpips_leaves_random_numbers_alone(filled_cache: Path) -> None:
    from srbench.metrics.lpips import network as lpips_network

    lpips_network._network.cache_clear()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    lpips_network.network()
    assert torch.equal(torch.rand(3), expected)


def test_no_metric_imports_torch_before_it_is_called() -> None:
    program = (
        "import sys\nfrom srbench.registry import get_metric, list_metrics\n"
        "[get_metric(name) for name in list_metrics()]\n"
        "print(sorted({'torch', 'torchvision', 'lpips', 'basicsr', 'cv2'} & {m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_package_is_a_sentence(filled_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from srbench.metrics.lpips import network as lpips_network

    lpips_network._network.cache_clear()
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(PluginError, match="pip install lpips"):
        LPIPS().prepare()
