"""Backbones stand in timm's registry, whichever of the two packages is imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest

# torchvision's wheel cannot load its operators beside a CPU-only torch, and then `import timm` fails by itself
# (srbench/engine/compat.py says more); with the two schemas defined it does not.
PREAMBLE = """
import torch
from torch import library as operators
schemas = operators.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, name):
        schemas.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


@pytest.mark.parametrize("imports", ["import srbench, timm", "import timm, srbench"])
def test_timm_creates_our_backbones(imports: str) -> None:
    code = f"""{PREAMBLE}
{imports}
import torch
model = timm.create_model("edsr_tiny", scale=2)
print(type(model).__name__, tuple(model(torch.rand(1, 3, 5, 4)).shape), "drrn_b1u9" in timm.list_models("drrn*"))
try:
    timm.create_model("edsr_tiny", scale=2, num_classes=3)
except srbench.SRBenchError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == "EDSR (1, 3, 10, 8) True"
    assert "num_classes" in result.stdout.splitlines()[1]


def test_timm_alone_is_not_changed() -> None:
    code = PREAMBLE + "import timm; print(timm.is_model('edsr_tiny'))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
