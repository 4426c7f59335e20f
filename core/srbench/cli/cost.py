"""`srbench cost`: what networks cost, counted from shapes; time and memory measured where asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srbench.cost.counts import Cost, Work
    from srbench.cost.latency import Latencies
    from srbench.models.backbone import Backbone

__all__ = ["cost"]

Row = tuple[str, list[str]]

_MOST_MEASURED = 2**22  # LR pixels that --memory runs a network on
_MOST_PIXELS = 2**16  # of a side of an LR image: no network here takes more, and sizes in bytes stay numbers of C


def cost(
    models: Annotated[
        list[str], typer.Argument(help="Model names: `BACKBONE[+METHOD[(key=value,...)]][.TAG]`.", metavar="MODEL...")
    ],
    scale: Annotated[int, typer.Option(help="How many times larger the SR image is.", min=1, max=16)],
    fold: Annotated[
        bool, typer.Option("--fold", help="Of the folded networks: every shared layer that can is a plain one.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(help="Images on which networks with masks say what they execute.", metavar="NAME|DIR"),
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="Time them, in turns; the first is what the others are compared with.")
    ] = False,
    memory: Annotated[
        bool, typer.Option("--memory", help="Measure the peak memory too: on the CPU in a process for each.")
    ] = False,
    lr_size: Annotated[
        str, typer.Option(help="Width x height of the LR image to be timed or measured on.", metavar="WxH")
    ] = "128x128",
    seconds: Annotated[float, typer.Option(help="How long to time all of them together.", min=0.1, max=86_400)] = 20.0,
    threads: Annotated[
        int | None, typer.Option(help="Threads of torch on the CPU; if not given, as torch has them.", min=1)
    ] = None,
    device: Annotated[str, typer.Option(help="Where they are timed: cpu, cuda, cuda:1.")] = "cpu",
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Count parameters, multiply-accumulates, activations and memory of networks; time them with `--latency`.

    Example: `srbench cost carn drrn_b1u9+ps.author --scale 2`

    Example: `srbench cost edsr_tiny "edsr_tiny+ps" --scale 2 --latency --threads 1`
    """
    from srbench.cli.output import check_json_target, write_json
    from srbench.errors import ConfigError
    from srbench.machine import check_threads
    from srbench.registry import canonical_name

    if json is not None:
        check_json_target(json)
    names = [canonical_name(name) for name in models]
    width, height = _size(lr_size)
    if memory and width * height > _MOST_MEASURED:
        raise ConfigError(f"--memory runs the network, on at most {_MOST_MEASURED:,} LR pixels; got {width}x{height}")
    if threads is not None:
        check_threads(threads)
    if data is not None and all(name.tag is None for name in names):
        raise ConfigError("--data needs a model with weights: name a tag (`srbench list models`)")

    from srbench.cost.executed import skips_work
    from srbench.machine import check_device
    from srbench.models.factory import create_model
    from srbench.models.surgery import fold as folded

    check_device(device)
    measured = latency or memory
    networks, loaded, random_masks = [], [], []
    for name in names:
        network = create_model(name, scale=scale, pretrained=False, seed=0).eval()
        masks = skips_work(network)
        if masks and name.tag is None and data is not None:
            raise ConfigError(
                f"--data needs a model with weights, and '{name}' has random ones, which decide what its masks skip; "
                "name a tag (`srbench list models`) or leave it out"
            )
        # Weights decide nothing here but which parts masks skip.
        loaded.append(masks and name.tag is not None and (measured or data is not None))
        if loaded[-1]:
            network = create_model(name, scale=scale, pretrained=True).eval()
        networks.append(folded(network, scale) if fold else network)
        random_masks.append(measured and masks and name.tag is None)
    costs, reasons = _count(networks, models)
    executed = [_executed(network, data, scale) if data is not None else None for network in networks]
    timed = _time(networks, scale, (height, width), seconds, threads, device) if latency else None
    peaks = (
        [
            _peak(network, str(name), scale, (height, width), threads, device, fold, pretrained)
            for network, name, pretrained in zip(networks, names, loaded, strict=True)
        ]
        if memory
        else None
    )
    if json is not None:
        payload = _payload(
            models, scale, fold, costs, reasons, data, executed, timed, peaks, (height, width), random_masks
        )
        write_json(payload, json)
    if json != "-":
        _show(models, scale, fold, costs, reasons, executed, timed, peaks, (height, width), random_masks)


def _size(text: str) -> tuple[int, int]:
    from srbench.errors import ConfigError

    width, times, height = text.partition("x")
    if not times or not width.isdecimal() or not height.isdecimal():
        raise ConfigError(f"--lr-size is width x height in pixels, such as 128x128; got '{text}'")
    # Python reads no number of thousands of digits.
    if max(len(width), len(height)) > 9 or max(int(width), int(height)) > _MOST_PIXELS:
        raise ConfigError(f"--lr-size is at most {_MOST_PIXELS:,} pixels a side; got '{text}'")
    if not int(width) or not int(height):
        raise ConfigError(f"--lr-size is width x height in pixels, such as 128x128; got '{text}'")
    return int(width), int(height)


