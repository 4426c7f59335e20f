"""`srbench leaderboard protocols`: score and rank stored SR images under every protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from srbench.data.datasets import Dataset
    from srbench.evaluation.stored_images import Scores, StoredImages
    from srbench.leaderboard.protocol_flips import Column
    from srbench.protocols import Protocol

__all__ = ["protocols"]


def protocols(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Runs made with --keep-images, or folders with SR images: MODEL/IMAGE.png.",
            metavar="RUN_DIR|FOLDER",
            show_default=False,
        ),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="HR images: name of a data set or a folder; for runs, only those not found by name. May be "
            "given several times.",
            metavar="NAME|DIR",
        ),
    ] = None,
    scale: Annotated[
        int | None, typer.Option(help="The scale; for runs, only if they have several.", min=1, max=16)
    ] = None,
    made_under: Annotated[
        str, typer.Option(help="The protocol under which the images of a folder were produced.", metavar="PROTOCOL")
    ] = "matlab-y",
    under: Annotated[
        str | None, typer.Option(help="Only these protocols, separated by commas; all if not given.", metavar="NAMES")
    ] = None,
    choices: Annotated[
        bool, typer.Option("--choices", help="Also change single choices of the comparison, such as color or border.")
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(help="Additional metrics, e.g. ssim; psnr and ssim follow the protocol's color.", metavar="NAMES"),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write all figures as CSV.", metavar="FILE")] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the result as JSON to a file, or to standard output: -.")
    ] = None,
) -> None:
    """Score stored SR images under every protocol, and count the ranks that change between protocols.

    A protocol is left out if the images could not have been produced under it, because its LR images or its
    quantisation differ.

    Example: `srbench leaderboard protocols runs/efficient-x2`

    Example: `srbench leaderboard protocols my_images --data Set5 --scale 2 --choices --metrics ssim --csv table.csv`
    """
    import sys

    from rich.console import Console
    from rich.progress import Progress

    from srbench.cli.output import check_json_target, print_table, say, write_json
    from srbench.evaluation.stored_images import other_comparisons
    from srbench.leaderboard.protocol_flips import count_flips, rank_columns
    from srbench.registry import get_metric
    from srbench.storage import write_atomic

    for target in (json, None if csv is None else str(csv)):
        if target is not None:
            check_json_target(target, *sources)
    extra = [get_metric(name.strip()) for name in (metrics or "").split(",") if name.strip()]
    stored = _stored(sources, list(data or []), scale, made_under)
    wanted, left_out = _protocols(stored, under)
    variants: dict[str, str] = {}
    if choices:
        for protocol in list(wanted):
            changed = other_comparisons(protocol, stored[0].scale)
            variants |= dict.fromkeys((other.name for other in changed), protocol.name)
            wanted += changed
    values: dict[str, dict[str, dict[str, Scores]]] = {protocol.name: {} for protocol in wanted}
    total = sum(len(one.dataset.image_names()) for one in stored)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("comparing", total=total)
        for one in stored:
            _score(one, wanted, extra, values, lambda: bar.advance(task))
    metric_of = {protocol.name: get_metric(protocol.primary_metric) for protocol in wanted}
    sets = list(dict.fromkeys(one.dataset.name for one in stored))
    columns = rank_columns(
        [
            (name, metric.name, metric.higher_is_better, _complete(values[name], sets, metric.name))
            for name, metric in metric_of.items()
        ]
    )
    flips = count_flips(columns, variants)
    rows = _rows(values, columns, sets)
    if csv is not None:
        write_atomic(csv.resolve(), _as_csv(rows).encode())
    if json is not None:
        write_json(
            {
                "scale": stored[0].scale,
                "datasets": sets,
                "protocols": [
                    {"name": protocol.name, "digest": protocol.digest, "metric": protocol.primary_metric}
                    for protocol in wanted
                ],
                "left_out": left_out,
                "scores": rows,
                "flips": [vars(one) for one in flips],
            },
            json,
        )
    if json == "-":
        return
    models = sorted(
        {model for column in columns for model in column.standings},
        key=lambda model: [_place(column, model) for column in columns],
    )
    titles = [f"{column.protocol}, {column.metric}" for column in columns]
    if len(titles) <= 4:
        lines = [[model, *(_cell(column, model) for column in columns)] for model in models]
        print_table(_title(stored, sets), ["model", *titles], lines)
    else:  # wider than the screen: show protocols as rows
        lines = [
            [title, *(_cell(column, model) for model in models)] for title, column in zip(titles, columns, strict=True)
        ]
        print_table(_title(stored, sets), ["protocol", *models], lines)
    print_table(
        "Pairs of models whose order changes from one protocol to another",
        ["from", "to", "pairs", "change order", "significant under one", "under both", "models with another rank"],
        [
            [
                one.first,
                one.second,
                *map(str, (one.pairs, len(one.flipped), len(one.in_one), len(one.in_both), one.moved)),
            ]
            for one in flips
        ],
        left=2,
    )
    for name, reason in left_out.items():
        say(f"left out: {name}: {reason}")


@dataclass(frozen=True)
class _Request:
    """Opens the data sets of a run by name, or the given ones."""

    given: Sequence[Dataset]

    def opened(self, name: str, content: str) -> Dataset:
        from srbench.data.datasets import open_dataset
        from srbench.errors import ConfigError, UnknownNameError

        for dataset in self.given:
            if dataset.content_hash() == content:
                return dataset
        try:
            dataset = open_dataset(name)
        except UnknownNameError as error:
            raise ConfigError(f"the HR images '{name}' of the run cannot be found by name; give --data") from error
        if dataset.content_hash() != content:
            raise ConfigError(f"'{name}' has other images than those of the run; give --data")
        return dataset


def _stored(sources: Sequence[Path], data: Sequence[str], scale: int | None, made_under: str) -> list[StoredImages]:
    """Return the stored images of all sources.

    Raises:
        SRBenchError: A source has no images, or their data set or scale is unknown.
    """
    from srbench.data.datasets import open_dataset
    from srbench.errors import ConfigError
    from srbench.evaluation.stored_images import SR_IMAGES, StoredImages, image_folders
    from srbench.protocols import get_protocol

    made = get_protocol(made_under)
    given = [open_dataset(name) for name in data]
    found: list[StoredImages] = []
    for source in sources:
        if (source / SR_IMAGES).is_dir() or (source / "cells").is_dir():
            found += _of_run(source, _Request(given), scale)
            continue
        folders = image_folders(source)
        if scale is None or len(given) != 1:
            raise ConfigError(f"give the data set and scale of the SR images in '{source}': one --data and --scale")
        found += [StoredImages(model, folder, given[0], scale, made) for model, folder in folders.items()]
    seen: set[tuple[str, str, str]] = set()
    for one in found:
        key = (one.model, one.dataset.name, one.protocol.name)
        if key in seen:
            raise ConfigError(
                f"there are two folders of SR images of '{one.model}' on {one.dataset.name}; give one of them, "
                "or rename one"
            )
        seen.add(key)
    if len({one.scale for one in found}) > 1:
        scales = ", ".join(str(one) for one in sorted({one.scale for one in found}))
        raise ConfigError(f"there are images of the scales {scales}; choose one with --scale")
    return found


def _of_run(run_dir: Path, request: _Request, scale: int | None) -> list[StoredImages]:
    from srbench.errors import ConfigError
    from srbench.evaluation.stored_images import SR_IMAGES, StoredImages
    from srbench.protocols import get_protocol
    from srbench.results.store import RunStore

    found, opened = [], {}
    cells = [cell for cell in RunStore(run_dir).cells() if cell.record.status == "ok"]
    for cell in cells:
        record = cell.record
        folder = run_dir / SR_IMAGES / record.directory_name
        if (scale is not None and record.scale != scale) or not folder.is_dir():
            continue
        key = (record.dataset, record.dataset_hash)
        if key not in opened:
            opened[key] = request.opened(*key)
        base, _, options = record.protocol.partition("+")
        model = record.model if record.seed is None else f"{record.model}, seed {record.seed}"
        model += f" ({options})" if options else ""
        found.append(StoredImages(model, folder, opened[key], record.scale, get_protocol(base)))
    if not found:
        raise ConfigError(
            f"'{run_dir}' holds no SR images{f' of scale {scale}' if scale else ''}: `srbench run --keep-images` keeps "
            "those of the cells that it measures; run the suite into a new folder with it"
        )
    return found


def _protocols(stored: Sequence[StoredImages], under: str | None) -> tuple[list[Protocol], dict[str, str]]:
    """Return the protocols under which some images can be scored, and why others were left out."""
    from srbench.errors import ConfigError, SRBenchError
    from srbench.evaluation.stored_images import why_not_comparable
    from srbench.protocols import get_protocol, list_protocols

    named = [name.strip() for name in under.split(",") if name.strip()] if under is not None else list_protocols()
    made = {one.protocol.name: one.protocol for one in stored}
    wanted, left_out = [], {}
    for name in dict.fromkeys(named):
        try:
            protocol = get_protocol(name)
        except SRBenchError as error:
            if under is not None:
                raise
            left_out[name] = str(error)  # a broken plugin must not hide the others
            continue
        reasons = [why_not_comparable(one, protocol) for one in made.values()]
        if all(reasons):
            left_out[name] = f"the images were produced under {' and '.join(made)}, but {reasons[0]}"
        else:
            wanted.append(protocol)
    if not wanted:
        reasons = [f"{name}: {reason}" for name, reason in left_out.items()]
        raise ConfigError(f"these images cannot be scored under any of the protocols; {'; '.join(reasons)}")
    return wanted, left_out


def _score(
    stored: StoredImages,
    wanted: Sequence[Protocol],
    extra: Sequence[Any],
    values: Mapping[str, dict[str, dict[str, Scores]]],
    advance: Any,
) -> None:
    """Add the values of a model's images on one data set: protocol -> model -> data set -> metric -> values."""
    from srbench.evaluation.stored_images import score, why_not_comparable
    from srbench.registry import get_metric

    fitting = [
        protocol
        for protocol in wanted
        if not why_not_comparable(stored.protocol, protocol)
        # If a run has images of both protocols, each is scored under its own.
        and (
            stored.dataset.name not in values[protocol.name].get(stored.model, {})
            or stored.protocol.name == protocol.name
        )
    ]
    computed = [
        list({one.name: one for one in (get_metric(protocol.primary_metric), *extra)}.values()) for protocol in fitting
    ]
    for protocol, scores in zip(fitting, score(stored, fitting, computed, advance), strict=True):
        values[protocol.name].setdefault(stored.model, {})[stored.dataset.name] = scores


