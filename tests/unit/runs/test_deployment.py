"""What is done to a network before it is evaluated: folding and inference paths, in `eval`, `run` and `cost`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from srbench.cli.app import app
from srbench.errors import ConfigError, SRBenchError, UnknownNameError
from srbench.evaluation.deployment import DEFAULT_DEPLOYMENT, DeploymentOptions, deploy, deployment_from
from srbench.evaluation.options import InferenceOptions
from srbench.images.files import write_png
from srbench.images.resize import imresize
from srbench.models.counting import count_parameters
from srbench.models.factory import create_model
from srbench.models.weight_files import save_state
from srbench.results.store import RunStore
from srbench.runs.fingerprint import is_current
from srbench.runs.planner import make_plan
from srbench.runs.replay_plan import options_of
from srbench.runs.runner import run
from srbench.suite.definition import Suite, load_suite

PS = "edsr_tiny+ps(ratio=1/4,shape=CxCx1x1)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with one image and weights of two networks."""
    monkeypatch.chdir(tmp_path)
    coarse = np.random.default_rng(0).integers(0, 256, (14, 18, 3), dtype=np.uint8)
    write_png(imresize(coarse, 3), tmp_path / "images" / "one.png")
    for name, file in ((PS, "ps"), ("smsr_tiny", "smsr")):
        save_state(create_model(name, scale=2, seed=1), tmp_path / f"{file}.safetensors")
    return tmp_path


def invoke(*args: object) -> Any:
    result = CliRunner().invoke(app, [*map(str, args)], terminal_width=200)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout)


def evaluated(model: str, weights: str, *options: object) -> Any:
    common = ("--scale", 2, "--data", "images", "--protocol", "matlab-y", "--json", "-")
    return invoke("eval", model, "--weights", f"{weights}.safetensors", *common, *options)


def suite_of(folder: Path, model: str, weights: str, text: str = "") -> Suite:
    path = folder / "s.yaml"
    path.write_text(
        f"name: s\nscale: 2\nmodels: [{{model: '{model}', weights: {weights}.safetensors}}]\ndatasets: [images]\n"
        f"metrics: [psnr_y]\n{text}"
    )
    return load_suite(path)


@pytest.mark.parametrize(
    "values", [{}, {"tile": 64}, {"self_ensemble": True, "dtype": "bf16"}, {"tile": 16, "tile_overlap": 0}]
)
def test_without_fold_and_path_keys_digests_and_labels_are_those_of_the_inference_options(
    values: dict[str, Any],
) -> None:
    old, new = InferenceOptions(**values), DeploymentOptions(**values)
    assert (new.chosen, new.label("p"), new.explain(), new.digest("d")) == (
        old.chosen, old.label("p"), old.explain(), old.digest("d"),
    )  # fmt: skip
    assert new.inference == old
    changed = DeploymentOptions(**values, fold=True, path="sparse")
    assert changed.inference == old, "what evaluates gets nothing of them"
    assert changed.chosen == {**old.chosen, "fold": True, "path": "sparse"}
    assert changed.digest("d") != old.digest("d")
    assert changed.label("p") == f"{old.label('p')}+fold+sparse-path"


def test_a_folded_network_is_counted_as_it_was() -> None:
    network = create_model(PS, scale=2, seed=0).eval()
    plain = deploy(network, 2, DEFAULT_DEPLOYMENT)
    assert plain.network is plain.counted is network
    assert not plain.folded
    folded = deploy(network, 2, DeploymentOptions(fold=True))
    assert folded.folded
    assert count_parameters(folded.counted) == count_parameters(network) < count_parameters(folded.network)


@pytest.mark.parametrize(
    ("name", "always", "asked"),
    [("bicubic", False, False), ("edsr_tiny+dense", False, False), ("edsr_tiny+reparam", True, True)],
)
def test_only_what_was_folded_is_called_so(name: str, always: bool, asked: bool) -> None:
    network = create_model(name, scale=2, seed=0).eval()
    assert deploy(network, 2, DEFAULT_DEPLOYMENT).folded is always
    assert deploy(network, 2, DeploymentOptions(fold=True)).folded is asked


def test_eval_folds_and_says_so(folder: Path) -> None:
    plain, folded = evaluated(PS, "ps"), evaluated(PS, "ps", "--fold")
    assert (plain["folded"], folded["folded"]) == (False, True)
    assert (plain["protocol"], folded["protocol"]) == ("matlab-y", "matlab-y+fold")
    assert plain["protocol_digest"] != folded["protocol_digest"]
    assert folded["metrics"]["psnr_y"] == pytest.approx(plain["metrics"]["psnr_y"], abs=1e-3), "the same function"