def _count(networks: Sequence[Backbone], models: Sequence[str]) -> tuple[list[Cost | None], list[str]]:
    """Return what each costs, None with a reason where it cannot be counted; raises where none can."""
    from srbench.cost.counts import cost_of
    from srbench.errors import CostError

    costs: list[Cost | None] = []
    reasons: list[str] = []
    for network in networks:
        try:
            costs.append(cost_of(network))
            reasons.append("")
        except CostError as error:
            costs.append(None)
            reasons.append(str(error))
    if not any(costs):
        raise CostError("; ".join(dict.fromkeys(reasons)))
    return costs, reasons


def _executed(network: Backbone, data: str, scale: int) -> dict[str, float] | None:
    from srbench.cost.executed import executed_on
    from srbench.data.datasets import open_dataset
    from srbench.protocols import get_protocol

    with _progress(f"masks of {network.model_name}") as tell:
        return executed_on(
            network, open_dataset(data), scale, get_protocol("matlab-y"), lambda done, total: tell(done / total, "")
        )


def _time(
    networks: Sequence[Backbone], scale: int, size: tuple[int, int], seconds: float, threads: int | None, device: str
) -> Latencies:
    from srbench.cost.images import photograph
    from srbench.cost.latency import measure

    # A network named twice is built twice: an A/A comparison compares two of them.
    lr = photograph(scale, *size, device)
    with _progress("timing") as tell:
        return measure(
            [network.to(device) for network in networks],
            lr,
            threads=threads,
            seconds=seconds,
            progress=lambda number, share: tell(share, f"round {number}"),
        )


