"""Helpers for page templates: escaping and formatting of figures."""

from __future__ import annotations

import math
import re
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from srbench.leaderboard.costs import shown_cost
from srbench.leaderboard.notes import resolution_notes
from srbench.leaderboard.statistics import Interval

__all__ = ["MINUS", "breakable", "environment", "interval_text", "number", "signed", "sort_value"]

MINUS = "\N{MINUS SIGN}"
_BREAKS = re.compile(r"[+(,=_]")
_NOT_ZERO = re.compile("[1-9]")


@cache
def environment(package: str = "srbench.leaderboard") -> Environment:
    """Return the template environment of a package, which escapes everything except our own markup.

    Args:
        package: The package whose folder `templates` is searched first, before that of `srbench.leaderboard`.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, "srbench.leaderboard"))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": number,
        "signed": signed,
        "count": lambda value: "–" if value is None else f"{value:,}",
        "breakable": breakable,
        "sort_value": sort_value,
        "shown_cost": shown_cost,
        "is_nan": math.isnan,
        "range": interval_text,
        "resolutions": resolution_notes,
    }
    return environment


def sort_value(value: float | None) -> str:
    """Format a number for the sorting script; empty if it is missing."""
    return "" if value is None or math.isnan(value) else repr(round(float(value), 10))


def number(value: float, decimals: int) -> str:
    """Format a figure with a number of decimals; a dash if it is missing."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else MINUS + "∞"
    return f"{value:.{decimals}f}".replace("-", MINUS)


def signed(value: float, decimals: int) -> str:
    """Format a difference with its sign; a rounded zero has none."""
    text = f"{value:+.{decimals}f}"
    return text.replace("-", MINUS) if _NOT_ZERO.search(text) else text[1:]


def interval_text(interval: Interval, decimals: int) -> str:
    """Format the ends of an interval of a difference."""
    if math.isnan(interval.low):
        return "interval unknown"
    return f"{signed(interval.low, decimals)} to {signed(interval.high, decimals)}"


def breakable(text: str) -> Markup:
    """Escape a name and allow line breaks after its punctuation."""
    # No escape sequence contains any of these.
    return Markup(_BREAKS.sub(r"\g<0><wbr>", str(escape(text))))