def _complete(models: Mapping[str, Mapping[str, Scores]], sets: Sequence[str], metric: str) -> dict[str, list[Any]]:
    """Return the models with values on every data set: an array per data set."""
    return {
        model: [found[name][metric] for name in sets]
        for model, found in models.items()
        if all(name in found for name in sets)
    }


def _rows(
    values: Mapping[str, Mapping[str, Mapping[str, Scores]]], columns: Sequence[Column], sets: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row per protocol, model, data set and metric; the mean over several data sets has `null` as data set."""
    rows: list[dict[str, Any]] = []
    for column in columns:
        for model, found in values[column.protocol].items():
            means = {
                name: {metric: float(of.mean()) for metric, of in scores.items()} for name, scores in found.items()
            }
            lines: list[tuple[str | None, dict[str, float]]] = list(means.items())
            if len(sets) > 1 and len(means) == len(sets):
                metrics = next(iter(means.values()))
                lines.append(
                    (None, {metric: sum(of[metric] for of in means.values()) / len(sets) for metric in metrics})
                )
            standing = column.standings.get(model)
            for name, figures in lines:
                for metric, value in figures.items():
                    ranked = standing is not None and metric == column.metric and (name is None or len(sets) == 1)
                    rows.append(
                        {
                            "protocol": column.protocol,
                            "model": model,
                            "dataset": name,
                            "metric": metric,
                            "value": value,
                            "rank": standing.rank if standing is not None and ranked else None,
                            "rank_best": standing.best if standing is not None and ranked else None,
                            "rank_worst": standing.worst if standing is not None and ranked else None,
                        }
                    )
    return rows


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    import pandas as pd

    table = pd.DataFrame(rows).astype({"rank": "Int64", "rank_best": "Int64", "rank_worst": "Int64"})
    return table.to_csv(index=False, lineterminator="\n")


def _place(column: Column, model: str) -> float:
    standing = column.standings.get(model)
    return math.inf if standing is None else standing.rank


def _cell(column: Column, model: str) -> str:
    standing = column.standings.get(model)
    if standing is None:
        return "–"
    digits = 2 if column.metric.startswith("psnr") else 4
    return f"{standing.mean:.{digits}f}  {standing.rank} ({standing.interval})"


def _title(stored: Sequence[StoredImages], sets: Sequence[str]) -> str:
    return f"Stored SR images of {' + '.join(sets)} at x{stored[0].scale}: mean, rank and rank interval"
