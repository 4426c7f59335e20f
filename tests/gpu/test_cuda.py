"""What differs between a CPU and a GPU is rounding, nothing else. Run by `tox run -e gpu`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from srbench.data.datasets import open_dataset
from srbench.evaluation.device_metrics import DEVICE_TOLERANCE, metrics_for
from srbench.evaluation.evaluate import evaluate
from srbench.evaluation.warm_up import warm_up
from srbench.models.factory import create_model
from srbench.protocols import get_protocol
from srbench.registry import get_metric
from srbench.testing import run_checks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

MODELS = ["edsr_tiny", "edsr_tiny+ps(ratio=1/4)", "drrn_b1u9+ps(ratio=1/9)"]


@pytest.mark.parametrize("name", MODELS)
def test_figures_on_cuda_are_those_of_the_cpu(name: str) -> None:
    dataset, protocol = open_dataset("embedded-test"), get_protocol("matlab-y")
    metrics = [get_metric("psnr_y"), get_metric("ssim_y")]
    model = create_model(name, scale=2, seed=0)
    frames = [
        evaluate(model, dataset, 2, protocol, metrics, device=device, image_filter=["chelsea"]).table
        for device in ("cpu", "cuda")
    ]
    # TF32 is off in evaluation, so that float32 sums differ by their order only.
    assert frames[0].psnr_y[0] == pytest.approx(frames[1].psnr_y[0], abs=2e-3)
    assert frames[0].ssim_y[0] == pytest.approx(frames[1].ssim_y[0], abs=2e-5)


def test_the_conformance_checks_pass_where_there_is_a_gpu() -> None:
    assert not [text for text in run_checks("edsr_tiny+ps", (2,)).values() if text.startswith("failed")]


def test_times_and_peak_memory_on_cuda() -> None:
    from srbench.cost.counts import work_at
    from srbench.cost.latency import compare, measure
    from srbench.cost.memory import peak_on_cuda
    from srbench.cost.operators import on_meta

    models = [create_model("edsr_baseline", scale=2, seed=0).eval().cuda() for _ in range(2)]
    lr = torch.rand(1, 3, 180, 320, device="cuda")
    found = measure(models, lr, seconds=5)
    assert compare(found.timings[1], found.timings[0]).verdict == "tie"
    assert "gpu" in found.before
    # What lives at once by shapes, without the image itself, and what a convolution needs inside.
    live = float(work_at(on_meta(models[0]), 2, 180, 320).peak_bytes) - lr.nbytes
    assert 0.95 * live < peak_on_cuda(models[0], lr) < 4 * live


@pytest.mark.parametrize("name", DEVICE_TOLERANCE)
def test_metrics_on_cuda_are_those_of_the_cpu(filled_cache: Path, name: str) -> None:
    dataset, protocol = open_dataset("embedded-test"), get_protocol("matlab-y")
    model, metric = create_model("bicubic", scale=2), get_metric(name)
    moved, names = metrics_for([metric], "cuda")
    assert names == [name]
    # Both on one SR image: with each metric on its own device, and the network on the GPU.
    own, other = (evaluate(model, dataset, 2, protocol, [one], device="cuda").table[name] for one in (metric, moved[0]))
    assert float((own - other).abs().max()) <= DEVICE_TOLERANCE[name]


def test_a_network_is_warmed_up_before_it_is_timed() -> None:
    dataset, protocol = open_dataset("embedded-test"), get_protocol("matlab-y")
    model = create_model("edsr_tiny", scale=2, seed=0).eval()
    passes: list[torch.device] = []
    model.register_forward_hook(lambda net, given, made: passes.append(given[0].device))
    assert warm_up(model, dataset, 2, protocol, device="cuda")
    assert [device.type for device in passes] == ["cuda"]
