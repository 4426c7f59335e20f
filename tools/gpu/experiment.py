"""Run the trainings of a suite's budget side by side on one GPU within a time limit; the next call resumes."""

from __future__ import annotations

import contextlib
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from device_validation import DeviceValidator

from srbench.data.datasets import open_dataset
from srbench.errors import SRBenchError
from srbench.results.store import RunStore
from srbench.runs.plan import ModelPlan
from srbench.runs.planner import make_plan
from srbench.runs.validations import begin_validation
from srbench.suite.definition import Suite
from srbench.training.image_cache import prepare_images
from srbench.training.side_by_side import run_side_by_side
from srbench.training.train import Training, TrainResult, open_training

__all__ = ["complete", "pack", "train_all"]

Say = Callable[[str], None]

# Maximum size of an output file, with some room for tar headers.
_TAR_LIMIT = 15 * 2**20


def train_all(
    suite: Suite,
    run_dir: Path,
    *,
    datasets: list[str],
    device: torch.device,
    jobs: int,
    until: float,
    curve: int,
    open_all: bool,
    say: Say,
) -> None:
    """Run the missing trainings, first of all models with the first seed, then with the next one.

    On a GPU those without a CUDA graph are left to `srbench run`: launching their kernels keeps a core busy, so they
    need a process each.

    Args:
        suite: The suite at its budget.
        run_dir: Folder of the run; trainings are stored where `srbench run` finds them.
        datasets: The available data sets; the first one is used for validation, like in the suite.
        device: The device to train on.
        jobs: Number of parallel trainings.
        until: Time limit, on the clock of `time.monotonic`.
        curve: Number of points of a learning curve.
        open_all: Whether to start trainings that only a later call can finish.
        say: Prints a line.
    """
    store = RunStore(run_dir)
    wanted = trainings_of(suite, datasets)
    wanted.sort(key=lambda model: model.training.seed if model.training else 0)  # stable: keeps the suite's order
    todo = [model for model in wanted if model.training and not model.training.finished(store)]
    say(f"{suite.label}: {len(wanted) - len(todo)} of {len(wanted)} trainings are complete")
    if device.type == "cuda":
        todo = [model for model in todo if model.training and model.training.recipe.compile == "graph"]
    if not todo:
        return
    # Interrupted trainings come first, whatever their seed.
    todo.sort(key=lambda model: not (store.models_path / model.training.directory / "checkpoint.pt").exists())  # type: ignore[union-attr]
    source = todo[0].training.data.source  # type: ignore[union-attr]
    scales = todo[0].scales
    started = time.monotonic()
    images = prepare_images(open_dataset(source), scales)
    say(f"{len(images)} training images, {images.nbytes / 1e6:.0f} MB, prepared in {time.monotonic() - started:.1f} s")
    validator = DeviceValidator(open_dataset(datasets[0]), scales[0], device)
    durations: list[float] = []
    begun: dict[int, float] = {}
    labels: dict[int, ModelPlan] = {}

    with contextlib.ExitStack() as stack:

        def trainings() -> Iterator[Training]:
            for model in todo:
                planned = model.training
                if planned is None:
                    continue
                left = until - time.monotonic()
                if not open_all and durations and left < max(durations[-jobs:]):
                    say(f"no time for {model.label}")
                    return
                points = {"validate_every": max(1, planned.iterations // curve)}
                if planned.validation is not None:  # so that the record has the curve
                    begin_validation(store.models_path / planned.directory, planned.validation)
                opened = stack.enter_context(
                    open_training(
                        str(model.name),
                        scales=model.scales,
                        data=open_dataset(planned.data.source),
                        recipe=planned.recipe.model_copy(update=points),
                        out_dir=store.models_path / planned.directory,
                        device=str(device),
                        val=lambda net: dict(validator(net)),
                        images=images,
                    )
                )
                if isinstance(opened, Training):
                    # Reading a loss would wait for the device, and no progress bar is shown here.
                    opened.session.report_every = 30.0
                    begun[id(opened)] = time.monotonic()
                    labels[id(opened)] = model
                    yield opened

        def finished(training: Training, result: TrainResult | SRBenchError) -> None:
            label = labels[id(training)].label
            if isinstance(result, SRBenchError):
                say(f"{label}: {result}")
                return
            spent = time.monotonic() - begun[id(training)]
            if not result.resumed_from:
                durations.append(spent)
            points = [value for key, value in result.validations[-1].items() if key.startswith("psnr")]
            say(f"{label}: {points[0]:.3f} dB, loss {result.loss:.5f}, {spent:.0f} s")

        done_before = time.monotonic()
        run_side_by_side(trainings(), device, jobs=jobs, finished=finished, stop=lambda: time.monotonic() > until)
        say(f"{time.monotonic() - done_before:.0f} s of training; {len(durations)} begun and finished here")


def trainings_of(suite: Suite, datasets: list[str]) -> list[ModelPlan]:
    """Return the models of a suite that are trained, once for each seed."""
    return [model for model in make_plan(suite, datasets=datasets).models if model.training is not None]


def complete(suite: Suite, run_dir: Path, datasets: list[str]) -> bool:
    """Return whether all trainings of a run are complete."""
    store = RunStore(run_dir)
    return all(model.training.finished(store) for model in trainings_of(suite, datasets) if model.training)


def pack(runs: Path, out: Path, *, files: int) -> None:
    """Pack new files of all runs into tar files of limited size, complete trainings first, then checkpoints.

    Packed files are recorded in the folder of runs, so that a later call on the same machine packs the remaining ones.
    """
    note = runs / "packed.json"
    packed: dict[str, float] = json.loads(note.read_text()) if note.exists() else {}
    found = [*runs.rglob("training.json"), *runs.rglob("weights.safetensors")]
    found += [*runs.rglob("record.json"), *runs.rglob("per_image.*")]
    found += sorted(runs.rglob("checkpoint.pt"), key=lambda path: -path.stat().st_mtime)
    waiting = [path for path in found if packed.get(str(path)) != path.stat().st_mtime]
    out.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        size, chosen = 0, []
        for path in waiting:
            if size + path.stat().st_size + 1024 <= _TAR_LIMIT:
                size += path.stat().st_size + 1024
                chosen.append(path)
        if not chosen:
            break
        with tarfile.open(out / f"trainings-{number}.tar", "w") as archive:
            for path in chosen:
                archive.add(path, path.relative_to(runs))
                packed[str(path)] = path.stat().st_mtime
        waiting = [path for path in waiting if path not in chosen]
    note.write_text(json.dumps(packed))
    left = sum(path.stat().st_size for path in waiting)
    print(f"packed; {len(waiting)} files, {left / 2**20:.1f} MiB, remain for another call", flush=True)
