"""`srbench figure learning-curves`: validation of trainings over iterations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.figure import Figure

__all__ = ["learning_curves"]

_LEGEND_CHARACTERS = 66
MOST_ITERATIONS = 10**9  # of a training


def learning_curves(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN_DIR", help="Run directories, boards, or folders of `srbench train`.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.", metavar="FILE.png|FILE.svg")],
    metric: Annotated[str, typer.Option(help="The validated metric.")] = "psnr_y",
    scale: Annotated[int, typer.Option(min=1, max=16, help="The scale.")] = 2,
    models: Annotated[str, typer.Option(help="Only models whose name matches this glob.", metavar="GLOB")] = "*",
    start: Annotated[int, typer.Option(min=0, max=10**8, help="The first iteration to show.")] = 0,
) -> None:
    """Plot validation over iterations: the mean over the seeds of each model, and their range.

    Trainings are validated on the images of `srbench train --val`, or of a suite's `validate`.

    Example: `srbench figure learning-curves runs/ps-table1-x2 -o curves.png --models "*recursive*"`
    """
    from srbench.cli.output import say
    from srbench.errors import StoreError
    from srbench.figures import check_figure_path, figure_style, save_figure
    from srbench.untrusted import user_path

    check_figure_path(output)
    folders = [user_path(folder, "folder of trainings", StoreError) for folder in runs]
    curves = read_curves(folders, f"{metric} x{scale}", models)
    with figure_style():
        save_figure(_draw(curves, metric, scale, start), output)
    say(str(output))


@dataclass(frozen=True)
class Curve:
    """The validations of one model.

    Attributes:
        model: Its name.
        iterations: The iterations at which all its trainings were validated.
        values: One row per training, one column per iteration.
    """

    model: str
    iterations: list[int]
    values: list[list[float]]

    @property
    def last(self) -> float:
        """The mean over the trainings at the last iteration."""
        return sum(row[-1] for row in self.values) / len(self.values)


def read_curves(folders: Sequence[Path], key: str, pattern: str = "*") -> list[Curve]:
    """Return the validations of all finished trainings in some folders: a curve per model, best last value first.

    Args:
        folders: Folders to search for `training.json`; where there is none, the records of a run or board are read.
        key: Metric and scale, such as `psnr_y x2`.
        pattern: A glob pattern for model names.

    Raises:
        StoreError: A file cannot be read or is not the description of a training.
        ConfigError: No training in the folders has such validations.
    """
    from srbench.errors import ConfigError, StoreError
    from srbench.leaderboard.curves import LARGEST
    from srbench.registry import matching

    found: dict[str, dict[int, dict[int, float]]] = {}
    for folder in folders:
        for model, seed, points in list(_in_files(folder, key)) or list(_in_records(folder, key)):
            for at, value in points.items():
                if math.isfinite(value) and abs(value) > LARGEST:
                    raise StoreError(
                        f"'{folder}' holds a validation of '{model}' after iteration {at} with '{key}' {value:g}, "
                        "which no images have; remove that training, or train again"
                    )
            if points and matching([model], pattern):
                found.setdefault(model, {})[seed] = points
    curves = []
    for model, seeds in found.items():
        shared = sorted(set.intersection(*(set(points) for points in seeds.values())))
        if shared:
            curves.append(Curve(model, shared, [[points[at] for at in shared] for _, points in sorted(seeds.items())]))
    if not curves:
        places = ", ".join(f"'{folder}'" for folder in folders)
        raise ConfigError(f"no training in {places} was validated by '{key}' for a model that matches '{pattern}'")
    return sorted(curves, key=lambda curve: -curve.last)


def _in_files(folder: Path, key: str) -> Iterator[tuple[str, int, dict[int, float]]]:
    """Yield the validations in the files of trainings: model, seed, and iteration -> value."""
    from srbench.errors import StoreError
    from srbench.untrusted import parse_json, read_text

    for path in sorted(folder.rglob("training.json")):
        try:
            result: dict[str, Any] = parse_json(read_text(path, what="training's description", error=StoreError))[
                "result"
            ]
            points = {int(point["iteration"]): float(point[key]) for point in result["validations"] if key in point}
            model, seed = str(result["model"]), int(result["recipe"]["seed"])
            if not all(0 <= at <= MOST_ITERATIONS for at in points):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise StoreError(f"'{path}' is not the description of a training; remove it, or train again") from error
        yield model, seed, points


def _in_records(folder: Path, key: str) -> Iterator[tuple[str, int, dict[int, float]]]:
    """Yield the same from the records of a run or a board."""
    from srbench.results.store import RunStore

    for place in (folder, folder / "results"):
        for cell in RunStore(place).cells() if place.is_dir() else ():
            training = cell.record.training
            known = None if training is None else training.validation
            if training is not None and known is not None and key in known.metrics:
                points = dict(zip(known.iterations, known.metrics[key], strict=True))
                yield cell.record.model, next(iter(training.seeds), 0), points


def _wrapped(label: str) -> str:
    """Break a label that is wider than the legend after a comma between arguments."""
    first, rest = label, ""
    while len(first) > _LEGEND_CHARACTERS and (cut := first.rfind(",", 0, _LEGEND_CHARACTERS) + 1) > 0:
        first, rest = first[:cut], first[cut:] + rest
    return first + (f"\n    {_wrapped(rest)}" if rest else "")


def _draw(curves: Sequence[Curve], metric: str, scale: int, start: int) -> Figure:
    from srbench.figures import FIGURE_COLORS, FigureSheet, plain_text

    width, height, legend = 5.6, 3.6, 3.6
    sheet = FigureSheet(width + legend + 0.9, height + 1.05, f"Learning curves, x{scale}")
    axes = sheet.axes(0.65, 0.4, width, height)
    for number, curve in enumerate(curves):
        kept = [index for index, at in enumerate(curve.iterations) if at >= start]
        at = [curve.iterations[index] for index in kept]
        columns = [[row[index] for row in curve.values] for index in kept]
        color, style = FIGURE_COLORS[number % len(FIGURE_COLORS)], ("-", "--", ":")[number // len(FIGURE_COLORS) % 3]
        label = _wrapped(plain_text(f"{curve.model}: {curve.last:.3f}"))
        axes.plot(at, [sum(column) / len(column) for column in columns], style, color=color, linewidth=1.3, label=label)
        if len(curve.values) > 1:
            low, high = [min(column) for column in columns], [max(column) for column in columns]
            axes.fill_between(at, low, high, color=color, alpha=0.12, linewidth=0)
    trainings = sorted({len(curve.values) for curve in curves})
    axes.set(xlabel="iteration", ylabel=plain_text(f"{metric} of the validation images"))
    axes.grid(visible=True, linewidth=0.3, alpha=0.6)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, title="last value, best first", fontsize=7)
    several = f"Mean of {' or '.join(map(str, trainings))} trainings of each model; the band is their range."
    note = several if trainings[-1] > 1 else "One training of each model."
    sheet.text(0.65, height + 0.92, note, size=7)
    return sheet.figure
