"""`srbench cost`: the cost of networks counted from shapes, with optional measurements of time and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from srbench.cli.cost_report import ModelCost
    from srbench.cost.latency import Latencies
    from srbench.models.backbone import Backbone
    from srbench.registry.names import ModelName

__all__ = ["cost", "parse_size"]

_MOST_PIXELS = 2**16  # largest side of an LR image: no network here takes more, and sizes in bytes fit into C integers
MOST_MEASURED = 2**22  # most LR pixels for --memory and --latency


def cost(
    models: Annotated[
        list[str], typer.Argument(help="Model names: `BACKBONE[+METHOD[(key=value,...)]][.TAG]`.", metavar="MODEL")
    ],
    scale: Annotated[int, typer.Option(help="How many times larger the SR image is.", min=1, max=16)],
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint for the model; give it again for each further model.", metavar="FILE"),
    ] = None,
    fold: Annotated[
        bool, typer.Option("--fold", help="Fold the networks: shared layers become plain ones where possible.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(help="Images on which to count the work executed by networks with masks.", metavar="NAME|DIR"),
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="Time the networks in turns, and compare the others with the first.")
    ] = False,
    memory: Annotated[
        bool, typer.Option("--memory", help="Also measure peak memory; on the CPU, in a process per network.")
    ] = False,
    lr_size: Annotated[
        str, typer.Option(help="Width x height of the LR image for timing and memory.", metavar="WxH")
    ] = "128x128",
    seconds: Annotated[float, typer.Option(help="Total time for timing, in seconds.", min=0.1, max=86_400)] = 20.0,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of torch; torch's default if not given.", min=1)
    ] = None,
    device: Annotated[str, typer.Option(help="Device for timing and memory: cpu, cuda, cuda:1.")] = "cpu",
    tf32: Annotated[
        bool, typer.Option("--tf32", help="Let a GPU use TF32: float32 products with factors of 10 bits.")
    ] = False,
    path: Annotated[
        list[str] | None,
        typer.Option(
            help="Inference path for timing and memory, e.g. sparse or masked_dense: once for all models, or once for "
            "each, `default` leaving a model as it is.",
            metavar="NAME",
        ),
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Count parameters, multiply-accumulates, activations and memory of networks; time them with `--latency`.

    Example: `srbench cost carn drrn_b1u9+ps.author --scale 2`

    Example: `srbench cost edsr_tiny "edsr_tiny+ps" --scale 2 --latency --threads 1`

    Example: `srbench cost edsr_tiny+dhp --scale 2 --weights pruned.safetensors --fold`
    """
    from srbench.cli.cost_report import CostReport
    from srbench.cli.output import check_json_target, write_json
    from srbench.errors import ConfigError
    from srbench.machine import check_device, check_tf32, check_threads
    from srbench.registry import canonical_name

    if json is not None:
        check_json_target(json)
    names = [canonical_name(name) for name in models]
    width, height = parse_size(lr_size)
    if (memory or latency) and width * height > MOST_MEASURED:
        option = "--memory" if memory else "--latency"
        raise ConfigError(f"{option} runs the network, on at most {MOST_MEASURED:,} LR pixels; got {width}x{height}")
    if threads is not None:
        check_threads(threads)
    files: list[Path | None] = [None] * len(names) if weights is None else [*weights]
    if len(files) != len(names):
        raise ConfigError(f"--weights is given once for each model, in their order; got {len(files)} for {len(names)}")
    if data is not None and weights is None and all(name.tag is None for name in names):
        raise ConfigError("--data needs a model with weights: name a tag (`srbench list models`), or give --weights")
    paths = _paths(path, len(names), measured=latency or memory)
    check_device(device)
    if tf32:
        check_tf32(device)
    conditions = _Conditions(scale, fold, data, (height, width), threads, device, tf32)
    subjects = [
        _subject(name, file, conditions, measured=latency or memory).on(path)
        for name, file, path in zip(names, files, paths, strict=True)
    ]
    report = CostReport(
        scale,
        fold,
        data,
        conditions.size,
        [_counted(given, one, conditions) for given, one in zip(models, subjects, strict=True)],
    )
    report.require_one_counted()
    pairs = list(zip(report.models, subjects, strict=True))
    if data is not None:
        for model, subject in pairs:
            model.executed = _executed(subject.network, data, scale)
    if latency:
        report.set_times(_time([subject.measured for subject in subjects], conditions, seconds))
    if memory:
        for model, subject in pairs:
            model.peak = _peak(subject, conditions)
    if json is not None:
        write_json(report.payload(), json)
    if json != "-":
        report.show()


@dataclass(frozen=True)
class _Conditions:
    """Settings for counting and measuring; `size` is height and width of the LR image."""

    scale: int
    fold: bool
    data: str | None
    size: tuple[int, int]
    threads: int | None
    device: str
    tf32: bool


@dataclass(frozen=True)
class _Subject:
    """A network, and whether it has the weights of a file or its tag, or random ones that determine what masks skip."""

    name: ModelName
    network: Backbone
    pretrained: bool
    random_masks: bool
    weights: Path | None = None
    path: str | None = None
    on_its_path: Backbone | None = None

    @property
    def measured(self) -> Backbone:
        """The network that is timed; work is counted on `network`, on any path the same."""
        return self.network if self.on_its_path is None else self.on_its_path

    def on(self, path: str | None) -> _Subject:
        """Return the subject with an inference path for what is measured."""
        from srbench.evaluation.deployment import on_path

        return self if path is None else replace(self, path=path, on_its_path=on_path(self.network, path))


