"""What starting up imports, and which way imports point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Runs the command in the process, then says on the last line what came with it.
PROGRAM = """
import json, sys
from srbench.cli import main
try:
    main(json.loads(sys.argv[1]))
except SystemExit as leaving:
    status = leaving.code or 0
else:
    status = 0
print()
print(json.dumps({"status": status, "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""

LISTINGS = ("models", "backbones", "methods", "metrics", "datasets", "suites", "protocols")
HEAVY = {"torch", "torchvision", "basicsr", "timm", "cv2"}


def modules_after(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["status"] == 0, done.stderr + done.stdout
    return set(report["modules"])


@pytest.mark.parametrize("arguments", [("--help",), *(("list", kind) for kind in LISTINGS)], ids=" ".join)
def test_help_and_listings_import_no_torch(arguments: tuple[str, ...]) -> None:
    assert modules_after(*arguments) & HEAVY == set()


def test_importing_srbench_imports_no_torch() -> None:
    program = "import sys, srbench; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_no_module_of_the_leaderboard_imports_torch() -> None:
    program = """
import importlib, pkgutil, sys
import srbench.leaderboard as package
for module in pkgutil.walk_packages(package.__path__, "srbench.leaderboard."):
    importlib.import_module(module.name)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"


def test_tests_run_with_one_thread() -> None:
    import torch

    assert torch.get_num_threads() == 1
    assert os.environ["OMP_NUM_THREADS"] == "1"
