"""Validation of a run's trainings: stored per iteration in records, shown as curves, without effect on results."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from srbench.cli.learning_curves import read_curves
from srbench.cli.progress import RunProgress
from srbench.errors import ConfigError
from srbench.results.records import Validation
from srbench.runs.plan import DataPlan, ValidationPlan
from srbench.runs.planner import make_plan
from srbench.runs.runner import run
from srbench.runs.validations import NOTE, begin_validation, contradicts, stored_validation
from srbench.suite.definition import load_suite
from srbench.suite.validation_images import validated_on
from srbench.training.train import TrainResult, train

VALIDATED = "validate: {data: test0, every: 2}\n"


def test_validations_are_stored_per_iteration_and_change_neither_keys_nor_weights(
    suite_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = load_suite(suite_file(models=("edsr_tiny",), tests=1))
    validated = load_suite(suite_file(models=("edsr_tiny",), tests=1, extra=VALIDATED))
    keys = [[cell.key for cell in make_plan(suite).cells] for suite in (plain, validated)]
    assert keys[0] == keys[1]
    assert plain.definition() == validated.definition()
    training = make_plan(plain).models[0].training
    assert training is not None
    bare = train("edsr_tiny", scales=(2,), data=tmp_path / "train", recipe=training.recipe, out_dir=tmp_path / "bare")
    with RunProgress() as told:
        report = run(validated, tmp_path / "run", jobs=1, observer=told)
    assert report.failed == []
    assert "preparing images for edsr_tiny x2 1/2 train" in capsys.readouterr().err
    after = next(one for one in report.done if one.protocol == "matlab-y")
    assert after.weights_sha256 == bare.weights_sha256
    assert after.training is not None
    found = after.training.validation
    assert found is not None
    assert (found.data, found.data_hash, found.images) == ("test0", after.dataset_hash, 1)
    assert (found.protocol, found.iterations) == ("matlab-y", [2, 4])
    # The last validation is of the final weights on the images that are measured.
    assert {name: means[-1] for name, means in found.metrics.items()} == {
        f"{name} x2": mean for name, mean in after.metrics.items()
    }
    curves = read_curves([tmp_path / "run"], "psnr_y x2")
    assert [(curve.model, curve.iterations) for curve in curves] == [("edsr_tiny", [2, 4])]
    # A board without the files of its trainings has the curves in its records.
    (tmp_path / "run" / "models").rename(tmp_path / "models")
    assert read_curves([tmp_path / "run"], "psnr_y x2") == curves
    with pytest.raises(ConfigError, match="was validated by"):
        read_curves([tmp_path / "bare"], "psnr_y x2")


def test_a_suite_says_how_often_and_on_which_images(suite_file: Callable[..., Path]) -> None:
    suite = load_suite(suite_file(tests=1, images=2, iterations=100, extra="validate: test0\n"))

    def planned(asked: object) -> tuple[int, int]:
        plan = make_plan(asked)  # type: ignore[arg-type]
        training = next(model.training for model in plan.models if model.training is not None)
        assert training.validation is not None
        assert training.validation.data in next(model for model in plan.models if model.training).data
        return training.recipe.validate_every, training.validation.data.images

    told: list[str] = []
    make_plan(suite, note=told.append)
    assert told == ["hashing images: test0 (2)", "hashing images: train (2)"]
    assert planned(suite) == (5, 2)  # 20 validations
    assert planned(validated_on(suite, None, "image0", 7)) == (7, 1)
    own = suite.model_copy(update={"train": suite.train.model_copy(update={"validate_every": 50})})  # type: ignore[union-attr]
    assert planned(own)[0] == 50


def test_a_budget_has_its_own_validation_which_is_not_part_of_the_definition(suite_file: Callable[..., Path]) -> None:
    budgets = "budgets:\n  a: {seeds: 1, validate: {data: test0, images: image0, every: 3}}\n  b: {seeds: 1}\n"
    suite = load_suite(suite_file(tests=1, images=2, extra=f"validate: test0\n{budgets}"))
    validated, inherited = (suite.at_budget(name).validation for name in "ab")
    assert validated is not None
    assert (validated.images, validated.every) == ("image0", 3)
    assert inherited == suite.validation
    plain = load_suite(suite_file(tests=1, images=2, extra="budgets:\n  a: {seeds: 1}\n  b: {seeds: 1}\n"))
    assert suite.definition() == plain.definition()
    assert suite.at_budget("a").definition() == plain.at_budget("a").definition()


def test_wrong_validation_is_one_sentence(suite_file: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"line \d+.*unknown key 'evry'.*'every'"):
        load_suite(suite_file(extra="validate: {data: test0, evry: 3}\n"))
    with pytest.raises(ConfigError, match=r"line \d+.*unknown key 'evry'.*'every'"):
        load_suite(suite_file(extra="budgets:\n  a: {validate: {data: test0, evry: 3}}\n"))
    with pytest.raises(ConfigError, match="has no validation images"):
        validated_on(load_suite(suite_file()), None, None, 5)
    with pytest.raises(ConfigError, match="trains no models"):
        validated_on(load_suite("efficient-x2"), "Set5", None, None)


def result(folder: Path, *, resumed_from: int = 0, complete_before: bool = False) -> TrainResult:
    points = [{"iteration": at, "psnr_y x2": 30.0 + at} for at in (10, 20, 30)]
    return TrainResult(
        "m", (2,), folder / "w", "0" * 64, 30, 1.0, 0.1, {}, "", "T", "", points, None, resumed_from, complete_before
    )


def plan_on(name: str) -> ValidationPlan:
    from srbench.protocols import get_protocol

    return ValidationPlan(DataPlan(name, name, f"hash of {name}", 5), get_protocol("matlab-y"))


def iterations(found: Validation | None) -> list[int]:
    return [] if found is None else found.iterations


def test_a_resumed_training_keeps_validations_on_the_same_images_only(tmp_path: Path) -> None:
    assert stored_validation(tmp_path, result(tmp_path)) is None  # validated, but nothing says on what
    begin_validation(tmp_path, plan_on("A"))
    assert iterations(stored_validation(tmp_path, result(tmp_path))) == [10, 20, 30]
    (tmp_path / "checkpoint.pt").touch()
    begin_validation(tmp_path, plan_on("A"))
    assert iterations(stored_validation(tmp_path, result(tmp_path, resumed_from=10))) == [10, 20, 30]
    begin_validation(tmp_path, plan_on("B"))
    found = stored_validation(tmp_path, result(tmp_path, resumed_from=10))
    assert iterations(found) == [20, 30]
    assert found is not None
    assert found.data == "B"
    assert stored_validation(tmp_path, result(tmp_path, complete_before=True)) is None
    (tmp_path / "training.json").touch()
    begin_validation(tmp_path, plan_on("C"))  # of a finished training, nothing is validated again
    assert json.loads((tmp_path / NOTE).read_text())["about"]["data"] == "B"
    (tmp_path / NOTE).write_text('{"about": 3}')
    assert stored_validation(tmp_path, result(tmp_path)) is None


def test_a_record_that_differs_from_the_file_of_its_training_is_noticed(tmp_path: Path) -> None:
    begin_validation(tmp_path, plan_on("A"))
    kept = result(tmp_path)
    found = stored_validation(tmp_path, kept)
    assert found is not None
    assert not contradicts(found, kept.validations, tmp_path)
    assert contradicts(found, kept.validations[:2], tmp_path)
    assert contradicts(found.model_copy(update={"images": 6}), kept.validations, tmp_path)
    edited = replace(kept, validations=[{**point, "psnr_y x2": 31.0} for point in kept.validations])
    assert contradicts(found, edited.validations, tmp_path)
