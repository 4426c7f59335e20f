"""`srbench leaderboard latency`: time and peak memory of a board's networks on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

if TYPE_CHECKING:
    from srbench.results.latency_records import LatencyRun

__all__ = ["latency"]


def latency(
    board: Annotated[
        Path,
        typer.Argument(help="A committed board's folder, or a run's directory.", metavar="DIR", show_default=False),
    ],
    threads: Annotated[int, typer.Option(help="Threads of torch on the CPU.", min=1)] = 1,
    seconds: Annotated[
        float, typer.Option(help="How long to time the networks of each scale together.", min=0.1, max=86_400)
    ] = 600.0,
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Measure peak memory too: some seconds for each network.")
    ] = True,
    device: Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32, or on a GPU float16.", metavar="TYPE")] = "float32",
    tf32: Annotated[
        bool, typer.Option("--tf32", help="Let a GPU use TF32: float32 products with factors of 10 bits.")
    ] = False,
    lr_size: Annotated[
        str | None,
        typer.Option(help="Width x height of the LR image; that of a 1280x720 output if not given.", metavar="WxH"),
    ] = None,
    models: Annotated[str, typer.Option(help="Only models that match this glob.", metavar="GLOB")] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Measure anew what was measured on this machine, instead of adding to it.")
    ] = False,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Time a board's networks in turns, batch 1, 1280x720 output, and keep it in `latency.json` beside the results.

    Every network is timed at least 3 times, in as many rounds as the time allows. What is cut short goes on when the
    command is given again. Run it on a machine with nothing else to do, then build the board's pages.

    Example: `srbench leaderboard latency leaderboards/efficient-x4 --threads 1 --seconds 600`
    """
    from srbench.cli.cost import MOST_MEASURED, parse_size
    from srbench.cli.output import check_json_target, write_json
    from srbench.cli.steps import LineRate
    from srbench.errors import ConfigError, StoreError
    from srbench.results.latency_records import Dtype
    from srbench.runs.board_latency import BoardTiming, measure_board
    from srbench.untrusted import escaped, user_path

    folder = user_path(board, "board", StoreError)
    if json is not None:
        check_json_target(json, folder)
    rate = LineRate()

    def progress(what: str, share: float, words: str) -> None:
        if rate.due():
            typer.echo(escaped(f"{what}: {share:.0%} {words}"), err=True)

    size = None if lr_size is None else parse_size(lr_size)
    if size is not None and size[0] * size[1] > MOST_MEASURED:
        raise ConfigError(f"networks are timed on at most {MOST_MEASURED:,} LR pixels; got --lr-size {lr_size}")
    if dtype not in get_args(Dtype):
        raise ConfigError(f"--dtype takes float32 or float16; got '{dtype}'")
    how = BoardTiming(threads, seconds, memory, device, cast(Dtype, dtype), models, again, size, tf32)
    runs = measure_board(folder, how, progress)
    if json is not None:
        write_json({"board": str(folder), "runs": [_as_json(run) for run in runs]}, json)
    if json != "-":
        for run in runs:
            _show(run)


def _show(run: LatencyRun) -> None:
    from srbench.cli.output import print_table

    rows = []
    for name, of in sorted(run.networks.items(), key=lambda item: item[1].median if item[1].complete else 1e9):
        if of.complete:
            low, high = of.quartiles
            times = [f"{1000 * of.median:,.1f}", f"{1000 * low:,.1f} to {1000 * high:,.1f}", str(len(of.seconds))]
        else:
            times = ["–", of.reason or "not measured", str(len(of.seconds))]
        rows.append([name, *times, "–" if of.peak_bytes is None else f"{of.peak_bytes / 2**20:,.0f}"])
    width, height = run.lr
    print_table(
        f"x{run.scale}, LR image {width}x{height}: {run.where}",
        ["model", "median, ms", "quartiles, ms", "passes", "peak, MiB"],
        rows,
    )


def _as_json(run: LatencyRun) -> dict[str, Any]:
    value = run.model_dump()
    for name, of in run.networks.items():
        value["networks"][name]["median_seconds"] = of.median if of.complete else None
    return value
