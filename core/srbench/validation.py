"""Turn errors of libraries, those of pydantic above all, into sentences for the user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from srbench.errors import suggest

__all__ = ["Problem", "first_line", "problems_in"]


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@dataclass(frozen=True)
class Problem:
    """One problem with a value.

    Attributes:
        place: Path of keys and indices to the value, outermost first; empty if no single value is wrong.
        kind: `unknown`: an unknown key; `missing`: a missing key; `refused`: one of our own validators raised the
            error, and its message quotes the value itself; `invalid`: the value has the wrong type or range.
        value: What was given.
        reason: Why it is wrong: a clause that starts in lower case unless it comes from one of our own validators.
    """

    place: tuple[str | int, ...]
    kind: Literal["unknown", "missing", "refused", "invalid"]
    value: object
    reason: str

    @property
    def name(self) -> str:
        """Return the last key of `place`, or an empty string."""
        return str(self.place[-1]) if self.place else ""

    def sentence(self, keys: Iterable[str] = ()) -> str:
        """Return what was given and what was expected, without a full stop.

        Args:
            keys: The valid keys at the place of an unknown key; the nearest is suggested.
        """
        where = ".".join(map(str, self.place))
        if self.kind == "unknown":
            return f"unknown key '{self.name}'" + suggest(self.name, keys, noun="keys")
        if self.kind == "missing":
            return f"'{where}' is missing"
        if self.kind == "refused":
            return f"'{where}': {self.reason}" if where else self.reason
        return f"'{where}' is {self.value!r:.200}: {self.reason}"


def problems_in(error: ValidationError, prefix: tuple[str | int, ...] = ()) -> list[Problem]:
    """Return the problems of a validation error, in pydantic's order.

    Args:
        error: The error that pydantic raised.
        prefix: Place of the validated value within a larger one.
    """
    found = []
    for item in error.errors(include_url=False):
        kind: Literal["unknown", "missing", "refused", "invalid"] = "invalid"
        reason = item["msg"][:1].lower() + item["msg"][1:]
        if item["type"] == "extra_forbidden":
            kind = "unknown"
        elif item["type"] == "missing":
            kind = "missing"
        elif item["type"] == "value_error":
            kind, reason = "refused", item["msg"].removeprefix("Value error, ")
        found.append(Problem((*prefix, *item["loc"]), kind, item["input"], reason))
    return found