def _paths(given: list[str] | None, models: int, *, measured: bool) -> list[str | None]:
    """Return the inference path of each model; None for its own."""
    from srbench.errors import ConfigError
    from srbench.evaluation.deployment import check_path

    if not given:
        return [None] * models
    if not measured:
        raise ConfigError("--path is for times and memory, and work is counted without it; give --latency or --memory")
    if len(given) not in (1, models):
        raise ConfigError(f"--path is given once, or once for each model; got {len(given)} for {models}")
    paths = [None if one == "default" else one for one in (given if len(given) == models else given * models)]
    for path in paths:
        check_path(path)
    return paths


def _subject(name: ModelName, weights: Path | None, conditions: _Conditions, *, measured: bool) -> _Subject:
    from srbench.cost.executed import skips_work
    from srbench.errors import ConfigError
    from srbench.models.factory import create_model
    from srbench.models.loading import load_at_scale
    from srbench.models.surgery import fold

    if weights is not None:
        network = load_at_scale(str(name), weights, conditions.scale).eval()
        network = fold(network, conditions.scale) if conditions.fold else network
        return _Subject(name, network, False, False, weights)
    scale, data = conditions.scale, conditions.data
    network = create_model(name, scale=scale, pretrained=False, seed=0).eval()
    masks = skips_work(network)
    if masks and name.tag is None and data is not None:
        raise ConfigError(
            f"--data needs a model with weights, and '{name}' has random ones, which determine what its masks "
            "skip; name a tag (`srbench list models`) or leave it out"
        )
    # Weights only matter for what masks skip.
    pretrained = masks and name.tag is not None and (measured or data is not None)
    if pretrained:
        network = create_model(name, scale=scale, pretrained=True).eval()
    network = fold(network, scale) if conditions.fold else network
    return _Subject(name, network, pretrained, measured and masks and name.tag is None)


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height of an `--lr-size`.

    Raises:
        ConfigError: It is none.
    """
    from srbench.errors import ConfigError

    width, times, height = text.partition("x")
    if not times or not width.isdecimal() or not height.isdecimal():
        raise ConfigError(f"--lr-size is width x height in pixels, such as 128x128; got '{text}'")
    # Python refuses to parse numbers with thousands of digits.
    if max(len(width), len(height)) > 9 or max(int(width), int(height)) > _MOST_PIXELS:
        raise ConfigError(f"--lr-size is at most {_MOST_PIXELS:,} pixels a side; got '{text}'")
    if not int(width) or not int(height):
        raise ConfigError(f"--lr-size is width x height in pixels, such as 128x128; got '{text}'")
    return int(width), int(height)


def _counted(given: str, subject: _Subject, conditions: _Conditions) -> ModelCost:
    from srbench.cli.cost_report import ModelCost
    from srbench.cost.counts import cost_of
    from srbench.cost.published_counts import published_for
    from srbench.errors import CostError

    try:
        cost = cost_of(subject.network)
    except CostError as error:
        return ModelCost(given, None, str(error), subject.random_masks, path=subject.path)
    # Published counts are of the network as it is named.
    known = [] if conditions.fold else published_for(str(replace(subject.name, tag=None)), conditions.scale)
    sentences = [one.sentence(subject.network, cost) for one in known]
    return ModelCost(given, cost, random_masks=subject.random_masks, published=sentences, path=subject.path)


def _executed(network: Backbone, data: str, scale: int) -> dict[str, float] | None:
    from srbench.cli.steps import steps
    from srbench.cost.executed import executed_on
    from srbench.data.datasets import open_dataset
    from srbench.protocols import get_protocol

    with steps(f"masks of {network.model_name}", 1.0) as tell:
        return executed_on(
            network, open_dataset(data), scale, get_protocol("matlab-y"), lambda done, total: tell(done / total, "")
        )


def _time(networks: Sequence[Backbone], conditions: _Conditions, seconds: float) -> Latencies:
    from srbench.cli.steps import steps
    from srbench.cost.images import photograph
    from srbench.cost.latency import measure

    # A network named twice is built twice: an A/A comparison compares two of them.
    lr = photograph(conditions.scale, *conditions.size, conditions.device)
    with steps("timing", 1.0) as tell:
        return measure(
            [network.to(conditions.device) for network in networks],
            lr,
            threads=conditions.threads,
            seconds=seconds,
            tf32=conditions.tf32,
            progress=lambda number, share: tell(share, f"round {number}"),
        )


def _peak(subject: _Subject, conditions: _Conditions) -> int:
    import torch

    from srbench.cost.images import photograph
    from srbench.cost.memory import peak_on_cpu, peak_on_cuda
    from srbench.machine import tf32

    scale, size = conditions.scale, conditions.size
    if conditions.device != "cpu":
        with tf32(conditions.tf32):
            return peak_on_cuda(subject.measured.to(conditions.device), photograph(scale, *size, conditions.device))
    threads = conditions.threads or torch.get_num_threads()
    return peak_on_cpu(
        str(subject.name),
        scale,
        *size,
        threads=threads,
        folded=conditions.fold,
        pretrained=subject.pretrained,
        weights=subject.weights,
        path=subject.path,
    )
