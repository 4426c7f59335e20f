"""What the templates of pages share: escaping, and how figures are written."""

from __future__ import annotations

import math
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from srbench.leaderboard.costs import shown_cost
from srbench.leaderboard.notes import resolution_notes
from srbench.leaderboard.statistics import Interval

__all__ = ["breakable", "environment", "interval_text", "number", "signed", "sort_value"]

MINUS = "\N{MINUS SIGN}"


@cache
def environment(package: str = "srbench.leaderboard") -> Environment:
    """Return the environment of a package's templates: everything that is not markup of ours is escaped.

    Args:
        package: Its folder `templates` is searched first, then that of `srbench.leaderboard`.
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
    """Write a number for a script that sorts; nothing for a missing one."""
    return "" if value is None or math.isnan(value) else repr(round(float(value), 10))


def number(value: float, decimals: int) -> str:
    """Write a figure with so many decimals, a dash for a missing one."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else MINUS + "∞"
    return f"{value:.{decimals}f}".replace("-", MINUS)


def signed(value: float, decimals: int) -> str:
    """Write a difference with its sign; a rounded zero has none."""
    text = f"{value:+.{decimals}f}"
    return text.replace("-", MINUS) if any(digit in text for digit in "123456789") else text[1:]


def interval_text(interval: Interval, decimals: int) -> str:
    """Write the ends of an interval of a difference."""
    if math.isnan(interval.low):
        return "interval unknown"
    return f"{signed(interval.low, decimals)} to {signed(interval.high, decimals)}"


def breakable(text: str) -> Markup:
    """Escape a name and let a browser break it after its punctuation."""
    result = Markup("")
    for character in text:
        result += escape(character)
        if character in "+(,=_":
            result += Markup("<wbr>")
    return result
