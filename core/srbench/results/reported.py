"""Figures that papers report: tables as printed, packaged as CSV. Nothing here was measured by sr-bench."""

from __future__ import annotations

import csv
import fnmatch
import math
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from srbench.errors import ConfigError, UnknownNameError, suggest
from srbench.untrusted import read_text
from srbench.validation import problems_in

__all__ = ["ReportedFigure", "read_reported"]


class ReportedFigure(BaseModel):
    """One line of a packaged table: what a paper prints for one model on one data set.

    Attributes:
        paper: Authors, short title, venue.
        table: The table in the paper.
        row: The model, as the paper calls it.
        model: The same as a model name of sr-bench; empty where sr-bench has no such model.
        setting: What else tells the row apart in the paper.
        scale: The up-sampling factor.
        dataset: Name of the data set; empty where the table has none.
        protocol: How the figures were measured, as far as the authors say.
        psnr: In dB, as printed; so are the rest.
        ssim: As printed.
        params: As printed, with its unit.
        flops: As printed, with its unit.
        note: What a reader must know, such as a probable misprint.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    paper: str = Field(min_length=1)
    table: str = Field(min_length=1)
    row: str = Field(min_length=1)
    model: str = ""
    setting: str = ""
    scale: int = Field(gt=0)
    dataset: str = ""
    protocol: str = Field(min_length=1)
    psnr: str = Field("", pattern=r"^(\d+\.\d+)?$")
    ssim: str = Field("", pattern=r"^(\d\.\d+)?$")
    params: str = ""
    flops: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        """Return the model as the paper calls it, with what else tells the row apart."""
        return f"{self.row} ({self.setting})" if self.setting else self.row

    def value(self, metric: str) -> float:
        """Return `psnr` or `ssim` as a number, NaN where it is not printed."""
        text = {"psnr": self.psnr, "ssim": self.ssim}[metric]
        return float(text) if text else math.nan


def read_reported(table: str | Path, models: str = "*") -> list[ReportedFigure]:
    """Read a packaged table by its name, or a CSV file of the same columns by its path.

    Args:
        table: The name, or the file.
        models: Only rows whose `model`, `row` or label matches this glob.

    Raises:
        UnknownNameError: No table has this name; the nearest is named.
        ConfigError: The file is missing or is no such table (file and line are named), or no row matches.
    """
    name = str(table)
    is_file = isinstance(table, Path) or name.endswith(".csv")
    file: Traversable
    if is_file:
        file = Path(table)
    else:
        packaged = _packaged()
        if name not in packaged:
            raise UnknownNameError(f"unknown table of reported figures '{name}'" + suggest(name, sorted(packaged)))
        file = packaged[name]
    figures = _parse(file, name)
    matching = [
        figure
        for figure in figures
        if any(fnmatch.fnmatchcase(text, models) for text in (figure.model, figure.row, figure.label) if text)
    ]
    if not matching:
        rows = ", ".join(dict.fromkeys(figure.model or figure.label for figure in figures))
        raise ConfigError(f"no row of the reported figures '{name}' matches '{models}'; its rows: {rows}")
    return matching


def _packaged() -> dict[str, Traversable]:
    folder = resources.files("srbench.leaderboards") / "reported"
    if not folder.is_dir():
        return {}
    return {file.name.removesuffix(".csv"): file for file in folder.iterdir() if file.name.endswith(".csv")}


def _parse(file: Traversable, name: str) -> list[ReportedFigure]:
    if isinstance(file, Path):
        lines = read_text(file, what="table of reported figures", error=ConfigError).splitlines()
    else:
        lines = file.read_text(encoding="utf-8").splitlines()  # a package's own
    reader = csv.DictReader(lines, restkey="(more)", restval=None)
    figures = []
    for row in reader:
        place = f"{name}, line {reader.line_num}"
        known = ReportedFigure.model_fields
        for column in row:
            if column not in known:
                raise ConfigError(f"{place}: unknown column '{column}'" + suggest(str(column), known, noun="columns"))
        try:
            # A short line lacks its last cells: csv gives None for them, which no text is.
            figures.append(ReportedFigure.model_validate(row))
        except ValidationError as error:
            first = problems_in(error)[0]
            got = "nothing" if first.kind == "missing" else repr(first.value)
            raise ConfigError(f"{place}: column '{first.name}' holds {got}: {first.reason}.") from error
    return figures