def _peak(
    network: Backbone,
    name: str,
    scale: int,
    size: tuple[int, int],
    threads: int | None,
    device: str,
    fold: bool,
    pretrained: bool,
) -> int:
    import torch

    from srbench.cost.images import photograph
    from srbench.cost.memory import peak_on_cpu, peak_on_cuda

    if device != "cpu":
        return peak_on_cuda(network.to(device), photograph(scale, *size, device))
    threads = threads or torch.get_num_threads()
    return peak_on_cpu(name, scale, *size, threads=threads, folded=fold, pretrained=pretrained)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float, str], None]]:
    """Show how much is done, on a terminal."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[at]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=1.0, at="")
        yield lambda share, at: bar.update(task, completed=share, at=at)


def _show(
    models: Sequence[str],
    scale: int,
    fold: bool,
    costs: Sequence[Cost | None],
    reasons: Sequence[str],
    executed: Sequence[dict[str, float] | None],
    timed: Latencies | None,
    peaks: Sequence[int] | None,
    size: tuple[int, int],
    random_masks: Sequence[bool],
) -> None:
    from srbench.cli.output import print_table

    rows = _counted_rows(costs, executed)
    measured_at = f"LR {size[1]}x{size[0]}"
    if peaks is not None:
        rows.append((f"peak memory measured, {measured_at}", [_bytes(peak) for peak in peaks]))
    if timed is not None:
        rows += _timed_rows(timed, measured_at)
    title = f"cost at x{scale}" + (", folded" if fold else "")
    print_table(title, ["", *models], [[name, *cells] for name, cells in rows])
    for model, reason in zip(models, reasons, strict=True):
        if reason:
            typer.echo(f"{model}: {reason}")
    for model in dict.fromkeys(model for model, random in zip(models, random_masks, strict=True) if random):
        typer.echo(
            f"{model}: measured with random weights, so its masks skip what no trained network would; name a tag"
        )
    if timed is not None:
        _show_machine(timed)


def _counted_rows(costs: Sequence[Cost | None], executed: Sequence[dict[str, float] | None]) -> list[Row]:
    def row(name: str, cell: Callable[[Cost], str]) -> Row:
        return name, [cell(item) if item is not None else "–" for item in costs]

    def any_has(value: Callable[[Cost], Any]) -> bool:
        return any(value(item) for item in costs if item is not None)

    rows = [
        row("parameters", lambda item: f"{item.params:,}"),
        row("numbers stored", lambda item: f"{item.stored:,}"),
    ]
    if any_has(lambda item: item.folded != item.params):
        rows.append(row("parameters when folded", lambda item: f"{item.folded:,}"))
    for where, work in (("1280x720 out", lambda item: item.hd), ("256x256 in", lambda item: item.ntire)):
        rows.append(row(f"MACs, {where}", _of(work, lambda at: _giga(at.macs))))
        if any_has(lambda item: item.hd.product):
            rows.append(row("  of convolutions", _of(work, lambda at: _giga(at.convolution))))
        if where.endswith("out") and any(executed):
            means = [_giga(sum(found.values()) / len(found)) if found else "–" for found in executed]
            rows.append(("  executed, mean over the images", means))
        rows.append(row(f"activations, {where}", _of(work, lambda at: f"{float(at.activations) / 1e6:,.2f} M")))
        rows.append(row(f"peak memory, {where}", _of(work, lambda at: _bytes(at.peak_bytes))))
    if any_has(lambda item: item.hd.synthesis):
        rows.append(row("MACs of making weights", lambda item: _mega(item.hd.synthesis)))
    return rows


def _of(work: Callable[[Cost], Work], cell: Callable[[Work], str]) -> Callable[[Cost], str]:
    return lambda item: cell(work(item))


def _timed_rows(timed: Latencies, where: str) -> list[Row]:
    from srbench.cost.latency import compare

    quartiles = [timing.quartiles for timing in timed.timings]
    rows = [
        (f"forward pass, {where}", [f"{1e3 * timing.median:.2f} ms" for timing in timed.timings]),
        ("  half of the times", [f"{1e3 * low:.2f} to {1e3 * high:.2f} ms" for low, high in quartiles]),
    ]
    if len(timed.timings) > 1:
        found = [compare(timing, timed.timings[0]) for timing in timed.timings[1:]]
        rows.append(("  times the first's", ["1", *(f"{item.ratio:.3f}" for item in found)]))
        rows.append(("  99% interval", ["", *(f"{item.low:.3f} to {item.high:.3f}" for item in found)]))
        rows.append(("  so it is", ["first", *(item.verdict for item in found)]))
    return rows


def _show_machine(timed: Latencies) -> None:
    before, after = timed.before, timed.after
    clocks = [str(state["clock_mhz"]) for state in (before, after)]
    told = clocks[0] if clocks[0] == clocks[1] else f"{clocks[0]} before, {clocks[1]} after"
    typer.echo(
        f"{timed.rounds} rounds in turns after {timed.warm_up} to warm up; {before['device']}, {timed.threads} "
        f"thread{'s' if timed.threads != 1 else ''} of {before['cores']} cores; torch {before['torch']}"
    )
    typer.echo(
        f"clock, MHz: {told}; governor: {before['governor']}; turbo: {before['turbo']}; "
        f"load: {before['load']} before, {after['load']} after"
    )
    for name, value in before.get("gpu", {}).items():
        typer.echo(f"GPU {name}: {value} before, {after['gpu'].get(name)} after")
    if isinstance(before["load"], float) and before["load"] > 0.5:
        typer.echo("other programs were at work: times are longer and less sure than on a quiet machine")


def _giga(value: Any) -> str:
    return f"{float(value) / 1e9:,.2f} G"


def _mega(value: Any) -> str:
    return f"{float(value) / 1e6:,.1f} M" if value else "–"


def _bytes(value: Any) -> str:
    return f"{float(value) / 2**20:,.1f} MiB"


def _payload(
    models: Sequence[str],
    scale: int,
    fold: bool,
    costs: Sequence[Cost | None],
    reasons: Sequence[str],
    data: str | None,
    executed: Sequence[dict[str, float] | None],
    timed: Latencies | None,
    peaks: Sequence[int] | None,
    size: tuple[int, int],
    random_masks: Sequence[bool],
) -> dict[str, Any]:
    from srbench.cost.latency import compare

    items: list[dict[str, Any]] = []
    for index, model in enumerate(models):
        found, item_cost = executed[index], costs[index]
        item: dict[str, Any] = {"model": model if item_cost is None else item_cost.model}
        item["not_counted"] = reasons[index] or None
        if item_cost is not None:
            item |= {"params": item_cost.params, "stored": item_cost.stored, "params_folded": item_cost.folded}
            item |= {"output_1280x720": _work(item_cost.hd), "input_256x256": _work(item_cost.ntire)}
        item["executed_macs"] = found
        item["executed_macs_mean"] = sum(found.values()) / len(found) if found else None
        item["peak_bytes_measured"] = peaks[index] if peaks is not None else None
        item["random_masks"] = random_masks[index]
        if timed is not None:
            timing = timed.timings[index]
            against = compare(timing, timed.timings[0])
            item["latency"] = {
                "median_seconds": timing.median,
                "quartiles_seconds": list(timing.quartiles),
                "seconds": list(timing.seconds),
                "ratio_to_first": against.ratio,
                "ratio_interval": [against.low, against.high],
                "verdict": against.verdict if index else "first",
            }
        items.append(item)
    value: dict[str, Any] = {"scale": scale, "folded": fold, "data": data, "models": items}
    if timed is not None or peaks is not None:
        value["measured_on"] = {"lr_height": size[0], "lr_width": size[1]}
    if timed is not None:
        value["timing"] = {
            "rounds": timed.rounds,
            "warm_up": timed.warm_up,
            "threads": timed.threads,
            "device": timed.device,
            "before": timed.before,
            "after": timed.after,
        }
    return value


def _work(work: Work) -> dict[str, Any]:
    whole = ("convolution", "product", "other", "synthesis", "analytic", "activations", "peak_bytes")
    return {
        "lr_height": float(work.height),
        "lr_width": float(work.width),
        "macs": work.macs,
        **{name: round(getattr(work, name)) for name in whole},
    }
