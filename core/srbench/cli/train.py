"""`srbench train`: train a model on a folder of images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from srbench.training.session import Progress
    from srbench.training.train import TrainResult

__all__ = ["train"]

_FROM_RECIPE = "from the recipe"


def train(
    model: Annotated[
        str | None, typer.Argument(help="A model, such as `'edsr_tiny+ps(ratio=1/4)'`.", metavar="MODEL")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Training images: a folder or a registered data set.", metavar="DIR|NAME")
    ] = None,
    scale: Annotated[int | None, typer.Option(help="Scale to train for.")] = None,
    scales: Annotated[
        str | None, typer.Option(help="Several scales, for a multi-scale network.", metavar="2,3,4")
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="Number of iterations.", show_default=_FROM_RECIPE)] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="YAML file with recipe fields; options override it.", metavar="FILE")
    ] = None,
    basicsr_options: Annotated[
        Path | None,
        typer.Option(help="basicsr option file instead of MODEL and --recipe; options override it.", metavar="FILE"),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Patches per iteration.", show_default=_FROM_RECIPE)] = None,
    gt_size: Annotated[
        int | None, typer.Option(help="Size of HR patches in pixels.", show_default=_FROM_RECIPE)
    ] = None,
    lr_size: Annotated[
        int | None, typer.Option(help="Size of LR patches in pixels, instead of --gt-size.", show_default=_FROM_RECIPE)
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.", show_default=_FROM_RECIPE)] = None,
    ema: Annotated[
        float | None,
        typer.Option(help="Decay of the moving average of weights; 0 disables it.", show_default=_FROM_RECIPE),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the initial weights and of all random draws.", show_default=_FROM_RECIPE)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the weights and checkpoints.", metavar="DIR", show_default="runs/train/MODEL_xSCALE"
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint of the model to start from.", show_default="random initialization")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Resume an interrupted training, or start again.")] = True,
    val: Annotated[str | None, typer.Option(help="Images to validate on.", metavar="DIR|NAME")] = None,
    protocol: Annotated[str, typer.Option(help="Protocol of the validation (`srbench list protocols`).")] = "matlab-y",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; one is fastest for small networks.")] = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard logs to the folder.")
    ] = False,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Train a model. After an interruption, the same command resumes and ends with the same weights.

    Example: `srbench train edsr_tiny --data embedded-train --scale 2 --iterations 300`
    """
    from srbench.cli.output import check_json_target, output_folder, say, write_json
    from srbench.cli.training_request import read_request
    from srbench.data.datasets import open_dataset
    from srbench.machine import check_device
    from srbench.protocols import get_protocol
    from srbench.training.device_support import check_training, depends_on_device

    get_protocol(protocol)
    request = read_request(
        model,
        scale=scale,
        scales=scales,
        data=data,
        recipe=recipe,
        basicsr_options=basicsr_options,
        overrides={
            "iterations": iterations,
            "batch_size": batch_size,
            "gt_size": gt_size,
            "lr_size": lr_size,
            "lr": lr,
            "ema_decay": ema,
            "seed": seed,
        },
    )
    val, weights = val or request.val, weights or request.weights
    folder = output_folder(out) or request.folder
    if json is not None:
        written = [folder / file for file in ("training.json", "weights.safetensors", "checkpoint.pt", ".lock")]
        check_json_target(json, recipe, basicsr_options, weights, request.data, val, folder, *written)
    checked = request.recipe
    if depends_on_device(checked) and not (resume and (folder / "training.json").exists()):
        from srbench.models.factory import create_model

        check_device(device)
        check_training(checked, create_model(request.model, scales=request.scales, pretrained=False), device)
    if val is not None:
        open_dataset(val)

    from srbench.training.train import train as train_model

    if json != "-":
        for line in request.not_honoured:
            say(f"not honoured: {line}")
        typer.echo(
            f"{request.model} {', '.join(f'x{s}' for s in request.scales)}: {checked.iterations:,} iterations, "
            f"{checked.batch_size} patches of {checked.patch_size}, "
            f"on {device} with {threads} CPU thread{'s' if threads > 1 else ''}"
        )
    with _bar(checked.iterations) as (progress, preparing):
        result = train_model(
            request.model,
            scales=request.scales,
            data=request.data,
            recipe=checked,
            out_dir=folder,
            weights=weights,
            resume=resume,
            val=val,
            protocol=protocol,
            device=device,
            threads=threads,
            progress=progress,
            preparing=preparing,
            tensorboard=tensorboard or request.tensorboard,
        )
    if json is not None:
        write_json(_as_json(result, request.not_honoured), json)
    if json != "-":
        _tell(result)


@contextmanager
def _bar(total: int) -> Iterator[tuple[Callable[[Progress], None], Callable[[int, int], None]]]:
    """Show progress bars of the iterations and of the preparation of images, on standard error.

    Without a terminal, only the preparation is shown, as an occasional line.

    Yields:
        A function that takes the progress of the training, and one that takes the number of images and their total.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    from srbench.cli.steps import LineRate

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
    # Only on a terminal: a log file would get the finished bar of a run that did nothing.
    with Bar(*columns, console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as bar:
        task = bar.add_task("training", total=total, text="")
        rate, images = LineRate(), None

        def show(now: Progress) -> None:
            validated = (f"  {name} {value:.2f}" for name, value in now.validation.items() if "psnr" in name)
            text = f"loss {now.loss:.4g}  lr {now.lr:.2g}  {_duration(now.seconds_left)} left{''.join(validated)}"
            bar.update(task, completed=now.iteration, text=text)

        def prepare(done: int, count: int) -> None:
            nonlocal images
            if bar.disable:
                if rate.due():
                    typer.echo(f"preparing images: {done}/{count}", err=True)
                return
            if images is None:
                images = bar.add_task("images", total=count, text="preparing images")
            bar.update(images, completed=done, visible=done < count)

        yield show, prepare


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _as_json(result: TrainResult, not_honoured: tuple[str, ...]) -> dict[str, Any]:
    from dataclasses import asdict

    values = {**asdict(result), "weights": str(result.weights)}
    return {**values, "not_honoured": list(not_honoured)} if not_honoured else values


def _tell(result: TrainResult) -> None:
    from srbench.cli.output import say

    if result.complete_before:
        typer.echo("nothing to do: this training is already complete (start again with --no-resume)")
    else:
        went_on = f", resumed from iteration {result.resumed_from:,}" if result.resumed_from else ""
        typer.echo(f"trained in {_duration(result.seconds)} (m:ss){went_on}; loss {result.loss:.4g}")
    for name, value in (result.validations[-1] if result.validations else {}).items():
        if name != "iteration":
            say(f"  {name}: {value:.4f}")
    say(f"weights: {result.weights}")
    typer.echo(f"sha256:  {result.weights_sha256}")
