"""Where basicsr is missing, as on Python 3.13, evaluation and the conformance kit work; training says what it needs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# Neither basicsr nor what only basicsr needs can be found; the command then runs as usual.
PROGRAM = """
import json, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("basicsr", "cv2"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Missing())
import importlib.util
known = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "basicsr" else known(name, package)
"""
COMMAND = PROGRAM + "from srbench.cli import main\nmain(json.loads(sys.argv[1]))\n"
SAVE = PROGRAM + "import srbench\nfrom safetensors.torch import save_file\n"
SAVE += "save_file(srbench.create_model(sys.argv[1], scale=2, seed=0).state_dict(), sys.argv[2])\n"
NETWORK = "imdn_tiny"  # of the zoo; the core's own networks are basicsr's EDSR


def srbench(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", COMMAND, json.dumps(words)]
    env = {**os.environ, **variables}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=600, env=env)


def answer(*words: str) -> dict[str, object]:
    """Return what a command that succeeds prints as JSON."""
    done = srbench(*words, "--json", "-")
    assert done.returncode == 0, done.stdout + done.stderr
    value: dict[str, object] = json.loads(done.stdout)
    return value


def test_models_are_listed() -> None:
    names = answer("list", "models")["names"]
    assert isinstance(names, list)
    assert {"bicubic", "edsr_tiny", "edsr_tiny+recursive", NETWORK} <= set(names)


def test_bicubic_and_a_network_with_weights_are_evaluated(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    saved = subprocess.run(
        [sys.executable, "-c", SAVE, NETWORK, str(weights)], check=False, capture_output=True, text=True
    )
    assert saved.returncode == 0, saved.stderr
    for words in (("bicubic",), (NETWORK, "--weights", str(weights))):
        found = answer("eval", *words, "--scale", "2", "--data", "embedded-test", "--protocol", "matlab-y")
        metrics = found["metrics"]
        assert isinstance(metrics, dict)
        assert {"psnr_y", "ssim_y"} <= set(metrics)


def test_a_method_of_a_distribution_conforms_on_a_network_of_the_zoo(tmp_path: Path) -> None:
    info = tmp_path / "srbench_foo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: srbench-foo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[srbench.methods]\nfoo = srbench.models.methods.recursive:Recursive\n")
    done = srbench("check", "foo", "--fast", PYTHONPATH=str(tmp_path), SRBENCH_PLUGINS="srbench-foo,zoo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^(ecbsr_m4c16|imdn_tiny)\+foo at x2", done.stdout, re.MULTILINE), done.stdout
    assert ", 0 failed" in done.stdout


def test_the_cost_of_a_network_is_counted() -> None:
    assert answer("cost", NETWORK, "--scale", "2")


@pytest.mark.parametrize(
    "words",
    [
        ("train", NETWORK, "--data", "embedded-train", "--scale", "2", "--iterations", "1"),
        ("check", "edsr_tiny", "--fast"),
        ("cost", "edsr_tiny", "--scale", "2"),
    ],
    ids=" ".join,
)
def test_what_needs_basicsr_says_so_in_a_sentence(words: tuple[str, ...], tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "out")) if words[0] == "train" else ()
    done = srbench(*words, *out)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "need basicsr 1.4.2, which is not installed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
