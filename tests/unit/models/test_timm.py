"""Our models in timm's registry, whichever of the two packages is imported first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import srbench
from srbench.compat.torchvision import load_torchvision
from srbench.errors import ConfigError, WeightsError
from srbench.registry import canonical_name

# torchvision's wheel cannot load its operators beside a CPU-only torch, and then `import timm` fails by itself
# (srbench.compat.torchvision says more); with the two schemas defined it does not.
PREAMBLE = """
import torch
from torch import library as operators
schemas = operators.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, name):
        schemas.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


@pytest.fixture(scope="module")
def timm() -> Iterator[ModuleType]:
    load_torchvision("timm")
    return pytest.importorskip("timm")


def test_timm_is_imported_first_or_second() -> None:
    for imports in ("import srbench, timm", "import timm, srbench"):
        code = f"""{PREAMBLE}
{imports}
print(timm.is_model('edsr_tiny+ps'), timm.create_model('edsr_tiny', scale=2).scales)
"""
        command = [sys.executable, "-W", "error::UserWarning", "-c", code]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert result.stdout == "True (2,)\n"


def test_timm_alone_is_not_changed() -> None:
    code = PREAMBLE + "import timm; print(timm.is_model('edsr_tiny'))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_srbench_works_where_timm_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("raise ImportError('as if absent')")
    code = """
import srbench
try:
    import timm
except ImportError as error:
    print(error, srbench.is_model("edsr_tiny"))
"""
    environment = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout == "as if absent True\n"


def test_the_registry_lists_what_srbench_lists(timm: ModuleType) -> None:
    ours = set(srbench.list_models()) - {"bicubic"}
    assert set(timm.list_models(module="srbench")) == {name for name in ours if "." not in name}
    assert set(timm.list_models(module="srbench", pretrained=True)) == {name for name in ours if "." in name}
    assert {"carn", "carn_m", "carn+ps"} <= set(timm.list_models("*carn*"))
    assert timm.list_models("*carn*", exclude_filters="*+*", module="srbench") == ["carn", "carn_m"]
    assert "carn_m.author" in timm.list_models("*carn*", pretrained=True)
    assert timm.list_models("resnet50") == ["resnet50"]


def test_published_weights_are_described(timm: ModuleType) -> None:
    found = timm.get_pretrained_cfg("carn_m.author")
    assert found.url.startswith("https://raw.githubusercontent.com/")
    assert (found.mean, found.std, found.num_classes) == ((0, 0, 0), (1, 1, 1), 0)


@pytest.mark.parametrize(("name", "expected"), [("carn_m", "carn_m.author"), ("drrn_b1u9+ps.author", None)])
def test_pretrained_models_are_those_of_srbench(
    timm: ModuleType, filled_cache: Path, name: str, expected: str | None
) -> None:
    theirs = timm.create_model(name, pretrained=True, scale=2).eval()
    ours = srbench.create_model(expected or name, scale=2).eval()
    assert str(theirs.model_name) == str(ours.model_name)
    lr = torch.rand(1, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(theirs(lr), ours(lr))


def test_methods_and_their_arguments_are_reachable(timm: ModuleType) -> None:
    assert str(timm.create_model("edsr_tiny+recursive", scale=2).model_name) == "edsr_tiny+recursive"
    model = timm.create_model("edsr_tiny+ps", scales=(3,), seed=0, ratio="1/16", shape="16x1x3x3")
    assert model.model_name == canonical_name("edsr_tiny+ps(ratio=1/16,shape=16x1x3x3)")
    assert not timm.create_model("carn_m.author", scale=2).model_name.method


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("edsr_tiny", {"scale": 2, "num_classes": 3}, "takes scale, scales and seed; got num_classes"),
        ("edsr_tiny+ps", {"scale": 2, "rato": 1}, "no argument 'rato'; did you mean 'ratio'"),
        ("edsr_tiny", {"scale": 2, "pretrained": True}, "no weights are known for 'edsr_tiny'; with weights: .*carn_m"),
        ("drrn_b1u9+ps", {"scale": 2, "pretrained": True}, r"4 tags; name one: 'drrn_b1u9\+ps.author'"),
        ("carn_m", {"scale": 2, "cache_dir": "here"}, "'cache_dir' is not used"),
        ("carn_m", {"scale": 2, "pretrained_cfg": {"url": "x"}}, "pretrained_cfg is a tag"),
        ("carn_m", {}, "give either scale=2 or scales"),
    ],
)
def test_what_is_wrong_is_said(timm: ModuleType, name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises((ConfigError, WeightsError), match=message):
        timm.create_model(name, **options)
