"""`srbench figure size-quality`: PSNR against parameters, measured and published."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from srbench.plugin import ModelName

__all__ = ["size_quality"]

_PUBLISHED = "ps-supplement-table1.csv"


def size_quality(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN_DIR", help="Directories that `srbench run` wrote; several seeds are averaged."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file.", metavar="FILE.png|FILE.svg")],
    data: Annotated[str | None, typer.Option(help="The runs' data set.", show_default="their first")] = None,
    scale: Annotated[int, typer.Option(min=1, max=16, help="The scale.")] = 2,
    reported: Annotated[
        Path | None,
        typer.Option(
            help="A table of published figures: columns model, scale, dataset, psnr, params.",
            show_default="Table 1 of the PS paper's supplement",
        ),
    ] = None,
    reported_data: Annotated[str, typer.Option(help="The data set of the published figures.")] = "Set5",
) -> None:
    """Show PSNR against parameters for every ratio and shape of a run, beside the published figures.

    They are drawn on separate axes, because training, and often networks and images, differ.

    Example: `srbench figure size-quality runs/ps-table1-x2 -o size-quality.png`
    """
    from srbench.plugin import check_figure_path, figure_style, save_figure

    check_figure_path(output)
    panels = [_measured(runs, data, scale), _reported(reported, reported_data, scale)]
    with figure_style():
        save_figure(_draw([panel for panel in panels if panel is not None], scale), output)
    typer.echo(f"{output}")


@dataclass(frozen=True)
class Point:
    """One network: its parameters, the mean PSNR-Y over its trainings in dB, the lowest and the highest."""

    model: ModelName
    params: float
    psnr: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """What one pair of axes shows."""

    title: str
    about: str
    points: list[Point] = field(default_factory=list)


def _measured(runs: Sequence[Path], data: str | None, scale: int) -> Panel:
    from srbench.plugin import ConfigError, RunStore, UnknownNameError, parse, suggest

    records = [cell.record for run in runs for cell in RunStore(run).cells() if cell.record.status == "ok"]
    records = [record for record in records if record.scale == scale and record.tier == "trained"]
    known = list(dict.fromkeys(record.dataset for record in records))
    if not known:
        raise ConfigError(f"{', '.join(map(str, runs))}: no network was trained and measured there at x{scale}")
    if data is not None and data not in known:
        raise UnknownNameError(f"the runs hold nothing measured on '{data}'" + suggest(data, known, noun="measured on"))
    data = data if data is not None else known[0]
    protocols = list(dict.fromkeys(record.protocol for record in records if record.dataset == data))
    chosen = [record for record in records if (record.dataset, record.protocol) == (data, protocols[0])]
    values: dict[str, list[float]] = {}
    for record in chosen:
        if "psnr_y" in record.metrics:
            values.setdefault(record.model, []).append(record.metrics["psnr_y"])
    sizes = {record.model: float(record.params_unique or 0) for record in chosen}
    points = [_point(parse(model), sizes[model], found) for model, found in values.items()]
    backbones = ", ".join(dict.fromkeys(point.model.backbone for point in points))
    steps = sorted({record.training.iterations for record in chosen if record.training is not None})
    length = " to ".join(f"{step:,}" for step in dict.fromkeys((steps[0], steps[-1]))) + " iterations"
    count = max(map(len, values.values()))
    seeds = f", mean and range of {count} trainings" if count > 1 else ""
    return Panel(f"Measured: {backbones}, {data}", f"tier trained, {length}{seeds}, {protocols[0]}", points)


def _point(model: ModelName, params: float, values: Sequence[float]) -> Point:
    return Point(model, params, sum(values) / len(values), min(values), max(values))


def _reported(table: Path | None, data: str, scale: int) -> Panel | None:
    import csv
    from importlib import resources

    from srbench.plugin import DataError, parse, read_text

    packaged = resources.files("srbench.leaderboards") / "reported" / _PUBLISHED
    if table is None and not packaged.is_file():
        return None
    name = table.name if table is not None else _PUBLISHED
    text = packaged.read_text(encoding="utf-8") if table is None else read_text(table, what="table of figures")
    try:
        rows = [
            row
            for row in csv.DictReader(text.splitlines())
            if row["model"] and row["psnr"] and row["dataset"] == data and int(row["scale"]) == scale
        ]
        points = [_point(parse(row["model"]), _count(row["params"]), [float(row["psnr"])]) for row in rows]
        paper = ", ".join(dict.fromkeys(f"{row['paper']}, {row['table']}" for row in rows))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"'{name}' is no table of published figures ({error}); its columns are paper, table, model, scale, "
            "dataset, psnr and params, such as 0.27M"
        ) from error
    if not points:
        raise DataError(f"'{name}' holds no figure for {data} at x{scale}")
    backbones = ", ".join(dict.fromkeys(point.model.backbone for point in points))
    return Panel(f"Reported: {backbones}, {data}", paper, points)


def _count(text: str) -> float:
    """Read `1.37M`, `665k` or `300261`."""
    units = {"k": 1e3, "K": 1e3, "M": 1e6}
    return float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text)


def _series(points: Iterable[Point]) -> Mapping[str, list[Point]]:
    """Join the points of one shape, or of one method, by size."""
    series: dict[str, list[Point]] = {}
    for point in points:
        arguments = dict(point.model.args)
        method = point.model.method or "as published"
        label = f"{method}, {arguments['shape']}" if "shape" in arguments else method
        series.setdefault(label, []).append(point)
    return {label: sorted(found, key=lambda point: point.params) for label, found in series.items()}


def _draw(panels: Sequence[Panel], scale: int) -> Figure:
    from srbench.plugin import FIGURE_COLORS, FigureSheet

    labels = list(dict.fromkeys(label for panel in panels for label in _series(panel.points)))
    width, height = 3.7, 3.1
    rows = -(-len(labels) // 4)
    sheet = FigureSheet(
        0.2 + len(panels) * (width + 0.75), 1.05 + height + 0.5 + 0.2 * rows, f"Size and quality, x{scale}"
    )
    # Colours are for the shapes of PS; what it is compared with is black and grey.
    styles = {
        "as published": ("#000000", "*"), "dense": ("#000000", "P"), "recursive": ("#666666", "s"),
        "dsconv": ("#666666", "D"), "basis": ("#666666", "X"),
    }  # fmt: skip
    others = [label for label in labels if label not in styles]
    for number, label in enumerate(others):
        styles[label] = (FIGURE_COLORS[number % 6], "ov^<>hpd"[number % 8])
    handles = {}
    for number, panel in enumerate(panels):
        left = 0.65 + number * (width + 0.75)
        sheet.text(left, 0.52, panel.title, weight="bold", size=9)
        sheet.text(left, 0.72, panel.about, color="0.35", size=7.5)
        axes = sheet.axes(left, 0.92, width, height)
        for label, points in _series(panel.points).items():
            handles[label] = _plot(axes, points, *styles[label], hollow=panel.title.startswith("Reported"))
        axes.set_xlabel("parameters, thousands")
        axes.grid(color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
        if number == 0:
            axes.set_ylabel("PSNR-Y, dB")
    sheet.figure.legend(
        [handles[label] for label in labels], labels, loc="lower center", ncols=4, frameon=False, columnspacing=1.6
    )
    return sheet.figure


def _plot(axes: Axes, points: Sequence[Point], color: str, marker: str, *, hollow: bool) -> Artist:
    x = [point.params / 1000 for point in points]
    y = [point.psnr for point in points]
    spread = [[point.psnr - point.low for point in points], [point.high - point.psnr for point in points]]
    if any(map(any, spread)):
        axes.errorbar(x, y, spread, fmt="none", ecolor=color, elinewidth=0.9, capsize=2)
    (line,) = axes.plot(
        x, y, color=color, marker=marker, markersize=8 if marker in "*P" else 5, linewidth=1.1,
        linestyle="--" if hollow else "-", markerfacecolor="white" if hollow else color,
    )  # fmt: skip
    return line
