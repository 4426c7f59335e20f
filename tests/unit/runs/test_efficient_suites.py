"""The suites of efficient networks hold what they promise, whatever plugin adds weights next."""

from __future__ import annotations

import pytest

from srbench.registry import tagged_source
from srbench.registry.names import parse
from srbench.registry.registries import WEIGHTS
from srbench.suite.definition import load_suite


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_model_with_weights_is_in_the_suite_of_its_scale(scale: int) -> None:
    suite = load_suite(f"efficient-x{scale}")
    # Weights whose coefficients belong to another scale are for measuring that, not for being good.
    tagged = [name for name in WEIGHTS.names() if "-coefficients-" not in name]
    served = {name for name in tagged if scale in tagged_source(parse(name)).scales}
    assert len(served) >= 6
    assert {entry.model for entry in suite.models} == served | {"bicubic"}
    assert list(suite.datasets) == ["Set5", "Set14", "BSD100", "Urban100"]
    assert set(suite.metrics) == {"psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "lpips", "niqe"}