def test_eval_takes_a_path_and_says_so(folder: Path) -> None:
    own, sparse, dense = (
        evaluated("smsr_tiny", "smsr", *options) for options in ((), ("--path", "sparse"), ("--path", "masked_dense"))
    )
    assert [found["inference"]["path"] for found in (own, sparse, dense)] == [None, "sparse", "masked_dense"]
    assert [found["protocol"] for found in (own, sparse, dense)] == [
        "matlab-y", "matlab-y+sparse-path", "matlab-y+masked-dense-path",
    ]  # fmt: skip
    assert dense["metrics"] == own["metrics"], "it is the network's own path"
    assert sparse["metrics"]["psnr_y"] == pytest.approx(own["metrics"]["psnr_y"], abs=1e-3)


def test_a_path_is_refused_where_there_is_none(folder: Path) -> None:
    with pytest.raises(ConfigError, match="EDSR has no masks, and so one path only; leave the path out"):
        evaluated(PS, "ps", "--path", "sparse")
    with pytest.raises(UnknownNameError, match="unknown inference path 'spares'; did you mean 'sparse'"):
        evaluated("smsr_tiny", "smsr", "--path", "spares")
    with pytest.raises(ConfigError, match=r"s\.yaml, line 3: EDSR has no masks"):
        run(suite_of(folder, PS, "ps", "inference: {path: sparse}\n"), folder / "run", jobs=1)
    assert not (folder / "run").exists()
    with pytest.raises(UnknownNameError, match=r"s\.yaml, line 6: unknown inference path 'fast'"):
        make_plan(suite_of(folder, PS, "ps", "inference: {path: fast}\n"))
    with pytest.raises(ConfigError, match="inference options: 'path'"):
        deployment_from(path="not a path")


def test_cells_of_another_path_or_folded_are_others_and_the_rest_are_the_same(folder: Path) -> None:
    texts = ["", "inference: {fold: false}\n", "inference: {fold: true}\n", "inference: {path: sparse}\n"]
    suites = [suite_of(folder, "smsr_tiny", "smsr", text) for text in texts]
    cells = [next(make_plan(suite).cells) for suite in suites]
    assert (cells[0].key, cells[0].code) == (cells[1].key, cells[1].code)
    assert suites[0].definition() == suites[1].definition()
    assert len({cell.key for cell in cells}) == len({cell.protocol_digest for cell in cells}) == 3
    assert cells[2].code == cells[0].code
    assert cells[3].code != cells[0].code, "the code of the path is part of what decides the result"
    by_option = make_plan(suites[0].deployed_with(path="sparse"))
    assert next(by_option.cells).key == cells[3].key


def test_records_say_what_was_folded_and_which_path_was_taken(folder: Path) -> None:
    suite = suite_of(folder, "smsr_tiny", "smsr", "inference: {fold: true, path: sparse}\n")
    (record,) = run(suite, folder / "run", jobs=1).done
    assert record.protocol == "matlab-y+fold+sparse-path"
    assert record.numerics == {"tf32": False, "fold": True, "path": "sparse"}
    assert record.folded is False, "its method has nothing to fold"
    assert options_of(record) == suite.inference
    assert is_current(record)
    info = RunStore(folder / "run").info()
    assert info is not None
    assert "take the inference path sparse" in info.explanations[record.protocol_digest]
    found = evaluated("smsr_tiny", "smsr", "--path", "sparse", "--fold", "--metrics", "psnr_y")
    assert found["metrics"] == record.metrics


def test_cost_times_the_path_that_is_asked_for() -> None:
    common = ("--scale", 2, "--latency", "--seconds", 0.1, "--lr-size", "16x16", "--json", "-")
    paths = ("--path", "sparse", "--path", "default")
    found = invoke("cost", "smsr_tiny", "edsr_tiny", *common, *paths)
    assert [model["path"] for model in found["models"]] == ["sparse", None]
    refused: list[tuple[tuple[object, ...], type[SRBenchError], str]] = [
        (("edsr_tiny", *common, "--path", "sparse"), ConfigError, "EDSR has no masks"),
        (("smsr_tiny", "--scale", 2, "--path", "sparse"), ConfigError, "give --latency or --memory"),
        (("smsr_tiny", "smsr_tiny", "smsr_tiny", *common, *paths), ConfigError, "got 2 for 3"),
        (("smsr_tiny", *common, "--path", "spares"), UnknownNameError, "did you mean 'sparse'"),
    ]
    for arguments, error, words in refused:
        with pytest.raises(error, match=words):
            invoke("cost", *arguments)
