"""Sentences for what pydantic finds wrong with values that a user gave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from srbench.errors import suggest

__all__ = ["Problem", "problems_in"]


@dataclass(frozen=True)
class Problem:
    """Describe one thing that is wrong.

    Attributes:
        place: Keys and indices that lead to it, from the outside; empty where no single value is wrong.
        kind: `unknown`: there is no such key; `missing`: the key is not there; `refused`: one of our own checks says
            why, and quotes what it must; `invalid`: the value has the wrong type or range.
        value: What was given.
        reason: Why it is wrong: a clause that begins with a small letter unless it is from one of our own checks.
    """

    place: tuple[str | int, ...]
    kind: Literal["unknown", "missing", "refused", "invalid"]
    value: object
    reason: str

    @property
    def name(self) -> str:
        """Return the last key of the place; empty where there is none."""
        return str(self.place[-1]) if self.place else ""

    def sentence(self, keys: Iterable[str] = ()) -> str:
        """Return what was given and what was expected, without a full stop.

        Args:
            keys: The keys that are known where an unknown one is; the nearest is named.
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
    """Return all that pydantic found, in its order.

    Args:
        error: What it raised.
        prefix: Where the value that was validated is in a larger one.
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
