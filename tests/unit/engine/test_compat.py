"""basicsr is imported in spite of its traps, and where it cannot be, a sentence says what to install."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from srbench.compat import basicsr as compat
from srbench.errors import PluginError


def _run(code: str, *, first_on_path: Path | None = None) -> str:
    setup = f"import sys; sys.path.insert(0, {str(first_on_path)!r})\n" if first_on_path else ""
    done = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def test_edsr_is_imported_without_the_rest_of_basicsr() -> None:
    printed = _run(
        "import sys\n"
        "from srbench.compat.basicsr_archs import EDSR\n"
        "print([part for part in ('data', 'models.sr_model', 'metrics') if f'basicsr.{part}' in sys.modules])\n"
        "import basicsr.data.paired_image_dataset, basicsr.models.sr_model, basicsr.metrics\n"
        "print(EDSR(3, 3, num_feat=4, num_block=1, upscale=2).conv_first.weight.shape[0])\n"
    )
    assert printed.splitlines()[-2:] == ["[]", "4"]


def test_basicsr_is_whole_after_importing_our_engine() -> None:
    """What basicsr's packages define is there when it is asked for, and the classes are the same."""
    printed = _run(
        "import sys\n"
        "import srbench.training.train, srbench.training.basicsr_model as ours\n"
        "print('basicsr.data' in sys.modules, 'basicsr.models.esrgan_model' in sys.modules)\n"
        "from basicsr.models import build_model\n"
        "from basicsr.train import train_pipeline\n"
        "import basicsr, basicsr.models\n"
        "from basicsr import *\n"
        "assert basicsr.train_pipeline is train_pipeline and basicsr.models.build_model is build_model\n"
        "assert build_model.__module__ == 'basicsr.models' and basicsr.__version__ == '1.4.2'\n"
        "from basicsr.utils.registry import MODEL_REGISTRY\n"
        "assert MODEL_REGISTRY.get('SRModel') in ours.SRBenchModel.__mro__\n"
        "print(build_dataset.__name__, hasattr(basicsr, 'nonsense'), hasattr(basicsr.models, 'nonsense'))\n"
    )
    assert printed.splitlines()[-2:] == ["False False", "build_dataset False False"]


@pytest.mark.parametrize("asked", ["basicsr.train_pipeline", "basicsr.models.build_model"])
def test_the_first_question_to_a_lazy_package_completes_it(asked: str) -> None:
    printed = _run(f"import srbench.training.basicsr_model, basicsr\nprint({asked}.__name__)\n")
    assert printed.splitlines()[-1] == asked.rpartition(".")[2]


def test_processes_of_ours_leave_torchs_compiler_alone_until_torchvisions_networks_are_asked_for() -> None:
    printed = _run(
        "import sys\n"
        "from srbench.compat.deferred_torchvision import defer_torchvision\n"
        "defer_torchvision()\n"
        "import srbench.models.backbones.edsr, srbench.training.basicsr_model, torchvision\n"
        "print('torch._dynamo' in sys.modules)\n"
        "print(torchvision.models.resnet18.__name__, torchvision.ops.nms.__name__)\n"
    )
    assert printed.splitlines()[-2:] == ["False", "resnet18 nms"]


@pytest.mark.parametrize(
    ("message", "package"),
    [("libGL.so.1: cannot open", "libgl1"), ("libgthread-2.0.so.0: cannot open", "libglib2.0-0")],
)
def test_a_missing_system_library_of_opencv_names_the_package(tmp_path: Path, message: str, package: str) -> None:
    (tmp_path / "cv2.py").write_text(f"raise ImportError({message!r})")
    printed = _run(
        "from srbench.compat.basicsr import load_basicsr\n"
        "try:\n    load_basicsr()\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n",
        first_on_path=tmp_path,
    )
    assert "PluginError basicsr needs OpenCV" in printed
    assert f"apt-get install {package}" in printed


def test_without_basicsr_a_sentence_says_what_to_install_and_what_still_works(monkeypatch) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "basicsr" else known(name))
    for name in [name for name in sys.modules if name.split(".")[0] == "basicsr"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(PluginError, match=r"not installed: install .*leaderboards, work without it\.$"):
        compat.load_basicsr()
