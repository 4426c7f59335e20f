"""Models with weights from a file, named in a suite or added to one: a researcher's own beside the suite's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from srbench.data.datasets import open_dataset
from srbench.errors import ConfigError, NetworkError, SRBenchError, WeightsError
from srbench.evaluation.evaluate import evaluate
from srbench.leaderboard import build
from srbench.models.factory import create_model
from srbench.models.weight_files import save_state
from srbench.protocols import get_protocol
from srbench.registry import get_metric
from srbench.results.store import RunStore
from srbench.runs.planner import make_plan
from srbench.runs.runner import run
from srbench.storage import sha256_file
from srbench.suite.definition import load_suite

SuiteFile = Callable[..., Path]


def save(path: Path, name: str = "edsr_tiny", scales: tuple[int, ...] = (2,), seed: int = 0) -> Path:
    save_state(create_model(name, scales=scales, seed=seed), path)
    return path


def test_an_added_model_is_measured_with_its_weights_and_ranked(
    suite_file: SuiteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "mine.safetensors", "edsr_tiny+ps(ratio=1/4)", seed=1)
    suite = load_suite(suite_file(models=("bicubic",), tests=1)).with_models(
        ["edsr_tiny+ps(ratio=1/4)=mine.safetensors"]
    )
    report = run(suite, tmp_path / "run", jobs=1)
    assert report.exit_status == 0
    records = {record.model: record for record in report.done if record.protocol == "matlab-y"}
    record = records["edsr_tiny+ps(ratio=1/4,shape=CxCx1x1)"]
    assert (record.tier, record.training, record.tag) == ("reproduced", None, None)
    # What was measured is that network, not another start of it.
    model = create_model("edsr_tiny+ps(ratio=1/4)", scale=2, seed=1).eval()
    found = evaluate(model, open_dataset(tmp_path / "test0"), 2, get_protocol("matlab-y"), [get_metric("psnr_y")])
    assert record.metrics["psnr_y"] == found.means["psnr_y"]
    (tmp_path / "other").mkdir()
    save(tmp_path / "other" / "mine.safetensors", "edsr_tiny+ps(ratio=1/4)", seed=2)
    again = run(
        load_suite(suite_file(models=("bicubic",), tests=1)).with_models(
            ["edsr_tiny+ps(ratio=1/4)=other/mine.safetensors"]
        ),
        tmp_path / "run",
        jobs=1,
    )
    other = next(record for record in again.done if record.protocol == "matlab-y")
    assert len(again.done) == 2, "other weights are other cells, and bicubic's stay"
    assert other.weights_sha256 != record.weights_sha256
    assert other.metrics["psnr_y"] != record.metrics["psnr_y"]
    build(tmp_path / "run", tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert f"weights from a file, SHA-256 {other.weights_sha256[:8]}" in page
    assert record.weights_sha256[:8] not in page


def test_a_suite_names_weights_beside_its_file_and_keeps_no_path(
    suite_file: SuiteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    save(tmp_path / "several.safetensors", "drrn_b1u9", scales=(2, 3))
    suite = load_suite(suite_file(models=("{model: drrn_b1u9, weights: several.safetensors}",), tests=1))
    [model] = make_plan(suite).models
    assert (model.scales, model.measured, model.training) == ((2, 3), (2,), None)
    save(tmp_path / "mine.safetensors")
    absolute = load_suite(suite_file(models=(f"{{model: edsr_tiny, weights: {tmp_path}/mine.safetensors}}",), tests=1))
    report = run(absolute, tmp_path / "run", jobs=1)
    assert report.exit_status == 0
    info = RunStore(tmp_path / "run").info()
    assert info is not None
    assert str(tmp_path) not in json.dumps(info.definition["models"])
    assert info.definition["models"] == [{"model": "edsr_tiny", "weights": "mine.safetensors"}]


def test_a_file_from_elsewhere_is_taken_for_the_only_scale(suite_file: SuiteFile, tmp_path: Path) -> None:
    model = create_model("edsr_tiny", scale=2, seed=3)
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    suite = load_suite(suite_file(models=("{model: edsr_tiny, weights: mine.pth}",), tests=1))
    assert run(suite, tmp_path / "run", jobs=1).exit_status == 0
    path = suite_file(models=("{model: edsr_tiny, weights: mine.pth}",), tests=1)
    path.write_text(path.read_text().replace("scale: 2", "scale: [2, 3]"))
    with pytest.raises(ConfigError, match=r"line 4: .*does not say which scales its network serves, and x2, x3 are"):
        make_plan(load_suite(path))


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ("edsr_tiny=missing.safetensors", "added model 'edsr_tiny'.*missing.safetensors"),
        ("edsr_tiny=x3.safetensors", "for x3, and the suite asks for x2"),
        ("edsr_tiny+recursive=mine.safetensors", "the weights .*mine.safetensors' are for 'edsr_tiny'"),
        ("edsr_tinny=mine.safetensors", "added model 'edsr_tinny'.*did you mean 'edsr_tiny'"),
        ("edsr_tiny=damaged.safetensors", "damaged.safetensors"),
        ("carn_m.author=mine.safetensors", "by a tag, and '.*mine.safetensors' is another file"),
        ("bicubic", "the model 'bicubic', which .*small.yaml, line 4 names already"),
        ("=mine.safetensors", "cannot be added; give MODEL, or MODEL=FILE"),
        ("edsr_tiny+ps(ratio=1/4", "cannot be added"),
        ("edsr_tiny=", "cannot be added"),
    ],
)
def test_what_cannot_be_added_is_said_before_anything_is_written(
    suite_file: SuiteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, addition: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "mine.safetensors")
    save(tmp_path / "x3.safetensors", scales=(3,))
    (tmp_path / "damaged.safetensors").write_bytes((tmp_path / "mine.safetensors").read_bytes()[:5000])
    suite = load_suite(suite_file(models=("bicubic",), tests=1))
    with pytest.raises(SRBenchError, match=words) as caught:
        run(suite.with_models([addition]), tmp_path / "run", jobs=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_added_is_the_one_here_not_the_one_beside_the_suite(
    suite_file: SuiteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite_file(models=("bicubic",), tests=1)
    save(tmp_path / "mine.safetensors", seed=1)
    (tmp_path / "here").mkdir()
    mine = save(tmp_path / "here" / "mine.safetensors", seed=2)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    for text in ("edsr_tiny=mine.safetensors", "edsr_tiny=~/mine.safetensors"):
        [_, model] = make_plan(load_suite(path).with_models([text])).models
        assert model.weights_sha256 == sha256_file(mine)


def test_no_path_of_a_machine_is_kept(suite_file: SuiteFile, tmp_path: Path) -> None:
    save(tmp_path / "mine.safetensors")
    entry = f"{{model: edsr_tiny, weights: {tmp_path}/mine.safetensors}}"
    path = suite_file(models=(entry,), tests=1, extra=f"budgets: {{less: {{models: [{entry}]}}}}\n")
    text = (
        path.read_text(encoding="utf-8")
        .replace("- test0", f"- {tmp_path}/test0")
        .replace("data: train", f"data: {tmp_path}/train")
    )
    path.write_text(text, encoding="utf-8")
    suite = load_suite(path)
    assert str(tmp_path) not in json.dumps(suite.definition())
    assert suite.definition()["datasets"] == ["test0"]
    assert suite.at_budget("less").models[0].weights == f"{tmp_path}/mine.safetensors"


def test_weights_and_a_training_do_not_go_together(suite_file: SuiteFile) -> None:
    with pytest.raises(ConfigError, match=r"line 4.*has both weights, 'a.pth', and training settings; keep one"):
        load_suite(suite_file(models=("{model: edsr_tiny, weights: a.pth, train: {iterations: 2}}",)))


def test_a_file_that_changes_while_the_run_waits_is_a_failed_cell(
    suite_file: SuiteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from srbench.runs import runner

    save(tmp_path / "mine.safetensors")
    suite = load_suite(suite_file(models=("{model: edsr_tiny, weights: mine.safetensors}",), tests=1))
    real = runner.preflight

    def late(*args: object, **named: object) -> dict[str, str]:
        skipped: dict[str, str] = real(*args, **named)
        save(tmp_path / "mine.safetensors", seed=5)
        return skipped

    monkeypatch.setattr(runner, "preflight", late)
    report = run(suite, tmp_path / "run", jobs=1)
    assert report.exit_status == 1
    assert WeightsError.__name__ in (report.failed[0].error or "")
    assert "'mine.safetensors' was changed after the run began" in (report.failed[0].error or "")


def test_models_whose_weights_cannot_be_downloaded_are_left_out_where_the_user_allows_it(
    suite_file: SuiteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no server listens there
    suite = load_suite(suite_file(models=("bicubic", "ecbsr_m4c16.author"), tests=1))
    with pytest.raises(NetworkError, match=r"small.yaml, line 5: could not download the file 'ECBSR_M4C16_x2.pth'"):
        run(suite, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    report = run(suite, tmp_path / "run", skip_missing_weights=True)
    assert report.exit_status == 0
    assert {record.model for record in report.done} == {"bicubic"}
    assert list(report.skipped) == ["ecbsr_m4c16.author x2"]
    assert "could not download" in report.skipped["ecbsr_m4c16.author x2"]
    build(tmp_path / "run", tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "not measured" in page, "what was planned and left out is shown"
