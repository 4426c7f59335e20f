"""Suites at a budget, with several seeds, and with one network for several scales."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbench.errors import ConfigError, UnknownNameError
from srbench.leaderboard.boards import read_results
from srbench.results.store import RunStore
from srbench.runs.planner import make_plan
from srbench.suite.definition import Suite, load_suite

SUITE = """
name: mine
scale: [2, 3]
models:
  - bicubic
  - edsr_tiny
  - {model: edsr_tiny+recursive, train: {lr: 1.0e-3, iterations: 90}}
datasets: [Set5]
train: {data: embedded-train, iterations: 100, gt_size: 24}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "suite.yaml"
    path.write_text(text)
    return path


def loaded(folder: Path, more: str, text: str = SUITE) -> Suite:
    return load_suite(written(folder, text + more))


# --- budgets


def test_a_budget_takes_the_place_of_what_it_names_and_of_nothing_else(tmp_path: Path) -> None:
    suite = loaded(
        tmp_path, "budgets:\n  less: {datasets: [embedded-test], train: {iterations: 7}, budget: a minute}\n"
    )
    less = suite.at_budget("less")
    assert (less.datasets, less.budget, less.models[1], less.scales) == (
        ("embedded-test",),
        "a minute",
        suite.models[1],
        (2, 3),
    )
    assert [less.training(entry).recipe for entry in less.models[1:]] == [
        {"iterations": 7, "gt_size": 24},
        # A budget decides over what the suite says of one model, too.
        {"iterations": 7, "gt_size": 24, "lr": 1e-3},
    ]
    assert (suite.chosen_budget, suite.label, less.chosen_budget, less.label) == ("", "mine", "less", "mine-less")
    assert "budgets" not in less.definition()


def test_a_budgets_own_models_decide_over_its_training(tmp_path: Path) -> None:
    more = "budgets:\n  b: {models: [{model: edsr_tiny, train: {lr: 5.0e-4}}], train: {lr: 2.0e-3, iterations: 9}}\n"
    less = loaded(tmp_path, more).at_budget("b")
    (entry,) = less.models
    assert less.training(entry).recipe == {"iterations": 9, "lr": 5e-4, "gt_size": 24}


