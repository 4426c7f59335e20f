"""`srbench run --adopt`: results of other code are kept where they agree, and refused with a sentence where not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from srbench.results.records import Record
from srbench.results.store import RunStore
from srbench.runs.adoption import AdoptionReport, adopt
from srbench.runs.runner import Silent, run
from srbench.storage import sha256_file
from srbench.suite.definition import load_suite

SUITE = """
name: small
scale: 2
models: [bicubic, edsr_tiny]
datasets: [images]
protocol: [matlab-y, truncate-y]
train: {data: train, iterations: 4, batch_size: 2, gt_size: 16, checkpoint_every: 2, seed: SEED}
"""
OTHER_CODE = "0" * 64


def rewritten(directory: Path, change: Callable[[dict[str, Any]], None], *, name: str = "record.json") -> None:
    """Change a JSON file of a cell as somebody would who also brings its marker up to date."""
    path = directory / name
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    marked(directory)


def marked(directory: Path) -> None:
    """Bring a cell's marker up to date."""
    marker = json.loads((directory / "DONE").read_text())
    marker["files"] = {file: sha256_file(directory / file) for file in marker["files"]}
    (directory / "DONE").write_text(json.dumps(marker))


def aged(run_dir: Path) -> None:
    """Give all results the keys that other code would have given them."""
    for number, folder in enumerate(sorted((run_dir / "models").iterdir())):
        folder.rename(folder.with_name(f"{folder.name[:-12]}{number:012d}"))
    for directory in list((run_dir / "cells").iterdir()):
        key = hashlib.sha256(directory.name.encode()).hexdigest()

        def change(record: dict[str, Any], key: str = key) -> None:
            record["key"], record["code_digest"] = key, OTHER_CODE
            if record["training"] is not None:
                record["training"]["code_digest"] = OTHER_CODE

        rewritten(directory, change)
        directory.rename(directory.with_name(f"{directory.name[:-12]}{key[:12]}"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, write_images: Callable[..., Path]) -> Path:
    """Return a folder with a suite, `run` of it, and `run1`, the same trained with seed 1; other code made both."""
    folder = tmp_path_factory.mktemp("made")
    write_images(folder / "train", 2, seed=99)
    write_images(folder / "images", 2, seed=0)
    for seed, name in enumerate(("run", "run1")):
        (folder / f"{name}.yaml").write_text(SUITE.replace("SEED", str(seed)))
        assert run(load_suite(folder / f"{name}.yaml"), folder / name, threads=1).exit_status == 0
        aged(folder / name)
    return folder


@pytest.fixture
def old(made: Path, tmp_path: Path) -> Path:
    """Return a run directory whose results other code made."""
    shutil.copytree(made / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def adopted(made: Path, old: Path) -> Callable[..., AdoptionReport]:
    """Return a function that adopts `old`."""
    return lambda **options: adopt(load_suite(made / "run.yaml"), old, observer=Silent(), **options)


def cell(run_dir: Path, model: str = "edsr_tiny", protocol: str = "matlab-y") -> Path:
    (found,) = (run_dir / "cells").glob(f"{model}-x2-images-{protocol}-*")
    return found


def training(run_dir: Path) -> Path:
    (found,) = (run_dir / "models").iterdir()
    return found


def test_agreeing_results_are_kept_under_the_present_keys_and_nothing_is_left_to_do(
    made: Path, old: Path, adopted: Callable[..., AdoptionReport]
) -> None:
    before = {c.record.identity: c.record for c in RunStore(old).cells()}
    weights = sha256_file(training(old) / "weights.safetensors")
    report = adopted()
    assert (len(report.adopted), report.refused, report.absent, report.exit_status) == (4, [], [], 0)
    for found in RunStore(old).cells():
        record, earlier = found.record, before[found.record.identity]
        assert record.metrics == earlier.metrics
        assert record.created == earlier.created
        assert record.code_digest != OTHER_CODE
        assert record.adopted is not None
        assert (record.adopted.from_code, record.adopted.from_key) == (OTHER_CODE, earlier.key)
        assert record.adopted.evaluation == "identical"
        assert record.adopted.training == ("replayed" if record.model == "edsr_tiny" else "")
    again = run(load_suite(made / "run.yaml"), old, threads=1)
    assert (again.todo, again.done) == ((), [])
    assert weights in {sha256_file(path) for path in (old / "models").glob("*/weights.safetensors")}
    assert adopted().current == 4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(
            lambda r: r["metrics"].update(psnr_y=r["metrics"]["psnr_y"] + 1e-9), "its mean of psnr_y is", id="mean"
        ),
        pytest.param(lambda r: r.update(params_unique=r["params_unique"] + 1), "its params_unique is", id="parameters"),
        pytest.param(lambda r: r["cost"].update(macs=r["cost"]["macs"] + 1), "its cost is", id="macs"),
        pytest.param(
            lambda r: r.update(weights_sha256="ab" * 32), "its weights are abababababab...", id="weights' hash"
        ),
        pytest.param(lambda r: r.update(dataset_hash="cd" * 32), "its dataset_hash is cdcdcdcdcdcd...", id="data"),
        pytest.param(
            lambda r: r["training"]["recipe"].update(lr=0.5),
            "trained with another recipe than the suite's",
            id="recipe",
        ),
        pytest.param(
            lambda r: r["training"].update(seeds=[1]) or r["training"]["recipe"].update(seed=1),
            "it was trained with seed 1, but the suite has seed 0",
            id="seed",
        ),
        pytest.param(
            lambda r: r["training"]["trace"]["losses"].append(1.0), "the trace of its training differs", id="trace"
        ),
    ],
)
def test_record_with_one_thing_altered_is_refused_with_its_sentence(
    old: Path, adopted: Callable[..., AdoptionReport], change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    rewritten(cell(old), change)
    report = adopted()
    assert report.exit_status == 1
    reasons = {refusal.reason for refusal in report.refused}
    assert [refusal.cell for refusal in report.refused] == ["edsr_tiny x2 on images, matlab-y"]
    assert len(report.adopted) == 3
    assert any(sentence in reason for reason in reasons), reasons
    refused = RunStore(old).find(cell(old).name, json.loads((cell(old) / "record.json").read_text())["key"])
    assert refused is not None
    assert refused.record.code_digest == OTHER_CODE, "what is refused stays as it is"


def test_altered_value_of_one_image_is_refused_and_the_others_are_adopted(
    old: Path, adopted: Callable[..., AdoptionReport]
) -> None:
    directory = cell(old)
    table = pd.read_parquet(directory / "per_image.parquet")
    table.loc[1, "ssim_y"] += 1e-5
    table.to_parquet(directory / "per_image.parquet", index=False)
    rewritten(directory, lambda r: r["metrics"].update(ssim_y=float(table["ssim_y"].mean())))
    report = adopted()
    (refusal,) = report.refused
    assert refusal.cell == "edsr_tiny x2 on images, matlab-y"
    assert refusal.reason.startswith(f"ssim_y of 'image1' is {float(table['ssim_y'][1])!r}, but now measured as ")
    assert len(report.adopted) == 3


def test_value_that_differs_by_rounding_alone_is_replaced_by_what_this_code_gives(
    old: Path, adopted: Callable[..., AdoptionReport]
) -> None:
    directory = cell(old, "bicubic")
    table = pd.read_parquet(directory / "per_image.parquet")
    right = table.copy()
    table.loc[1, "psnr_y"] += 4e-14
    table.to_parquet(directory / "per_image.parquet", index=False)
    rewritten(directory, lambda r: r["metrics"].update(psnr_y=float(table["psnr_y"].mean())))
    report = adopted(models_glob="bicubic")
    assert report.refused == []
    found = RunStore(old).find(
        cell(old, "bicubic").name, next(r.key for r in report.adopted if r.protocol == "matlab-y")
    )
    assert found is not None
    assert found.record.adopted is not None
    assert found.record.adopted.evaluation == "but for rounding"
    assert 0 < found.record.adopted.largest_difference["psnr_y"] < 1e-13
    assert found.record.metrics["psnr_y"] == float(right["psnr_y"].mean())
    assert list(found.per_image["psnr_y"]) == list(right["psnr_y"])


def test_altered_file_with_an_old_marker_is_refused(old: Path, adopted: Callable[..., AdoptionReport]) -> None:
    path = cell(old) / "record.json"
    path.write_text(path.read_text().replace('"images": 2', '"images": 3'))
    (refusal,) = adopted().refused
    assert refusal.reason.endswith("is damaged: 'record.json' is not the file that was written")


def altered_weights(folder: Path) -> str:
    """Change one number of a training's weights and return the file's hash."""
    path = folder / "weights.safetensors"
    tensors = load_file(path)
    tensors[min(tensors)].view(-1)[0] += 0.25
    save_file(tensors, path)
    return sha256_file(path)


def test_altered_weights_are_refused(old: Path, adopted: Callable[..., AdoptionReport]) -> None:
    altered_weights(training(old))
    report = adopted()
    assert {refusal.reason for refusal in report.refused} == {
        f"the weights in '{training(old).name}' have changed since they were trained"
    }
    assert len(report.adopted) == 2


def test_altered_weights_whose_hashes_were_altered_too_are_refused_by_what_they_measure(
    old: Path, adopted: Callable[..., AdoptionReport]
) -> None:
    folder = training(old)
    changed = altered_weights(folder)
    note = json.loads((folder / "training.json").read_text())
    note["result"]["weights_sha256"] = changed
    (folder / "training.json").write_text(json.dumps(note))
    for protocol in ("matlab-y", "truncate-y"):
        rewritten(cell(old, protocol=protocol), lambda r: r.update(weights_sha256=changed))
    report = adopted()
    assert len(report.refused) == 2
    assert all("but now measured as" in refusal.reason for refusal in report.refused)
    assert [folder] == list((old / "models").iterdir()), "weights that were refused are not kept as this code's"


def test_weights_of_another_seed_are_refused_by_the_replay(
    made: Path, old: Path, adopted: Callable[..., AdoptionReport]
) -> None:
    shutil.rmtree(old)
    shutil.copytree(made / "run1", old)
    note = json.loads((training(old) / "training.json").read_text())
    note["identity"]["recipe"]["seed"] = note["result"]["recipe"]["seed"] = 0
    (training(old) / "training.json").write_text(json.dumps(note))
    for protocol in ("matlab-y", "truncate-y"):

        def claim(record: dict[str, Any]) -> None:
            record["seed"] = record["training"]["recipe"]["seed"] = 0
            record["training"]["seeds"] = [0]

        rewritten(cell(old, protocol=protocol), claim)
    report = adopted()
    assert len(report.refused) == 2
    for refusal in report.refused:
        assert refusal.reason.startswith("its training, replayed from seed 0, has the loss ")
        assert "at iteration 1, and had " in refusal.reason


def test_without_weights_a_training_is_repeated_only_if_asked_for(
    old: Path, adopted: Callable[..., AdoptionReport]
) -> None:
    shutil.rmtree(old / "models")
    report = adopted()
    assert len(report.refused) == 2
    assert all("its weights are not in" in refusal.reason for refusal in report.refused)
    repeated = adopted(retrain=True)
    assert (len(repeated.adopted), repeated.refused) == (2, [])
    assert {record.adopted.training for record in repeated.adopted if record.adopted} == {"repeated"}


def test_repeated_training_with_other_weights_is_refused(old: Path, adopted: Callable[..., AdoptionReport]) -> None:
    shutil.rmtree(old / "models")
    for protocol in ("matlab-y", "truncate-y"):
        rewritten(cell(old, protocol=protocol), lambda r: r.update(weights_sha256="ab" * 32))
    report = adopted(retrain=True)
    assert len(report.refused) == 2
    assert all("after repeating the training" in refusal.reason for refusal in report.refused)


def test_training_without_a_trace_is_not_taken_over(old: Path, adopted: Callable[..., AdoptionReport]) -> None:
    path = training(old) / "training.json"
    note = json.loads(path.read_text())
    note["result"]["trace"] = None
    path.write_text(json.dumps(note))
    assert {refusal.reason for refusal in adopted().refused} == {
        f"its training in '{training(old).name}' has no trace to replay; repeat it completely with --retrain"
    }


def test_values_of_another_platform_may_differ_within_the_tolerance_and_say_so(
    old: Path, adopted: Callable[..., AdoptionReport]
) -> None:
    for protocol, shift in (("matlab-y", 5e-5), ("truncate-y", 5e-4)):
        directory = cell(old, "bicubic", protocol)
        speed = json.loads((directory / "speed.json").read_text())
        speed["hardware"]["device"] = "another processor"
        (directory / "speed.json").write_text(json.dumps(speed))
        table = pd.read_parquet(directory / "per_image.parquet")
        table.loc[0, "psnr_y"] += shift
        table.to_parquet(directory / "per_image.parquet", index=False)
        rewritten(directory, lambda r, t=table: r["metrics"].update(psnr_y=float(t["psnr_y"].mean())))
    report = adopted(models_glob="bicubic")
    (record,) = report.adopted
    assert record.adopted is not None
    assert record.adopted.evaluation == "within tolerance"
    assert record.adopted.largest_difference == {"psnr_y": pytest.approx(5e-5, rel=1e-3)}
    (refusal,) = report.refused
    assert refusal.reason.endswith(": more than 1e-04 apart")


def test_record_of_the_first_schema_is_read_as_it_is() -> None:
    board = RunStore(Path(__file__).parents[3] / "leaderboards" / "quickstart" / "results")
    record = next(json.loads(one.record.to_json()) for one in board.cells() if one.record.model == "edsr_tiny")
    record["schema_version"] = 1
    for name in ("adopted", "checkout", "weights", "plan", "subset", "dataset_source", "primary_metric"):
        record.pop(name, None)
    for name in ("trace", "code_digest"):
        record["training"].pop(name, None)
    read = Record.model_validate(record)
    assert (read.schema_version, read.adopted) == (1, None)


def test_command_tells_what_was_refused_and_exits_with_1(made: Path, old: Path, srbench: Callable[..., Any]) -> None:
    rewritten(cell(old), lambda r: r.update(params_stored=r["params_stored"] + 1))
    ended = srbench("run", "--suite", made / "run.yaml", "--out", old, "--adopt", "--no-page", "--json", "out.json")
    assert ended.returncode == 1, ended.stderr
    assert "refused: edsr_tiny x2 on images, matlab-y: its params_stored is" in ended.stdout
    assert "3 adopted, 1 refused" in ended.stdout
    outcome = json.loads((old.parent / "out.json").read_text())
    assert [refusal["cell"] for refusal in outcome["refused"]] == ["edsr_tiny x2 on images, matlab-y"]
    assert len(outcome["adopted"]) == 3


def test_retrain_without_adopt_is_refused(made: Path, srbench: Callable[..., Any]) -> None:
    ended = srbench("run", "--suite", made / "run.yaml", "--retrain")
    assert ended.returncode == 2
    assert "give --adopt too" in ended.stderr
