"""Figures reported in papers: tables as printed, packaged as CSV. None of them were measured by sr-bench."""

from __future__ import annotations

import csv
import fnmatch
import math
from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from srbench.errors import ConfigError, UnknownNameError, suggest
from srbench.untrusted import read_text
from srbench.validation import problems_in

__all__ = ["ReportedFigure", "parse_rows", "read_reported"]

Row = TypeVar("Row", bound=BaseModel)


class ReportedFigure(BaseModel):
    """One row of a packaged table: the figures that a paper prints for one model on one data set.

    Attributes:
        paper: Authors, short title, venue.
        table: The table in the paper.
        row: The paper's name of the model.
        model: The corresponding model name of sr-bench; empty if there is none.
        setting: What else distinguishes the row in the paper.
        scale: The upscaling factor.
        dataset: Name of the data set; empty for tables without data sets.
        protocol: How the figures were measured, as far as the authors state.
        psnr: In dB, as printed.
        ssim: As printed.
        params: As printed, with its unit.
        flops: As printed, with its unit.
        note: A remark for readers, such as a probable misprint.
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
        """The paper's name of the model, with its setting in parentheses."""
        return f"{self.row} ({self.setting})" if self.setting else self.row

    def value(self, metric: str) -> float:
        """Return `psnr` or `ssim` as a number, NaN if it is not printed."""
        text = {"psnr": self.psnr, "ssim": self.ssim}[metric]
        return float(text) if text else math.nan


def read_reported(table: str | Path, models: str = "*") -> list[ReportedFigure]:
    """Read a packaged table by its name, or a CSV file with the same columns by its path.

    Args:
        table: The table's name, or the file.
        models: Only rows whose `model`, `row` or label matches this glob.

    Raises:
        UnknownNameError: No table has this name; the message suggests the nearest.
        ConfigError: The file is missing or not such a table (the message has file and line), or no row matches.
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
    return parse_rows(ReportedFigure, lines, name)


def parse_rows(kind: type[Row], lines: Iterable[str], name: str) -> list[Row]:
    """Read the lines of a CSV table whose columns are the fields of a class.

    Args:
        kind: The class; each row becomes an object of it.
        lines: The lines, the heading first.
        name: What messages call the table.

    Raises:
        ConfigError: A column is unknown or a value is wrong; the line is named.
    """
    reader = csv.DictReader(lines, restkey="(more)", restval=None)
    rows = []
    for row in reader:
        place = f"{name}, line {reader.line_num}"
        known = kind.model_fields
        for column in row:
            if column not in known:
                raise ConfigError(f"{place}: unknown column '{column}'" + suggest(str(column), known, noun="columns"))
        try:
            # csv gives None for the missing last cells of a short line.
            rows.append(kind.model_validate(row))
        except ValidationError as error:
            first = problems_in(error)[0]
            got = "nothing" if first.kind == "missing" else repr(first.value)
            raise ConfigError(f"{place}: column '{first.name}' holds {got}: {first.reason}.") from error
    return rows
