"""`srbench run`: what it does, what it refuses, and what a failure leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbench.results.store import RunStore

PLUGIN = """
    from pathlib import Path

    import torch

    from srbench.models.backbone import Backbone


    class Doubled(Backbone):
        def forward(self, lr, scale=None):
            if lr.shape[-1] > 12 and Path(__file__).with_name("explode").exists():
                raise RuntimeError("the network exploded")
            if lr.shape[-2:] == (18, 20):  # a test image; the conformance checks have other sizes
                with Path(__file__).with_name("passes").open("a") as log:
                    log.write("x")
            return lr.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)


    def doubled(scales):
        return Doubled(scales)


    class Wrong(Doubled):
        def forward(self, lr, scale=None):
            return super().forward(lr)[..., 1:]


    def wrong(scales):
        return Wrong(scales)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Install a distribution that contributes the baselines `doubled` and `wrong`; return its folder."""
    folder = tmp_path / "site"
    info = folder / "srbench_doubled-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "srbench_doubled.py").write_text(textwrap.dedent(PLUGIN))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: srbench-doubled\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[srbench.baselines]\ndoubled = srbench_doubled:doubled\nwrong = srbench_doubled:wrong\n"
    )
    return folder


def test_failed_cell_is_recorded_with_its_traceback_and_the_others_go_on(
    srbench: Callable[..., Any], suite_file: Callable[..., Path], plugin: Path, tmp_path: Path
) -> None:
    suite = suite_file(models=("doubled", "bicubic"), tests=1)
    env = {"PYTHONPATH": str(plugin)}
    (plugin / "explode").touch()
    ended = srbench("run", "--suite", suite, "--out", tmp_path / "run", "--no-page", env=env)
    assert ended.returncode == 1
    cells = {(cell.record.model, cell.record.protocol): cell.record for cell in RunStore(tmp_path / "run").cells()}
    assert len(cells) == 4
    for protocol in ("matlab-y", "truncate-y"):
        failed = cells["doubled", protocol]
        assert failed.status == "failed"
        assert failed.metrics == {}
        assert failed.error is not None
        assert "Traceback" in failed.error
        assert "RuntimeError: the network exploded" in failed.error
        assert cells["bicubic", protocol].status == "ok"
    assert "the network exploded" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr

    (plugin / "explode").unlink()
    before = {cell.directory: cell.directory.stat().st_ino for cell in RunStore(tmp_path / "run").cells()}
    again = srbench("run", "--suite", suite, "--out", tmp_path / "run", "--no-page", env=env)
    assert again.returncode == 0, again.stderr
    for cell in RunStore(tmp_path / "run").cells():
        assert cell.record.status == "ok"
        done_again = cell.directory.stat().st_ino != before[cell.directory]
        assert done_again == (cell.record.model == "doubled")


def test_protocols_share_the_passes_of_the_network_and_no_cell_is_done_twice(
    srbench: Callable[..., Any], suite_file: Callable[..., Path], plugin: Path, tmp_path: Path
) -> None:
    suite = suite_file(models=("doubled",), tests=2, images=3)
    passes = plugin / "passes"

    def cells_after(run_dir: Path) -> dict[tuple[str, str], tuple[int, dict[str, float]]]:
        passes.write_text("")
        ended = srbench("run", "--suite", suite, "--out", run_dir, "--no-page", env={"PYTHONPATH": str(plugin)})
        assert ended.returncode == 0, ended.stderr
        return {
            (cell.record.dataset, cell.record.protocol): (cell.directory.stat().st_ino, cell.record.metrics)
            for cell in RunStore(run_dir).cells()
        }

    first = cells_after(tmp_path / "run")
    assert len(first) == 4
    assert len(passes.read_text()) == 2 * 3, "one pass for each image, not for each protocol"

    (lost,) = (tmp_path / "run" / "cells").glob("*test1-truncate-y-*")
    shutil.rmtree(lost)
    second = cells_after(tmp_path / "run")
    assert len(passes.read_text()) == 3
    del first["test1", "truncate-y"]
    assert {name: second[name] for name in first} == first, "finished cells are left alone"

    separate = suite_file(models=("doubled",), tests=2, images=3, name="separate")
    separate.write_text(separate.read_text().replace("[matlab-y, truncate-y]", "truncate-y"))
    suite = separate
    alone = cells_after(tmp_path / "separate")
    assert {name: metrics for name, (_, metrics) in alone.items()} == {
        name: metrics for name, (_, metrics) in second.items() if name[1] == "truncate-y"
    }


def test_model_that_fails_a_check_is_not_measured(
    srbench: Callable[..., Any], suite_file: Callable[..., Path], plugin: Path, tmp_path: Path
) -> None:
    suite = suite_file(models=("wrong",), tests=1)
    ended = srbench("run", "--suite", suite, "--out", tmp_path / "run", "--no-page", env={"PYTHONPATH": str(plugin)})
    assert ended.returncode == 1
    for cell in RunStore(tmp_path / "run").cells():
        assert cell.record.status == "failed"
        assert cell.record.checks["output_shape"].startswith("failed")
        assert "output_shape" in (cell.record.error or "")
        assert cell.record.metrics == {}


def test_second_run_does_nothing_and_imports_no_torch(
    srbench: Callable[..., Any], nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = suite_file()
    run_dir = tmp_path / "run"
    assert nursery.run("run", "--suite", suite, "--out", run_dir) == 0, nursery.said()

    def files() -> dict[Path, tuple[int, int]]:
        paths = (path for path in run_dir.rglob("*") if path.is_file() and path.name != ".lock")
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}

    before = files()
    # A module of this name that cannot be imported stands before the real one.
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "torch.py").write_text("raise ImportError('torch was imported')\n")
    again = srbench("run", "--suite", suite, "--out", run_dir, env={"PYTHONPATH": str(tmp_path / "trap")})
    assert again.returncode == 0, again.stderr
    assert "nothing to do: all 8 cells are finished" in again.stdout
    assert files() == before


def test_changed_image_asks_for_its_cells_again_and_for_no_others(
    nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = suite_file(models=("bicubic",))
    arguments = ("run", "--suite", suite, "--out", tmp_path / "run", "--no-page")
    assert nursery.run(*arguments) == 0
    before = {cell.record.place: cell.record for cell in RunStore(tmp_path / "run").cells()}
    (tmp_path / "test1" / "image0.png").write_bytes((tmp_path / "test0" / "image0.png").read_bytes())
    assert nursery.run(*arguments) == 0
    after = {cell.record.place: cell.record for cell in RunStore(tmp_path / "run").cells()}
    assert after.keys() == before.keys()
    for place, record in after.items():
        assert (record.key != before[place].key) == (record.dataset == "test1")
    assert len(list((tmp_path / "run" / "cells").iterdir())) == 4, "the superseded cells are gone"


def test_dry_run_names_every_cell_and_writes_nothing(
    srbench: Callable[..., Any], suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = suite_file()
    ended = srbench("run", "--suite", suite, "--out", tmp_path / "run", "--dry-run", "--json", "-")
    assert ended.returncode == 0, ended.stderr
    outcome = json.loads(ended.stdout)
    assert outcome["schema_version"] == 1
    assert {(cell["model"], cell["dataset"], cell["protocol"], cell["state"]) for cell in outcome["cells"]} == {
        (model, dataset, protocol, "to do")
        for model in ("bicubic", "edsr_tiny")
        for dataset in ("test0", "test1")
        for protocol in ("matlab-y", "truncate-y")
    }
    assert not (tmp_path / "run").exists()


def test_two_workers_give_the_same_numbers_as_one_process_and_share_the_prepared_images(
    nursery: Any, suite_file: Callable[..., Path], write_images: Callable[..., Path], tmp_path: Path
) -> None:
    write_images(tmp_path / "train", 64, side=24, seed=64)  # no other test has them in the cache
    suite = suite_file(models=("edsr_tiny", "edsr_tiny+recursive"), tests=1)
    outcomes = []
    for jobs in ("2", "1"):
        run_dir = tmp_path / f"run{jobs}"
        assert nursery.run("run", "--suite", suite, "--out", run_dir, "--jobs", jobs, "--no-page") == 0, nursery.said()
        told = [line for line in nursery.said().splitlines() if "preparing images for" in line]
        assert len(told) == (1 if jobs == "2" else 0), "decoded once, by the process that starts the workers"
        cells = RunStore(run_dir).cells()
        outcomes.append([(cell.record.key, cell.record.weights_sha256, cell.record.metrics) for cell in cells])
    assert outcomes[0] == outcomes[1]


def test_choosing_models_and_data_sets_does_only_those(
    nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = suite_file()
    arguments = ("run", "--suite", suite, "--out", tmp_path / "run", "--no-page")
    assert nursery.run(*arguments, "--models", "bi*", "--datasets", "test1") == 0
    found = {(cell.record.model, cell.record.dataset) for cell in RunStore(tmp_path / "run").cells()}
    assert found == {("bicubic", "test1")}


BAD = {
    "unknown suite": (["--suite", "quickstrat"], ["unknown suite 'quickstrat'", "did you mean 'quickstart'?"]),
    "missing file": (["--suite", "nowhere.yaml"], ["there is no suite file 'nowhere.yaml'"]),
    "models without a match": (["--models", "zzz*"], ["no model of suite 'small' matches 'zzz*'"]),
    "data set not in the suite": (["--datasets", "test7"], ["has no data set 'test7'", "did you mean 'test1'?"]),
    "unknown device": (["--device", "gpu"], ["unknown device 'gpu'"]),
}


@pytest.mark.parametrize(("options", "parts"), BAD.values(), ids=BAD)
def test_wrong_option_gives_one_sentence_and_status_2(
    options: list[str], parts: list[str], nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = ["--suite", str(suite_file(models=("bicubic",)))] if "--suite" not in options else []
    refused(nursery, [*suite, *options], parts, tmp_path)


WRONG = {
    "unknown model": ("edsr_tinny", ["line 4", "unknown backbone 'edsr_tinny'", "did you mean 'edsr_tiny'?"]),
    "unknown method": ("edsr_tiny+pss", ["line 4", "unknown method 'pss'", "did you mean 'ps'?"]),
    "unknown argument": ("edsr_tiny+ps(ration=1/4)", ["line 4", "'ration'", "did you mean 'ratio'?"]),
    "ratio 0": ("edsr_tiny+ps(ratio=0)", ["line 4", "ratio"]),
    "ratio 2": ("edsr_tiny+ps(ratio=2)", ["line 4", "ratio"]),
    "ratio abc": ("edsr_tiny+ps(ratio=abc)", ["line 4", "ratio", "abc"]),
    "shape that does not tile": ("edsr_tiny+ps(shape=5x7x1x1)", ["line 4", "5x7x1x1"]),
    "one model under two names": ("bicubic\n  - bicubic", ["line 5", "line 4 names already"]),
    "weights unknown": ("edsr_tiny.author", ["line 4", "author"]),
    "weights out of reach": ("drrn_b1u9+ps.author", ["line 4", "srbench cache add"]),
}


@pytest.mark.parametrize(("model", "parts"), WRONG.values(), ids=WRONG)
def test_wrong_model_is_found_before_anything_is_written(
    model: str, parts: list[str], nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    refused(nursery, ["--suite", str(suite_file(models=(model,)))], parts, tmp_path)


SUITES = {
    "unknown key": ("modells: 3\n", ["line 11", "unknown key 'modells'", "did you mean 'models'?"]),
    "unknown metric": ("metrics: [psnr_x]\n", ["line 11", "unknown metric 'psnr_x'", "did you mean 'psnr_y'?"]),
    "damaged image": ("", ["line 7", "test0"]),
    "training data that is not there": ("", ["train"]),
}


@pytest.mark.parametrize("case", SUITES)
def test_wrong_suite_is_found_before_anything_is_written(
    case: str, nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    extra, parts = SUITES[case]
    suite = suite_file(extra=extra)
    if case == "damaged image":
        whole = (tmp_path / "test0" / "image0.png").read_bytes()
        (tmp_path / "test0" / "image0.png").write_bytes(whole[: len(whole) // 2])
    if case == "training data that is not there":
        os.rename(tmp_path / "train", tmp_path / "elsewhere")
    refused(nursery, ["--suite", str(suite)], parts, tmp_path)


def refused(nursery: Any, options: list[str], parts: list[str], tmp_path: Path) -> None:
    """Run a command that must be refused in one sentence, with nothing written."""
    status = nursery.run("run", *options, "--out", str(tmp_path / "run"))
    said = nursery.said()
    assert status == 2, said
    assert said.startswith("srbench: "), said
    assert said.count("\n") == 1, said
    for part in parts:
        assert part in said
    assert not (tmp_path / "run").exists()
