"""`srbench replay`: measure rows again, and compare them with the stored results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.results.records import Record
    from srbench.results.store import Cell
    from srbench.runs.row_replay import Replayed

__all__ = ["describe", "replay_command", "replayed_json", "row_json"]

MOST_DIFFERENCES = 10  # most lines about single images per row


def replay_command(
    results: Annotated[
        Path,
        typer.Argument(
            help="A run directory, the folder of a committed board, or the folder of one of its cells.",
            metavar="DIR",
            show_default=False,
        ),
    ],
    model: Annotated[str | None, typer.Option(help="Only rows of this model.", metavar="MODEL")] = None,
    scale: Annotated[int | None, typer.Option(help="Only rows at this scale.", min=1, max=16)] = None,
    data: Annotated[str | None, typer.Option(help="Only rows on this data set.", metavar="NAME")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only rows under this protocol.", metavar="NAME")] = None,
    seed: Annotated[int | None, typer.Option(help="Only rows trained with this seed.")] = None,
    key: Annotated[str | None, typer.Option(help="Only the row whose key begins with this.", metavar="HEX")] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Retrain models of tier `trained`, and compare their weights as well.")
    ] = False,
    weights: Annotated[Path | None, typer.Option(help="Weights file of a row without a tag.", metavar="FILE")] = None,
    device: Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1.")] = "cpu",
    record: Annotated[
        bool, typer.Option("--record", help="Store the outcomes in `replays.json`, beside `run.json`.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="With --record: who replays the rows.", metavar="WHO")] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Measure rows again from their weights and data, and compare every image's values with the stored ones.

    The exit status is 0 if all rows are equal, to the last bit or, on another platform, within tolerance; else 1.

    Example: `srbench replay leaderboards/efficient-x3/results --model carn_m.author --scale 3 --data Set5`

    Example: `srbench replay runs/quickstart --model edsr_tiny --train`
    """
    import contextlib

    from srbench.cli.output import check_json_target, say, write_json
    from srbench.errors import SRBenchError
    from srbench.registry import canonical_name
    from srbench.results.replays import add_replays
    from srbench.results.rows import find_rows, results_folder
    from srbench.results.store import RunStore
    from srbench.runs.replay_plan import Sources
    from srbench.runs.row_replay import entry, replay
    from srbench.untrusted import user_path

    folder, cell_key = results_folder(user_path(results))
    if json is not None:
        check_json_target(json, folder)
    store = RunStore(folder)
    with contextlib.suppress(
        SRBenchError
    ):  # for a model that is not installed, only the spelling in the record is known
        model = None if model is None else str(canonical_name(model))
    cells = find_rows(
        store, model=model, scale=scale, data=data, protocol=protocol, seed=seed, key=key if key else cell_key
    )
    sources = Sources(store.info(), store.models_path, None if weights is None else user_path(weights))
    found = []
    for replayed in replay(cells, sources, train=train, device=device, note=lambda text: say(text, err=True)):
        found.append(replayed)
        if record:
            add_replays(folder, [entry(replayed, by)])
        if json != "-":
            for line in describe(replayed):
                typer.echo(line)
    if json is not None:
        write_json({"run_dir": str(folder), "rows": [replayed_json(one) for one in found]}, json)
    agreeing = sum(one.agrees for one in found)
    if json != "-":
        typer.echo(f"{agreeing} of {len(found)} rows agree with the stored results")
    if agreeing < len(found):
        raise typer.Exit(1)


def describe(one: Replayed) -> list[str]:
    """Return the output lines for a replayed row: a summary, and lines for relevant images and reasons."""
    from srbench.untrusted import escaped

    how = {
        "equal": "equal, all bits",
        "within tolerance": f"equal within tolerance ({_largest(one)})",
        "differs": "NOT equal",
        "failed": "NOT measured",
    }[one.outcome]
    where = "" if one.exact or not one.hardware else "; on another platform, version or number of threads"
    trained = "; retrained" if one.training else ""
    lines = [f"{_name(one.cell)}: {how}{trained}{where}"]
    if one.other_code:
        lines.append(f"  the code has changed since: {', '.join(one.other_code)}")
    lines += [f"  {reason}" for reason in one.reasons]
    wrong = [difference for difference in one.differences if not difference.allowed]
    lines += [f"  {difference} (by {difference.size:.1e})" for difference in wrong[:MOST_DIFFERENCES]]
    if len(wrong) > MOST_DIFFERENCES:
        lines.append(f"  and {len(wrong) - MOST_DIFFERENCES} more values")
    return [escaped(line) for line in lines]


def _name(cell: Cell) -> str:
    record = cell.record
    seed = record.identity[2]
    return f"{record.model} x{record.scale} on {record.dataset}, {record.protocol}" + (
        "" if seed is None else f", seed {seed}"
    )


def _largest(one: Replayed) -> str:
    return ", ".join(f"{name} by at most {value:.1e}" for name, value in one.largest_difference.items())


def row_json(record: Record) -> dict[str, Any]:
    """Return the JSON fields that identify a row."""
    return {
        "key": record.key,
        "model": record.model,
        "scale": record.scale,
        "seed": record.identity[2],
        "dataset": record.dataset,
        "protocol": record.protocol,
    }


def replayed_json(one: Replayed) -> dict[str, Any]:
    """Return the JSON object of a replayed row (docs/json.md)."""
    return {
        **row_json(one.cell.record),
        "outcome": one.outcome,
        "same_platform": one.exact,
        "other_code": one.other_code,
        "training": one.training,
        "largest_difference": one.largest_difference,
        "reasons": one.reasons,
        "differences": [
            {
                "metric": difference.metric,
                "image": difference.image,
                "stored": difference.stored,
                "measured": difference.measured,
                "tolerance": difference.tolerance,
            }
            for difference in one.differences
        ],
    }
