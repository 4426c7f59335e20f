"""The quickstart through SLURM and Ray of two nodes each; tasks and runs that are killed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbench.results.store import RunStore

pytestmark = pytest.mark.cluster

Start = Callable[..., subprocess.Popen[str]]

SUITE = """
name: small
scale: 2
models: [bicubic, edsr_tiny, "edsr_tiny+recursive"]
datasets: [embedded-test]
protocol: [matlab-y]
train: {data: embedded-train, iterations: 300, batch_size: 2, gt_size: 32, checkpoint_every: 50}
"""


def ended(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, output
    return output


def figures(folder: Path) -> dict[str, tuple[Any, ...]]:
    cells = RunStore(folder).cells()
    return {cell.name: (cell.record.status, cell.record.metrics, cell.record.weights_sha256) for cell in cells}


@pytest.fixture(scope="session")
def local_figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, ...]]:
    """Measure the quickstart on this machine, as the digits that clusters must give."""
    from srbench.runs.runner import run
    from srbench.suite.definition import load_suite

    folder = tmp_path_factory.mktemp("local")
    run(load_suite("quickstart"), folder / "run", jobs=2)
    return figures(folder / "run")


def test_quickstart_through_slurm_gives_the_digits_of_local(
    slurm: dict[str, str], srbench: Start, tmp_path: Path, local_figures: dict[str, tuple[Any, ...]]
) -> None:
    words = ("run", "--suite", "quickstart", "--out", "run", "--no-page", "--executor", "slurm(partition=debug)")
    ended(srbench(*words, env=slurm))
    assert figures(tmp_path / "run") == local_figures


def test_quickstart_through_ray_gives_the_digits_of_local(
    ray_address: str, srbench: Start, tmp_path: Path, local_figures: dict[str, tuple[Any, ...]]
) -> None:
    words = ("run", "--suite", "quickstart", "--out", "run", "--no-page", "--executor", f"ray(address={ray_address})")
    ended(srbench(*words))
    assert figures(tmp_path / "run") == local_figures


def running_tasks(slurm: dict[str, str]) -> list[str]:
    command = ["squeue", "--noheader", "--array", "--states", "RUNNING", "--format", "%i"]
    return subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout.split()


def wait_for(found: Callable[[], Any], process: subprocess.Popen[str], what: str) -> None:
    end = time.monotonic() + 600
    while not found():
        assert process.poll() is None, f"the run ended before {what}"
        assert time.monotonic() < end, f"no {what} after 10 minutes"
        time.sleep(0.2)


def test_a_task_requeued_in_the_middle_of_its_training_finishes_with_the_same_weights(
    slurm: dict[str, str], srbench: Start, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(SUITE)
    ended(srbench("run", "--suite", "small.yaml", "--out", "local", "--no-page", "--jobs", "1"))
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--executor", "slurm(partition=debug)")
    process = srbench(*words, env=slurm)
    wait_for(lambda: list((tmp_path / "run").glob("models/*/checkpoint.pt")), process, "checkpoint")
    for task in running_tasks(slurm):
        subprocess.run(["scontrol", "requeue", task], env=slurm, check=True)
    ended(process)
    assert figures(tmp_path / "run") == figures(tmp_path / "local")


def test_sigkill_of_the_submitting_process_loses_no_finished_cell(
    slurm: dict[str, str], srbench: Start, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(SUITE)
    words = ("run", "--suite", "small.yaml", "--out", "run", "--no-page", "--executor", "slurm(partition=debug)")
    process = srbench(*words, env=slurm)
    wait_for(lambda: running_tasks(slurm), process, "running task")
    process.kill()
    process.wait()
    output = ended(srbench(*words, env=slurm))
    assert {status for status, *_ in figures(tmp_path / "run").values()} == {"ok"}
    assert len(figures(tmp_path / "run")) == 3, output
    assert list((tmp_path / "run" / "cluster").glob("*/cells")) == [], "everything was handed over"
