"""Train a model: from a name and images to a weights file, resuming after interruptions."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from srbench.data.datasets import Dataset
from srbench.errors import ConfigError, StoreError, WeightsError
from srbench.machine import check_threads, is_out_of_memory, pick_device
from srbench.models.factory import create_model
from srbench.models.weight_files import load_into, save_state
from srbench.registry import canonical_name
from srbench.storage import disk_errors, exclusive, sha256_file, write_atomic
from srbench.training.checkpoint import check_identity
from srbench.training.determinism import reproducible
from srbench.training.recipe import Recipe
from srbench.untrusted import CHECKPOINT_LIMIT, check_regular, parse_json, read_text

if TYPE_CHECKING:
    import torch

    from srbench.registry.names import ModelName
    from srbench.training.basicsr_model import SRBenchModel
    from srbench.training.image_cache import PreparedImages
    from srbench.training.patches import TrainingPatches
    from srbench.training.session import Progress, Session

__all__ = ["TrainResult", "Training", "open_training", "replay", "train"]


@dataclass(frozen=True)
class TrainResult:
    """Result of a training.

    Attributes:
        model: The model's canonical name.
        scales: The scales that it was trained for.
        weights: The weights file (safetensors).
        weights_sha256: Hash of its content.
        iterations: Total number of optimizer steps.
        seconds: Training time over all sessions, without validation.
        loss: Loss of the last iteration.
        recipe: The recipe as plain values.
        recipe_digest: Its digest.
        data: Name of the training data.
        data_hash: Hash of their pixels.
        validations: One mapping per validation: `iteration` and means per metric and scale.
        starting_weights_sha256: Hash of the weights file that it started from; None for random initialization.
        resumed_from: The iteration from which this session resumed; 0 for a fresh start.
        complete_before: Whether the training was already complete.
        trace: Losses and weights of the first iterations (see `Trace`); None in older trainings.
    """

    model: str
    scales: tuple[int, ...]
    weights: Path
    weights_sha256: str
    iterations: int
    seconds: float
    loss: float
    recipe: dict[str, Any]
    recipe_digest: str
    data: str
    data_hash: str
    validations: list[dict[str, float]]
    starting_weights_sha256: str | None = None
    resumed_from: int = 0
    complete_before: bool = False
    trace: dict[str, Any] | None = None


def train(
    model_name: str | ModelName,
    *,
    scales: Sequence[int],
    data: str | Path | Dataset,
    recipe: Recipe,
    out_dir: Path,
    weights: Path | None = None,
    resume: bool = True,
    val: str | Path | Dataset | None = None,
    protocol: str = "matlab-y",
    device: str = "cpu",
    threads: int = 1,
    progress: Callable[[Progress], None] | None = None,
    preparing: Callable[[int, int], None] | None = None,
    tensorboard: bool = False,
) -> TrainResult:
    """Train a model and write its weights.

    If it is killed at any moment and called again, it resumes from the last checkpoint and ends with the same
    weights, bit for bit, as if it had not been interrupted (on the same machine, with the same number of threads).
    Called again after the end, it does nothing.

    Args:
        model_name: A model without a tag, such as `edsr_tiny+ps(ratio=1/4)`.
        scales: One scale, or several for a multi-scale network: each iteration then draws one.
        data: A registered data set or a folder of HR images.
        recipe: The training's settings.
        out_dir: Folder for `checkpoint.pt`, `weights.safetensors` and `training.json`, which marks completion.
        weights: A checkpoint to start from, instead of random initialization; its content is part of the
            training's identity.
        resume: Resume from a checkpoint; if false, start again and overwrite.
        val: Images to validate on, every `recipe.validate_every` iterations.
        protocol: The protocol of validation.
        device: `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads of torch. Small networks are fastest with one.
        progress: Called a few times a second, after validations and at the end.
        preparing: Called with the number of decoded images and the total; not called if they are in the cache.
        tensorboard: Also write loss, learning rate and validations for TensorBoard to `out_dir/tensorboard`.

    Raises:
        ConfigError: An argument is wrong, the folder holds another training, or the loss is no longer a number.
        DataError: The training images are not usable.
        WeightsError: The weights to start from are missing, damaged or of another model.
        StoreError: A file cannot be written or read; the last checkpoint is still good.
    """
    with open_training(
        model_name,
        scales=scales,
        data=data,
        recipe=recipe,
        out_dir=out_dir,
        weights=weights,
        resume=resume,
        val=val,
        protocol=protocol,
        device=device,
        threads=threads,
        progress=progress,
        preparing=preparing,
        tensorboard=tensorboard,
    ) as opened:
        if isinstance(opened, TrainResult):
            return opened
        try:
            opened.session.run()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise ConfigError(
                f"the training of '{model_name}' ran out of memory on {device}: {recipe.batch_size} patches of "
                f"{recipe.patch_size} at a time; give a smaller batch_size, gt_size or lr_size"
            ) from error
        return opened.finish()


@dataclass(frozen=True)
class Training:
    """A training that is ready to run.

    Attributes:
        session: Runs the remaining iterations.
        finish: Writes the weights and marks completion after the last iteration, and returns the result.
    """

    session: Session
    finish: Callable[[], TrainResult]


@contextlib.contextmanager
def open_training(
    model_name: str | ModelName,
    *,
    scales: Sequence[int],
    data: str | Path | Dataset,
    recipe: Recipe,
    out_dir: Path,
    weights: Path | None = None,
    resume: bool = True,
    val: str | Path | Dataset | Callable[[Any], dict[str, float]] | None = None,
    protocol: str = "matlab-y",
    device: str = "cpu",
    threads: int = 1,
    progress: Callable[[Progress], None] | None = None,
    preparing: Callable[[int, int], None] | None = None,
    tensorboard: bool = False,
    images: PreparedImages | None = None,
) -> Iterator[Training | TrainResult]:
    """Set up a training and yield it, for callers that run the iterations themselves; yield its result if complete.

    The arguments are those of `train`. `val` may also be a function that maps the network to means per metric;
    `images` are the prepared images of `data`, if several trainings share them.
    """
    from srbench.data.datasets import open_dataset

    scales = tuple(scales)
    name = canonical_name(model_name)
    if name.tag:
        raise ConfigError(
            f"'{model_name}' names trained weights ('.{name.tag}'); leave the tag out to train the model."
        )
    _check(scales, recipe, threads, tensorboard)
    where = pick_device(device)
    dataset = open_dataset(data) if isinstance(data, str | Path) else data
    identity: dict[str, Any] = {
        "model": str(name),
        "scales": list(scales),
        "recipe": recipe.hashed_settings,
        "training data": dataset.content_hash(),
        "starting weights": None if weights is None else _weights_sha256(weights),
    }
    finished = out_dir / "training.json"
    if resume and finished.exists():
        result = _finished(finished, identity)
        with disk_errors(out_dir):
            # A kill may have come after training was marked complete, and before this was removed.
            (out_dir / "checkpoint.pt").unlink(missing_ok=True)
        yield result
        return

    with _arithmetic(recipe, threads, where):
        # basicsr is not imported before this point: a complete training is reported without it.
        from srbench.training.image_cache import prepare_images
        from srbench.training.session import Session, Validator

        validator = Validator(val, scales, protocol, device, threads) if isinstance(val, str | Path | Dataset) else val
        if images is None:
            images = prepare_images(dataset, scales, progress=preparing)
        model, patches = _start(name, scales, images, recipe, weights, where)
        with _own(out_dir, keep=resume):
            session = Session(model, patches, identity, out_dir, where, validator, progress, tensorboard)
            yield Training(session, functools.partial(_finish, session, name, dataset.name, out_dir))


def _finish(session: Session, name: ModelName, data: str, out_dir: Path) -> TrainResult:
    """Write the weights, mark completion, and remove the checkpoint."""
    recipe, identity = session.recipe, session.identity
    written = out_dir / "weights.safetensors"
    result = TrainResult(
        model=str(name),
        scales=tuple(identity["scales"]),
        weights=written,
        weights_sha256=save_state(session.model.trained, written),
        iterations=recipe.iterations,
        seconds=round(session.seconds, 3),
        loss=session.loss,
        recipe=recipe.settings,
        recipe_digest=recipe.digest,
        data=data,
        data_hash=identity["training data"],
        validations=session.validations,
        starting_weights_sha256=identity["starting weights"],
        resumed_from=session.resumed_from,
        trace=asdict(session.trace) if session.trace.weights_sha256 else None,
    )
    record = {"identity": identity, "result": {**asdict(result), "weights": written.name}}
    write_atomic(out_dir / "training.json", json.dumps(record, indent=2).encode())
    session.checkpoint.unlink(missing_ok=True)
    return result


def replay(
    model_name: str | ModelName,
    *,
    scales: Sequence[int],
    data: str | Path | Dataset,
    recipe: Recipe,
    device: str = "cpu",
    threads: int = 1,
) -> dict[str, Any]:
    """Repeat the first iterations of a training and return their trace, without writing anything.

    Args:
        model_name: As for `train`.
        scales: As for `train`.
        data: As for `train`.
        recipe: The whole training's recipe.
        device: `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads of torch.

    Raises:
        SRBenchError: As `train` does.
    """
    from srbench.data.datasets import open_dataset
    from srbench.training import trace as traces

    where = pick_device(device)
    dataset = open_dataset(data) if isinstance(data, str | Path) else data
    trace = traces.Trace()
    with _arithmetic(recipe, threads, where):
        from srbench.training.image_cache import prepare_images

        images = prepare_images(dataset, tuple(scales))
        model, patches = _start(canonical_name(model_name), tuple(scales), images, recipe, None, where)
        batches = model.batches_of(patches)
        for iteration in range(1, min(traces.TRACED_ITERATIONS, recipe.iterations) + 1):
            loss = model.step(batches(iteration), iteration)
            trace.take(iteration, recipe.iterations, loss, model.trained)
    return asdict(trace)


def _arithmetic(recipe: Recipe, threads: int, where: torch.device) -> contextlib.AbstractContextManager[None]:
    return reproducible(
        recipe.seed, threads, where, deterministic=recipe.deterministic, tf32=recipe.precision == "tf32"
    )


def _start(
    name: ModelName,
    scales: tuple[int, ...],
    images: PreparedImages,
    recipe: Recipe,
    weights: Path | None,
    where: torch.device,
) -> tuple[SRBenchModel, TrainingPatches]:
    """Return a training at its first iteration."""
    from srbench.training.basicsr_model import SRBenchModel
    from srbench.training.patches import TrainingPatches

    net = create_model(name, scales=scales, seed=recipe.seed)
    if weights is not None:
        load_into(net, weights)
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise ConfigError(f"'{name}' has no parameters to train.")
    patches = TrainingPatches(images, recipe, scales, device=where)
    return SRBenchModel(net, recipe, where), patches


def _weights_sha256(path: Path) -> str:
    if not path.is_file():
        raise WeightsError(f"there is no weights file '{path}' to start from")
    check_regular(path, CHECKPOINT_LIMIT, "file of weights", WeightsError)
    return sha256_file(path)


@contextlib.contextmanager
def _own(out_dir: Path, *, keep: bool) -> Iterator[None]:
    """Lock a training's folder, and remove what a killed training, or one to be overwritten, has left there."""
    with disk_errors(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
    with exclusive(out_dir / ".lock", owner=f"'{out_dir}'"):
        with disk_errors(out_dir):
            for name in ("training.json", "checkpoint.pt", "weights.safetensors"):
                unwanted = list(out_dir.glob(f".tmp-{name}-*"))
                for path in unwanted if keep else [*unwanted, out_dir / name]:
                    path.unlink(missing_ok=True)
        yield


def _check(scales: tuple[int, ...], recipe: Recipe, threads: int, tensorboard: bool) -> None:
    if not scales or len(set(scales)) != len(scales) or min(scales) < 1:
        raise ConfigError(f"scales must be distinct whole numbers, such as 2, 3, 4; got {list(scales)}.")
    recipe.check_scales(scales)
    check_threads(threads)
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ConfigError("--tensorboard needs TensorBoard, which is not installed: `pip install tensorboard`.")


def _finished(path: Path, identity: dict[str, Any]) -> TrainResult:
    """Return the result of a completed training."""
    try:
        record = parse_json(read_text(path, what="training's description", error=StoreError))
        values, found = record["result"], record["identity"]
        if not isinstance(found, dict) or Path(values["weights"]).name != values["weights"]:
            raise ValueError("it is damaged")
        weights = path.parent / values["weights"]
        check_regular(weights, CHECKPOINT_LIMIT, "file of weights", StoreError)
        sha256 = sha256_file(weights)
        result = TypeAdapter(TrainResult).validate_python({**values, "weights": weights, "complete_before": True})
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise StoreError(f"{path} is damaged (its '{place}' is no such value); train with --no-resume.") from error
    except (OSError, StoreError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} or the weights beside it cannot be read ({error}); train with --no-resume."
        ) from error
    check_identity(path, found, identity)
    if sha256 != result.weights_sha256:
        raise StoreError(f"{weights} was not written by the training recorded in {path}; train with --no-resume.")
    return result
