"""`srbench swap`: a multi-scale network at one scale with the coefficients of another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.plugin import Metric
    from srbench_ps.swap import SwapCell

__all__ = ["swap"]


def swap(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A multi-scale network with PS, such as drrn_b1u9+ps.author.")
    ],
    data: Annotated[
        str | None, typer.Option(help="A data set's name, or a folder of HR images.", metavar="NAME|DIR")
    ] = None,
    task: Annotated[int | None, typer.Option(min=1, max=16, help="The scale by which images are enlarged.")] = None,
    coefficients_of: Annotated[
        int | None, typer.Option(min=1, max=16, help="The scale whose coefficients are used.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every task with the coefficients of every scale.")] = False,
    protocol: Annotated[str, typer.Option(help="How images are compared.")] = "matlab-y",
    metrics: Annotated[str, typer.Option(help="Metrics, separated by commas; the first is shown.")] = "psnr_y,ssim_y",
    weights: Annotated[Path | None, typer.Option(help="A checkpoint to load instead of a tag's weights.")] = None,
    scales: Annotated[
        str | None, typer.Option(help="What --weights serves, where the file does not say it.", metavar="2,3,4")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Show what a run of the suite ps-swap measured.", metavar="RUN_DIR")
    ] = None,
    images: Annotated[str | None, typer.Option(help="Only these images, separated by commas.")] = None,
    device: Annotated[str, typer.Option(help="Where the network runs: cpu, cuda, cuda:1.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads of torch on the CPU.", min=1)] = None,
    json: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON.")] = None,
) -> None:
    """Measure a multi-scale network with the coefficients of another scale.

    The bank of partial filters is that of all scales; what is swapped are the matrices that mix its filters.

    Example: `srbench swap drrn_b1u9+ps.author --task 2 --coefficients-of 3 --data Urban100`

    Example: `srbench swap drrn_b1u9+ps.author --all --data Set14 --device cuda`

    Example: `srbench run --suite ps-swap && srbench swap drrn_b1u9+ps.author --run runs/ps-swap`
    """
    import sys

    from rich.console import Console
    from rich.progress import Progress

    from srbench.plugin import ConfigError, canonical_name, get_metric, get_protocol, open_dataset, write_json

    if run is not None:
        _show_run(model, run, data, protocol, json)
        return
    if data is None:
        raise ConfigError("say which images: --data NAME or --data FOLDER")
    if every == (task is not None or coefficients_of is not None) or (task is None) != (coefficients_of is None):
        raise ConfigError("say what to swap: --task 2 --coefficients-of 3, or --all for every pair of scales")
    found_protocol = get_protocol(protocol)
    found_metrics = [get_metric(name.strip()) for name in metrics.split(",") if name.strip()]
    if not found_metrics:
        raise ConfigError("there is no metric to compute; give at least one, such as psnr_y")
    dataset = open_dataset(data)
    name = canonical_name(model)

    from srbench.plugin import pick_device
    from srbench_ps.loading import load_network, parse_scales
    from srbench_ps.swap import measure_swaps

    pick_device(device)
    network = load_network(model, weights, parse_scales(scales))
    if task is None or coefficients_of is None:
        pairs = [(to, of) for of in network.scales for to in network.scales]
    else:
        pairs = list(dict.fromkeys([(task, task), (task, coefficients_of)]))
    chosen = [image.strip() for image in images.split(",")] if images is not None else None
    total = len(pairs) * len(chosen or dataset.image_names())
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        running = bar.add_task(f"{name} on {dataset.name}", total=total)
        cells = measure_swaps(
            network,
            pairs,
            dataset,
            found_protocol,
            found_metrics,
            images=chosen,
            device=device,
            threads=threads,
            progress=lambda: bar.advance(running),
        )
    if json is not None:
        from srbench.plugin import sha256_file

        write_json(
            {
                "model": str(name),
                "weights_sha256": sha256_file(weights) if weights is not None else _tag_sha256(str(name)),
                "dataset": dataset.name,
                "dataset_hash": dataset.content_hash(),
                "protocol": found_protocol.name,
                "protocol_digest": found_protocol.digest,
                "cells": _as_json(cells),
                "device": device,
            },
            json,
        )
    if json != "-":
        what = f"{dataset.name}{f' ({images})' if images else ''} under {found_protocol.name}"
        _print(f"{name} on {what}", cells, found_metrics[0])


def _show_run(model: str, run: Path, data: str | None, protocol: str, json: str | None) -> None:
    """Print the tables that a run has finished, one per data set."""
    from srbench.plugin import canonical_name, get_metric, write_json
    from srbench_ps.swap_run import read_swaps

    name = canonical_name(model)
    tables = read_swaps(run, str(name), protocol, data)
    if json is not None:
        found = [{"dataset": dataset, "cells": _as_json(cells)} for dataset, cells in tables.items()]
        write_json({"model": str(name), "protocol": protocol, "run": str(run), "tables": found}, json)
    for dataset, cells in tables.items() if json != "-" else ():
        _print(f"{name} on {dataset} under {protocol}", cells, get_metric(next(iter(cells[0].metrics))))


def _as_json(cells: list[SwapCell]) -> list[dict[str, Any]]:
    return [
        {
            "task": cell.task,
            "coefficients_of": cell.coefficients_of,
            "metrics": cell.metrics,
            "difference": _differences(cell, cells),
            "images": cell.images,
        }
        for cell in cells
    ]


def _tag_sha256(name: str) -> str:
    from srbench.plugin import parse, tagged_source

    return str(tagged_source(parse(name)).sha256)


def _differences(cell: SwapCell, cells: list[SwapCell]) -> dict[str, float]:
    """Return the differences to the same task with its own coefficients."""
    own = next(other for other in cells if other.task == other.coefficients_of == cell.task)
    return {name: value - own.metrics[name] for name, value in cell.metrics.items()}


def _print(title: str, cells: list[SwapCell], metric: Metric) -> None:
    from srbench.plugin import print_table

    digits = 2 if metric.unit == "dB" else 4
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    rows = []
    for source in dict.fromkeys(cell.coefficients_of for cell in cells):
        row = [f"x{source}"]
        for task in tasks:
            (cell,) = [one for one in cells if (one.task, one.coefficients_of) == (task, source)]
            difference = _differences(cell, cells)[metric.name]
            row.append(f"{cell.metrics[metric.name]:.{digits}f} ({difference:+.{digits}f})")
        rows.append(row)
    unit = f", {metric.unit}" if metric.unit else ""
    print_table(
        f"{title}: {metric.name}{unit} (difference to the task's own coefficients)",
        ["coefficients of", *(f"task x{task}" for task in tasks)],
        rows,
    )