def test_a_budget_gives_other_keys_than_the_whole_suite(tmp_path: Path) -> None:
    suite = loaded(tmp_path, "budgets:\n  b: {train: {iterations: 7}}\n")
    whole, less = (make_plan(one, models_glob="edsr_tiny", datasets=["Set5"]) for one in (suite, suite.at_budget("b")))
    assert not {cell.key for cell in whole.cells} & {cell.key for cell in less.cells}
    assert {model.training.iterations for model in less.models if model.training} == {7}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("budgets:\n  b: {modles: [bicubic]}\n", "line 11: unknown key 'modles'; did you mean 'models'"),
        ("budgets:\n  b: {train: {iteration: 3}}\n", "line 11: unknown key 'iteration'; did you mean 'iterations'"),
        ("budgets:\n  b: {train: {iterations: 0}}\n", "line 11: .*greater than 0"),
        ("budgets:\n  b:\n    models:\n      - edsr_tiny+\n", "line 13: "),
        ("budgets:\n  b c: {seeds: 1}\n", "line 1[01]: "),
        ("budgets:\n  b: {seeds: [1, 1]}\n", "line 11: .*1 is given twice"),
        ("budgets:\n  b: {seeds: []}\n", "line 11: "),
        ("seeds: [-1]\n", "line 10: "),
        ("seeds: [0]\nbudgets:\n  b: {train: {seed: 4}}\n", "line 12: give 'seeds' or a 'seed'"),
        ("multi_scale: maybe\n", "line 10: "),
    ],
)
def test_wrong_budgets_and_seeds_get_a_sentence_with_their_line(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loaded(tmp_path, more)


def test_a_model_at_a_scale_that_the_suite_lacks_is_refused(tmp_path: Path) -> None:
    text = SUITE.replace("- edsr_tiny\n", "- {model: edsr_tiny, scale: 4}\n")
    with pytest.raises(ConfigError, match="line 6: scale 4 of 'edsr_tiny' is not one of the suite's: 2, 3"):
        loaded(tmp_path, "", text)


def test_a_budget_that_trains_needs_images(tmp_path: Path) -> None:
    text = "name: mine\nscale: 2\nmodels: [bicubic]\ndatasets: [Set5]\n"
    with pytest.raises(ConfigError, match="line 6: the training of budget 'b' needs 'data'"):
        loaded(tmp_path, "budgets:\n  b: {train: {iterations: 3}}\n", text)


def test_an_unknown_budget_suggests_the_nearest(tmp_path: Path) -> None:
    suite = loaded(tmp_path, "budgets:\n  small: {seeds: 1}\n  gpu: {seeds: 2}\n")
    with pytest.raises(UnknownNameError, match=r"no budget 'smal'; did you mean 'small'\?"):
        suite.at_budget("smal")
    with pytest.raises(UnknownNameError, match="has no budgets"):
        loaded(tmp_path, "").at_budget("small")


def test_other_images_to_train_on(tmp_path: Path) -> None:
    suite = loaded(tmp_path, "").trained_on("embedded-test")
    assert {suite.training(entry).data for entry in suite.models} == {"embedded-test"}
    with pytest.raises(ConfigError, match="trains no model"):
        loaded(tmp_path, "", "name: a\nscale: 2\nmodels: [bicubic]\ndatasets: [Set5]\n").trained_on("embedded-test")


@pytest.mark.parametrize("name", ["ps-table1-x2", "ps-main", "laplacian-x2", "sparse-x2"])
def test_packaged_suites_can_be_planned_whole_and_at_each_budget(name: str) -> None:
    suite = load_suite(name)
    assert {"small", "gpu"} <= set(suite.budgets)
    # A budget may name images that are not here.
    for one in (suite, *(suite.at_budget(budget) for budget in suite.budgets)):
        one = one.trained_on("embedded-train")
        plan = make_plan(one, datasets=["Set5"])
        assert len({cell.key for cell in plan.cells}) == sum(1 for _ in plan.cells)
        assert one.budget
    reported = {figure.model for figure in suite.reported_figures()}
    assert reported <= {str(model.name) for model in make_plan(suite.trained_on("embedded-train")).models} | {
        "drrn_b1u9+ps.author"
    }


def test_table_1_has_all_33_rows_of_the_paper() -> None:
    suite = load_suite("ps-table1-x2")
    plan = make_plan(suite.trained_on("embedded-train"), datasets=["Set5"])
    trained = {str(model.name) for model in plan.models if model.training}
    assert trained == {figure.model for figure in suite.reported_figures()}
    assert len(trained) == 33


# --- seeds


def test_seeds_give_each_training_cells_of_its_own(tmp_path: Path) -> None:
    one = make_plan(loaded(tmp_path, ""))
    two = make_plan(loaded(tmp_path, "seeds: [0, 7]\n"))
    trainings = [model.training for model in two.models if model.training is not None]
    assert sorted({training.seed for training in trainings}) == [0, 7]
    assert len({training.key for training in trainings}) == len(trainings) == 8  # 2 models, 2 scales, 2 seeds
    # The recipe's own seed is 0: those cells are the same as without the key.
    assert {cell.key for cell in one.cells} < {cell.key for cell in two.cells}
    assert [model.label for model in two.models][:4] == [
        "bicubic x2",
        "bicubic x3",
        "edsr_tiny x2 seed 0",
        "edsr_tiny x2 seed 7",
    ]


def test_a_run_with_two_seeds_is_averaged_and_says_so(
    nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    extra = "seeds: [0, 1]\nbudgets:\n  tiny: {models: [bicubic, edsr_tiny, edsr_tiny+recursive], datasets: [test0]}\n"
    suite = suite_file(images=3, extra=extra)
    out = tmp_path / "run"
    arguments = ["run", "--suite", str(suite), "--budget", "tiny", "--out", str(out), "--jobs", "1"]
    assert nursery.run(*arguments, "--json", str(tmp_path / "out.json")) == 0, nursery.said()
    cells = json.loads((tmp_path / "out.json").read_text())["cells"]
    assert [cell["seed"] for cell in cells if cell["protocol"] == "matlab-y"] == [None, 0, 1, 0, 1]
    assert {cell["state"] for cell in cells} == {"ok"}

    store = RunStore(out)
    info = store.info()
    assert info is not None
    assert (info.suite, info.budget) == ("small", "tiny")
    by_seed = {
        cell.record.seed: cell
        for cell in store.cells()
        if (cell.record.model, cell.record.protocol) == ("edsr_tiny", "matlab-y")
    }
    assert sorted(by_seed) == [0, 1]
    assert by_seed[0].record.weights_sha256 != by_seed[1].record.weights_sha256
    assert [by_seed[seed].record.training.seeds for seed in (0, 1)] == [[0], [1]]

    (board, _) = read_results(out).boards
    (group,) = board.groups
    entry = next(entry for entry in group.entries if entry.record.model == "edsr_tiny")
    assert entry.seeds == [0, 1]
    expected = (by_seed[0].record.metrics["psnr_y"] + by_seed[1].record.metrics["psnr_y"]) / 2
    assert entry.values["test0", "psnr_y"].interval.mean == pytest.approx(expected, abs=1e-9)
    assert "Averaged over 2 trainings" in group.seed_note
    page = (out / "leaderboard" / "index.html").read_text()
    assert "2 seeds averaged" in page
    assert "--budget tiny --out runs/small-tiny" in page

    # The same again does nothing; another budget does not go into this directory.
    assert nursery.run(*arguments) == 0
    assert "nothing to do" in nursery.said()
    assert nursery.run("run", "--suite", str(suite), "--out", str(out)) == 2
    assert "holds a run of suite 'small' with budget 'tiny', not of 'small'" in nursery.said()


def test_an_unknown_budget_of_the_command_is_one_sentence(
    nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = suite_file(extra="budgets: {tiny: {seeds: 1}}\n")
    assert nursery.run("run", "--suite", str(suite), "--budget", "tinny", "--out", str(tmp_path / "run")) == 2
    assert nursery.said().strip().startswith("srbench: suite 'small' has no budget 'tinny'; did you mean 'tiny'?")
    assert not (tmp_path / "run").exists()


# --- one network for several scales


def test_one_network_is_trained_for_all_scales_and_measured_at_each(tmp_path: Path) -> None:
    text = SUITE.replace("- edsr_tiny\n", "- {model: drrn_b1u9, multi_scale: true}\n")
    plan = make_plan(loaded(tmp_path, "seeds: [3, 4]\n", text), models_glob="drrn*")
    assert [(model.measured, model.scales, model.training.seed) for model in plan.models] == [
        ((2, 3), (2, 3), 3),
        ((2, 3), (2, 3), 4),
    ]
    assert [cell.scale for cell in plan.models[0].cells] == [2, 3]
    apart = make_plan(loaded(tmp_path, "", text.replace("true", "false")), models_glob="drrn*")
    assert [(model.measured, model.scales) for model in apart.models] == [((2,), (2,)), ((3,), (3,))]
    assert not {cell.key for cell in plan.cells} & {cell.key for cell in apart.cells}
    everywhere = loaded(tmp_path, "multi_scale: true\n", text.replace(", multi_scale: true", ""))
    assert [model.measured for model in make_plan(everywhere, models_glob="drrn*").models] == [(2, 3)]


def test_patches_must_fit_all_scales_of_one_network(tmp_path: Path) -> None:
    text = SUITE.replace("gt_size: 24", "gt_size: 16").replace(
        "- edsr_tiny\n", "- {model: drrn_b1u9, multi_scale: true}\n"
    )
    with pytest.raises(ConfigError, match="line 6: gt_size 16 is not a multiple of scale 3"):
        make_plan(loaded(tmp_path, "", text), models_glob="drrn*")


def test_a_network_for_one_scale_refuses_to_be_trained_for_two(
    nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    suite = suite_file(models=("{model: edsr_tiny, multi_scale: true}",), extra="")
    suite.write_text(suite.read_text().replace("scale: 2", "scale: [2, 4]"))
    assert nursery.run("run", "--suite", str(suite), "--out", str(tmp_path / "run")) == 2
    assert "line 4: EDSR is a network for one scale of 2, 3, 4; got 2, 4" in nursery.said()
    assert not (tmp_path / "run").exists()


def test_a_multi_scale_network_is_trained_once_and_deploys_less_than_it_holds(
    nursery: Any, suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    model = "{model: carn_m+ps(num_filters=2), multi_scale: true}"
    suite = suite_file(models=(model,), tests=1, iterations=2)
    text = suite.read_text().replace("scale: 2", "scale: [2, 4]").replace("gt_size: 16", "gt_size: 16, seed: 5")
    suite.write_text(text)
    out = tmp_path / "run"
    assert nursery.run("run", "--suite", str(suite), "--out", str(out), "--jobs", "1") == 0, nursery.said()
    records = [cell.record for cell in RunStore(out).cells()]
    assert sorted({record.scale for record in records}) == [2, 4]
    assert {tuple(record.scales) for record in records} == {(2, 4)}
    assert len({record.weights_sha256 for record in records}) == 1
    assert len(list((out / "models").iterdir())) == 1
    deployed = {record.scale: record.params_deployed for record in records}
    (unique,) = {record.params_unique for record in records}
    # x4 has two upsamplers of x2's kind; each scale leaves the other's upsampler, coefficients and biases out.
    assert deployed[2] < deployed[4] < unique
    assert {record.seed for record in records} == {5}
